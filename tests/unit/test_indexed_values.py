"""What extended query tags find in metadata, and what they refuse to index."""

from typing import Any

import pytest

from shared.dicom.indexed_values import find_element, indexing_fault
from shared.storage.tag_columns import differ, newer, stamped

pytestmark = pytest.mark.unit


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def test_tag_26_private_elements_are_found_through_their_creator() -> None:
    metadata = {
        "12050010": element("LO", "OTHER"),
        "12050011": element("LO", "ACME "),
        "12051003": element("SH", "not mine"),
        "12051103": element("SH", "mine"),
    }
    assert find_element(metadata, "12051003", "ACME") == element("SH", "mine")
    assert find_element(metadata, "12053303", "ACME") == element("SH", "mine")
    assert find_element(metadata, "12051003", "OTHER") == element("SH", "not mine")
    assert find_element(metadata, "12051003", "NOBODY") is None
    assert find_element(metadata, "12051004", "ACME") is None
    assert find_element(metadata, "12050010", None) == element("LO", "OTHER")
    assert find_element({"00101010": element("AS", "030Y")}, "00101010", None) == element("AS", "030Y")


@pytest.mark.parametrize(
    ("vr", "found", "fault"),
    [
        ("SH", element("LO", "x"), "The extended query tag VR is not expected."),
        ("SH", element("SH", "x" * 16), None),
        ("SH", element("SH", "x" * 17), "Value length exceeds maximum length."),
        ("AE", element("AE", "x" * 17), "Value length exceeds maximum length."),
        ("CS", element("CS", "x" * 17), "Value length exceeds maximum length."),
        ("LO", element("LO", "x" * 64), None),
        ("LO", element("LO", "x" * 65), "Value length exceeds maximum length."),
        ("LO", element("LO", "a\tb"), "Value contains invalid character."),
        ("LO", element("LO", "a\0"), None),
        ("LO", element("LO"), None),
        ("AS", element("AS", "030Y"), None),
        ("AS", element("AS", "30Y"), "Value length is not expected."),
        ("AS", element("AS"), "Value length is not expected."),
        ("US", element("US"), "Value length is not expected."),
        ("FD", element("FD"), "Value length is not expected."),
        ("FL", element("FL", 1.5), None),
        ("IS", element("IS"), None),
        ("IS", element("IS", 3), None),
        ("IS", element("IS", "x"), "Value cannot be parsed as a valid integer string."),
        ("DA", element("DA", "20240231"), "Value cannot be parsed as a valid date."),
        ("DA", element("DA", "20240228"), None),
        ("DT", element("DT", "2024+0100"), None),
        ("DT", element("DT", "20241301"), "Value cannot be parsed as a valid DateTime."),
        ("TM", element("TM", "25"), "Value cannot be parsed as a valid Time."),
        ("TM", element("TM", "10"), None),
        ("PN", element("PN", {"Alphabetic": "x" * 64}), None),
        (
            "PN",
            element("PN", {"Alphabetic": "x", "Phonetic": "y" * 65}),
            "One or more group of person name exceeds maxium length of 64.",
        ),
        ("PN", element("PN", {"Alphabetic": "a\nb"}), "Value contains invalid character."),
        ("UI", element("UI", "1.2"), None),
    ],
)
def test_tag_30_checks(vr: str, found: dict[str, Any], fault: str | None) -> None:
    assert indexing_fault(vr, found) == fault


def test_tag_25_the_newest_value_stays_whatever_the_order() -> None:
    one, two = stamped({"00101010_1": element("AS", "001Y")}, 1), stamped({"00101010_1": element("AS", "002Y")}, 2)
    assert newer(newer({}, one), two) == newer(newer({}, two), one) == two
    assert newer({}, {}) == {}
    assert differ(one, two)
    assert not differ(two, stamped({"00101010_1": element("AS", "002Y")}, 7))
    row = {"00100020": element("LO", "x")}
    assert newer(row, one) == row | one
