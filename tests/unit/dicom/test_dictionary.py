"""The dictionaries are pydicom's, whatever way they are loaded; the searchable attributes agree with them."""

from contextlib import suppress
from typing import Any

import pydicom.datadict
import pytest
from pydicom._private_dict import private_dictionaries

from shared.dicom import dictionary
from shared.dicom.attributes import (
    ALL_RESULT,
    DEFAULT_RESULT,
    INDEXED,
    MODALITIES_IN_STUDY,
    SEARCHABLE,
    UID_TAGS,
    Level,
)
from shared.dicom.coding import coding, known_vr
from shared.dicom.json_values import BULK

pytestmark = pytest.mark.unit


def test_public_dictionary() -> None:
    assert dict(dictionary.public()) == pydicom.datadict.DicomDictionary


@pytest.mark.parametrize("tag", [0x60000010, 0x60FE3000, 0x50020005, 0x00203106, 0x002804A1, 0x10101234, 0x7F100010])
def test_repeating_groups(tag: int) -> None:
    assert dictionary.vr(tag) == pydicom.datadict.dictionary_VR(tag)


@pytest.mark.parametrize("tag", [0x60010010, 0x00091001, 0x12345678, 0x0008FFF0])
def test_unknown_attributes(tag: int) -> None:
    assert (dictionary.entry(tag), dictionary.vr(tag)) == (None, None)


def test_every_vr_has_a_converter_or_is_left_out() -> None:
    """RET-62, RET-65: or depends on other attributes, or is that of an item delimiter."""
    known = coding(True, "<").convert.keys() | BULK | {"SQ", "US or SS", "US or OW", "NONE"}
    left = {entry[0] for entry in dictionary.public().values()} - known
    assert left == {"OB or OW", "US or SS or OW"}


def test_every_multiplicity_is_understood() -> None:
    for entry in dictionary.public().values():
        least, most, text = dictionary.multiplicity(entry[1])
        assert 1 <= least <= most
        assert text == entry[1]


def test_private_dictionary() -> None:
    """RET-66: the same VRs as pydicom's look-up, in any block."""
    compared = 0
    for creator, entries in private_dictionaries.items():
        for key in list(entries)[:3]:
            tag = int(key.replace("xxxx", "0110").replace("xx", "10"), 16)
            with suppress(KeyError):  # a few keys have four digits for the block
                assert dictionary.private_vr(tag, creator) == pydicom.datadict.private_dictionary_VR(tag, creator)
                compared += 1
    assert compared > 200
    assert dictionary.private_vr(0x00091001, "NOBODY") is None
    assert dictionary.private_vr(0x000910FF, "ACUSON") is None


def test_vr_of_private_attributes_depends_on_the_creator() -> None:
    creators: dict[str, dict[str, Any]] = {
        "00090010": {"vr": "LO", "Value": ["ACUSON"]},
        "00090011": {"vr": "LO"},
        "00090012": {"vr": "SQ", "Value": [{}]},
    }
    assert known_vr(0x00090010, {}) == "LO"
    assert known_vr(0x00091000, creators) == "IS"
    assert {known_vr(tag, creators) for tag in (0x00091100, 0x00091200, 0x00091300, 0x00090001)} == {"UN"}


def test_searchable_attributes() -> None:
    """QRY-13, QRY-50, QRY-55: names and VRs are those of the dictionary, tags those of the default results."""
    for tag, attribute in SEARCHABLE.items():
        entry = dictionary.entry(int(tag, 16))
        assert entry is not None
        assert (attribute.tag, attribute.vr, attribute.keyword) == (tag, entry[0], entry[4])
    for level in Level:
        stored = {attribute.tag for attribute in INDEXED[level]} | {UID_TAGS[level]}
        assert stored == DEFAULT_RESULT[level]
        assert all(dictionary.entry(int(tag, 16)) for tag in ALL_RESULT[level])
    assert {tag for tag, each in SEARCHABLE.items() if each.level is Level.STUDY} - DEFAULT_RESULT[Level.STUDY] == {
        MODALITIES_IN_STUDY
    }
    assert [len(ALL_RESULT[level]) for level in Level] == [16, 9, 9]
