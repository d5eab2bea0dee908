"""Images made for a test: arrays and attributes into DICOM files, in native encodings."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from .made_files import new_uid


def made_image(pixels: NDArray[Any], **attributes: Any) -> Dataset:
    """An image of (rows, columns), (frames, rows, columns), or with `SamplesPerPixel=3` one more axis for colours.

    Bits, sign and size follow from the array, unless `attributes`, by keyword, say otherwise. A boolean array is
    packed, one bit a sample. With `PlanarConfiguration=1` colours go plane by plane.
    """
    with config.disable_value_validation():
        dataset = Dataset()
        dataset.SOPClassUID = SecondaryCaptureImageStorage
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = new_uid(), new_uid(), new_uid()
        dataset.PatientID = "nobody"
        samples = attributes.get("SamplesPerPixel", 1)
        shape = pixels.shape if samples == 1 else pixels.shape[:-1]
        if len(shape) == 3:
            dataset.NumberOfFrames = shape[0]
        dataset.SamplesPerPixel = samples
        dataset.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
        if samples > 1:
            dataset.PlanarConfiguration = 0
        dataset.Rows, dataset.Columns = shape[-2:]
        dataset.BitsAllocated = 1 if pixels.dtype == bool else pixels.dtype.itemsize * 8
        dataset.BitsStored = dataset.BitsAllocated
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        if attributes.get("PlanarConfiguration"):
            pixels = np.moveaxis(pixels, -1, -3)
        if pixels.dtype == bool:
            content = np.packbits(pixels.ravel(), bitorder="little").tobytes()
        else:
            content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        dataset.add_new(0x7FE00010, "OW" if dataset.BitsAllocated > 8 else "OB", content + b"\0" * (len(content) % 2))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def encoded(dataset: Dataset, transfer_syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The data set as a part 10 file; a native one also in another native encoding than its own."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    little_endian = dataset.get("PixelData")
    if transfer_syntax == ExplicitVRBigEndian and little_endian and dataset.BitsAllocated > 8:
        # pydicom writes pixel data as it is given
        numbers = np.frombuffer(little_endian, f"<u{dataset.BitsAllocated // 8}")
        dataset.PixelData = numbers.astype(numbers.dtype.newbyteorder(">")).tobytes()
    out = io.BytesIO()
    with config.disable_value_validation():
        dataset.save_as(
            out,
            implicit_vr=transfer_syntax.is_implicit_VR,
            little_endian=transfer_syntax.is_little_endian,
            enforce_file_format=True,
        )
    if little_endian:
        dataset.PixelData = little_endian
    return out.getvalue()


def gradient(rows: int, columns: int, dtype: str = "<u2", least: int = 0, greatest: int | None = None) -> NDArray[Any]:
    """Every value between two ends, row by row; by default all that the type has."""
    most = np.iinfo(dtype).max if greatest is None else greatest
    return np.linspace(least, most, rows * columns).round().astype(dtype).reshape(rows, columns)
