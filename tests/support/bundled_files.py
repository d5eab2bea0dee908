"""What becomes of each file that pydicom carries: one table for all of them.

Files that no row names are stored without a warning.
"""

from pathlib import Path

import pydicom

ROOT = Path(pydicom.__file__).parent / "data"

UNREADABLE = "unreadable"
"""43264, and nothing else in the item (STO-29)."""

IMPLICIT = 45063
"""Stored; Implicit VR Little Endian warns (STO-79)."""

FAULTY = 1
"""Stored; an optional attribute is at fault (STO-71)."""


def missing(tag: str) -> str:
    """43264 because a required attribute is not there (STO-60)."""
    return f"DICOM100: ({tag}) - The required tag '({tag})' is missing."


NO_CLASS, NO_STUDY, NO_PATIENT = missing("0008,0016"), missing("0020,000d"), missing("0010,0020")

EXCEPTIONS: dict[str, str | int] = {
    # not DICOM
    "charset_files/FileInfo.txt": UNREADABLE,
    "hashes.json": UNREADABLE,
    "palettes/README.md": UNREADABLE,
    "test_files/README.txt": UNREADABLE,
    "test_files/crayons.icc": UNREADABLE,
    "test_files/dicomdirtests/README.txt": UNREADABLE,
    "test_files/dicomdirtests/TINY_ALPHA/README": UNREADABLE,
    "test_files/rtplan.dump": UNREADABLE,
    "test_files/rtstruct.dump": UNREADABLE,
    "test_files/test1.json": UNREADABLE,
    "test_files/test_PN.json": UNREADABLE,
    "test_files/zipMR.gz": UNREADABLE,
    "urls.json": UNREADABLE,
    # DICOM that is damaged: without a transfer syntax and a sensible first tag, or cut off
    "test_files/dicomdirtests/DICOMDIR-nooffset": UNREADABLE,
    "test_files/meta_missing_tsyntax.dcm": UNREADABLE,
    "test_files/no_meta.dcm": UNREADABLE,
    "test_files/rtplan_truncated.dcm": UNREADABLE,
    # no composite instances, or made for one purpose: required attributes are not there
    "charset_files/chrSQEncoding.dcm": NO_CLASS,
    "charset_files/chrSQEncoding1.dcm": NO_CLASS,
    "palettes/fall.dcm": NO_STUDY,
    "palettes/hotiron.dcm": NO_STUDY,
    "palettes/hotmetalblue.dcm": NO_STUDY,
    "palettes/pet.dcm": NO_STUDY,
    "palettes/pet20step.dcm": NO_STUDY,
    "palettes/spring.dcm": NO_STUDY,
    "palettes/summer.dcm": NO_STUDY,
    "palettes/winter.dcm": NO_STUDY,
    "test_files/ExplVR_BigEnd.dcm": NO_PATIENT,
    "test_files/ExplVR_BigEndNoMeta.dcm": NO_PATIENT,
    "test_files/ExplVR_LitEndNoMeta.dcm": NO_PATIENT,
    "test_files/GDCMJ2K_TextGBR.dcm": NO_PATIENT,
    "test_files/JPEGLSNearLossless_08.dcm": NO_STUDY,
    "test_files/JPEGLSNearLossless_16.dcm": NO_STUDY,
    "test_files/SC_rgb_jls_lossy_line.dcm": NO_STUDY,
    "test_files/SC_rgb_jls_lossy_sample.dcm": NO_STUDY,
    "test_files/UN_sequence.dcm": NO_CLASS,
    "test_files/dicomdirtests/DICOMDIR": NO_CLASS,
    "test_files/dicomdirtests/DICOMDIR-bigEnd": NO_CLASS,
    "test_files/dicomdirtests/DICOMDIR-empty.dcm": NO_CLASS,
    "test_files/dicomdirtests/DICOMDIR-implicit": NO_CLASS,
    "test_files/dicomdirtests/DICOMDIR-nopatient": NO_CLASS,
    "test_files/dicomdirtests/DICOMDIR-reordered": NO_CLASS,
    "test_files/dicomdirtests/TINY_ALPHA/DICOMDIR": NO_CLASS,
    "test_files/empty_charset_LEI.dcm": NO_CLASS,
    "test_files/nested_priv_SQ.dcm": NO_CLASS,
    "test_files/no_meta_group_length.dcm": NO_CLASS,
    "test_files/priv_SQ.dcm": NO_CLASS,
    # implicit VR, whatever the file meta says
    "test_files/MR_small_implicit.dcm": IMPLICIT,
    "test_files/SC_rgb_jpeg.dcm": IMPLICIT,
    "test_files/SC_rgb_jpeg_dcmd.dcm": IMPLICIT,
    "test_files/rtdose.dcm": IMPLICIT,
    "test_files/rtdose_1frame.dcm": IMPLICIT,
    "test_files/rtplan.dcm": IMPLICIT,
    "test_files/rtstruct.dcm": IMPLICIT,
    # optional attributes that their VR does not allow
    "test_files/SC_jpeg_no_color_transform.dcm": FAULTY,
    "test_files/SC_jpeg_no_color_transform_2.dcm": FAULTY,
    "test_files/SC_rgb_jpeg_app14_dcmd.dcm": FAULTY,
    "test_files/badVR.dcm": FAULTY,
    "test_files/image_dfl.dcm": FAULTY,
    "test_files/reportsi.dcm": FAULTY,
    "test_files/reportsi_with_empty_number_tags.dcm": FAULTY,
    "test_files/rtdose_expb.dcm": FAULTY,
    "test_files/rtdose_expb_1frame.dcm": FAULTY,
    "test_files/rtdose_rle.dcm": FAULTY,
    "test_files/rtdose_rle_1frame.dcm": FAULTY,
    "test_files/test-SR.dcm": FAULTY,
}


def bundled_files() -> list[str]:
    """Every file that comes with pydicom, by its path below `ROOT`; those that it downloads are not among them."""
    paths = (path for path in ROOT.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)
