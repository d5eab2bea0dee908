"""What a file is that cannot be read as DICOM, and how large a header may be."""


class UnreadableFile(Exception):
    """The content is no DICOM that can be read: it fails with 43264 and without any UID (STO-29, STO-69)."""


class Declined(Exception):
    """Something unusual that the walk over the raw elements leaves to pydicom."""


MAX_DEPTH = 200
"""Levels of nested sequences (STO-69)."""

MAX_ELEMENTS = 1_000_000
"""Elements of one file, nested ones included."""

MAX_HEADER_BYTES = 128 * 1024 * 1024
"""Bytes of one file outside bulk values. Structure sets with many contours come near it."""

MAX_INFLATED_BYTES = 256 * 1024 * 1024
"""Bytes of a deflated data set once it is inflated."""
