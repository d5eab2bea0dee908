"""The emulator of the Azure Health Data Services DICOM service."""

__version__ = "0.1.0"
