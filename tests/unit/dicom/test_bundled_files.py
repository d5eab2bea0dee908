"""The walk against pydicom, over all files that pydicom brings along."""

import mmap
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.dicom.elements import read_elements
from shared.dicom.file_meta import open_file
from shared.dicom.frame_positions import locate_frames
from shared.dicom.instance import parse_instance, parse_short_instance
from shared.dicom.pydicom_reader import read_with_pydicom
from shared.dicom.unreadable import Declined, UnreadableFile
from shared.dicom.validate import validate
from tests.unit.dicom.bundled import READ_BY_PYDICOM, UNREADABLE, bundled_files
from tests.unit.dicom.ct_header import ct_file
from tests.unit.dicom.reference import reference_json

pytestmark = pytest.mark.unit

FILES = bundled_files()
READABLE = [path for path in FILES if path.name not in UNREADABLE]

each_readable_file = pytest.mark.parametrize("path", READABLE, ids=[path.name for path in READABLE])


def test_that_there_are_files() -> None:
    assert len(READABLE) == 188
    assert len(FILES) == 203


@each_readable_file
def test_walk_equals_pydicom(path: Path) -> None:
    """RET-61 to RET-66, RET-69, STO-68: the same elements, VRs and values, keys ascending at every depth."""
    content = path.read_bytes()
    if path.name in READ_BY_PYDICOM:
        with pytest.raises(Declined):
            read_elements(open_file(content))
        return
    elements = read_elements(open_file(content)).elements
    assert elements == reference_json(content)
    assert_ascending(elements)


@each_readable_file
def test_both_ways_of_reading_agree(path: Path) -> None:
    """The fallback gives the same metadata, comments and frames as the walk."""
    encoded = open_file(path.read_bytes())
    walked, fallen_back = read_elements(encoded), read_with_pydicom(encoded)
    assert fallen_back.elements == walked.elements
    assert_ascending(fallen_back.elements)
    assert validate(fallen_back, None) == validate(walked, None)
    assert locate_frames(fallen_back, encoded) == locate_frames(walked, encoded)


@each_readable_file
def test_a_memory_map_reads_like_bytes(path: Path) -> None:
    content = path.read_bytes()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert parse_instance(mapped, study=None) == parse_instance(content, study=None)


@each_readable_file
def test_what_is_read_as_short_is_read_the_same(path: Path) -> None:
    content = path.read_bytes()
    assert parse_short_instance(content, study=None) in (None, parse_instance(content, study=None))


def test_files_that_are_short() -> None:
    """Native pixel data of any size does not count; a header, a thumbnail, deflation and what pydicom reads do."""
    assert parse_short_instance(ct_file(), study=None)
    assert parse_short_instance(ct_file(implicit=True), study=None)
    assert not parse_short_instance(ct_file() + bytes(40_000), study=None)
    short = {path.name for path in READABLE if parse_short_instance(path.read_bytes(), study=None)}
    assert short.isdisjoint(READ_BY_PYDICOM)
    assert not [name for name in short if "deflated" in name]
    assert {"CT_small.dcm", "MR_small.dcm", "rtdose.dcm", "reportsi.dcm"} <= short


@each_readable_file
def test_metadata_is_json_of_the_elements(path: Path) -> None:
    """RET-61: nothing but what is at fault is missing (STO-77)."""
    content = path.read_bytes()
    metadata = orjson.loads(parse_instance(content, study=None).metadata)
    encoded = open_file(content)
    data_set = read_elements(encoded)
    faulty = {f"{tag:08X}" for tag in validate(data_set, None).left_out}
    assert metadata.keys() == data_set.elements.keys() - faulty


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name in UNREADABLE], ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_what_is_no_dicom_is_unreadable(path: Path) -> None:
    """STO-29"""
    with pytest.raises(UnreadableFile):
        parse_instance(path.read_bytes(), study=None)


def test_reading_needs_neither_pydicom_nor_numpy() -> None:
    """Both are slow to import; only what the walk declines needs pydicom."""
    program = """
import sys
from pathlib import Path
from shared.dicom.instance import parse_instance, parse_short_instance
parse_instance(Path(sys.argv[1]).read_bytes(), study=None)
sys.exit(", ".join({"numpy", "pydicom"} & sys.modules.keys()) or None)
"""
    path = next(path for path in READABLE if path.name == "CT_small.dcm")
    run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def assert_ascending(elements: dict[str, dict[str, Any]]) -> None:
    assert list(elements) == sorted(elements)
    for element in elements.values():
        if element["vr"] == "SQ":
            for item in element.get("Value", []):
                assert_ascending(item)
