"""What lists of studies show of an instance, picked out when it is stored (QRY-54)."""

import orjson
import pytest

from shared.dicom.instance import MOST_DETAILS
from tests.unit.dicom.encoding import Encoded, text
from tests.unit.dicom.judging import MODALITY, STUDY_DATE, keys, parse

pytestmark = pytest.mark.unit

SEX, TIME, OCCUPATION, PROCEDURES = 0x00100040, 0x00080030, 0x00102180, 0x00081032


def test_qry_54_details_are_as_in_the_metadata() -> None:
    """QRY-53, QRY-54: empty ones, too, and nothing else"""
    parsed = parse(text(MODALITY, "CS", "CT"), text(SEX, "CS", ""), text(STUDY_DATE, "DA", "20240101"))
    assert parsed.study_details == {"00080060": {"vr": "CS", "Value": ["CT"]}, "00100040": {"vr": "CS"}}
    metadata = orjson.loads(parsed.metadata)
    assert parsed.study_details.items() <= metadata.items()


def test_qry_62_details_have_no_invalid_values() -> None:
    parsed = parse(text(MODALITY, "CS", "ct"), text(TIME, "TM", "x"))
    assert parsed.study_details == {}
    assert not {"00080060", "00080030"} & keys(parsed)


@pytest.mark.parametrize("length", [100, MOST_DETAILS])
def test_long_details_are_not_kept_twice(length: int) -> None:
    parsed = parse(text(0x001021B0, "LT", "x" * length))
    assert (parsed.study_details is None) is (length == MOST_DETAILS)


@pytest.mark.parametrize("depth", [3, 90])
def test_deep_details_are_not_kept_twice(depth: int) -> None:
    """Of 90 levels neither JSON text nor the row of a study should be made."""
    item: Encoded = Encoded(PROCEDURES, "SQ", ())
    for _ in range(depth):
        item = Encoded(PROCEDURES, "SQ", ((item,),))
    parsed = parse(item)
    assert (parsed.study_details is None) is (depth == 90)
    assert "00081032" in keys(parsed)
