"""The files that pydicom brings along for its own tests."""

import importlib.util
from pathlib import Path


def bundled_files() -> list[Path]:
    """Every file, those that are no DICOM included."""
    package = importlib.util.find_spec("pydicom")
    assert package is not None
    root = Path(next(iter(package.submodule_search_locations or []))) / "data"
    folders = ("test_files", "charset_files", "palettes")
    return sorted(path for folder in folders for path in (root / folder).rglob("*") if path.is_file())


UNREADABLE = {
    "DICOMDIR-nooffset": "ends in a sequence",
    "FileInfo.txt": "text",
    "README": "text",
    "README.md": "text",
    "README.txt": "text",
    "crayons.icc": "a colour profile",
    "meta_missing_tsyntax.dcm": "no transfer syntax, and the first element is none of the dictionary",
    "no_meta.dcm": "begins in the middle of an element",
    "rtplan.dump": "text",
    "rtplan_truncated.dcm": "ends in a sequence",
    "rtstruct.dump": "text",
    "test1.json": "text",
    "test_PN.json": "text",
    "zipMR.gz": "compressed",
}
"""Names of files that a store refuses, and why."""

READ_BY_PYDICOM: frozenset[str] = frozenset()
"""Names of files that the walk leaves to pydicom."""
