"""Bodies that add and switch extended query tags: what is read from them, and every refusal with its exact text."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dicom.attributes import SEARCHABLE, Level
from shared.dicomweb.extended_query_tag_requests import (
    CheckedTag,
    checked_tags,
    requested_query_status,
    requested_tags,
    tag_path,
)
from shared.dicomweb.json_body import read_json
from shared.errors import InvalidRequest

pytestmark = pytest.mark.unit


def added(*tags: dict[str, Any]) -> list[CheckedTag]:
    return checked_tags(requested_tags(list(tags)))


def refusal(document: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        checked_tags(requested_tags(document))
    return str(caught.value)


def of(path: str, vr: str | None = None, creator: str | None = None, level: str = "Study") -> dict[str, Any]:
    values = {"path": path, "vr": vr, "privateCreator": creator, "level": level}
    return {name: value for name, value in values.items() if value is not None}


def test_tag_01_tag_03_what_is_read() -> None:
    assert added(of("PatientAge"), of("00181000", "lo", level="SERIES")) == [
        CheckedTag("00101010", "AS", "", Level.STUDY),
        CheckedTag("00181000", "LO", "", Level.SERIES),
    ]
    assert added(of("0405abcd", "sh", "ACME", "instance")) == [CheckedTag("0405ABCD", "SH", "ACME", Level.INSTANCE)]
    assert added({"PATH": "00101010", "Level": "study"}) == [CheckedTag("00101010", "AS", "", Level.STUDY)]
    assert added(of("00280106", "SS"), of("00280107")) == [
        CheckedTag("00280106", "SS", "", Level.STUDY),
        CheckedTag("00280107", "US", "", Level.STUDY),
    ]


def test_tag_05_wrapped() -> None:
    assert checked_tags(requested_tags({"tags": [of("PatientAge")]})) == added(of("PatientAge"))
    assert refusal({"tags": []}) == "The extended query tag(s) is missing."


@pytest.mark.parametrize(("name", "value"), [("Path", None), ("Path", ""), ("Path", "  "), ("Level", None)])
def test_tag_06_missing_properties(name: str, value: str | None) -> None:
    entry = {**of("PatientAge"), name.lower(): value}
    assert refusal([entry]) == (
        f"The field '[0].{name}' in request body is invalid: The Dicom Tag Property {name} must be specified and must "
        "not be null, empty or whitespace."
    )


@pytest.mark.parametrize("level", ["Studys", 1, "0"])
def test_tag_06_unknown_level(level: Any) -> None:
    assert refusal([of("PatientAge"), {"path": "PatientSex", "Level": level}]) == (
        f"The field '$[1].Level' in request body is invalid: Expected value '{level}' to be one of the following "
        "values: ['Instance', 'Series', 'Study']"
    )


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ([], "The extended query tag(s) is missing."),
        ([of("BABC")], "The extended query tag 'BABC' is invalid as it cannot be parsed into a valid Dicom Tag."),
        (
            [of("00181001")],
            "The extended query tag '00181001' is invalid as it cannot be parsed into a valid Dicom Tag.",
        ),
        (
            [of("00081110.00080050")],
            "The extended query tag '00081110.00080050' is invalid as it cannot be parsed into",
        ),
        ([of("00100010")], "The query tag '00100010' is already supported."),
        ([of("PatientName")], "The query tag 'PatientName' is already supported."),
        ([of("00181000", creator="ACME")], "The private creator is not empty for standard tag '00181000'."),
        ([of("12051003", "SH")], "The private creator for private tag '12051003' is missing."),
        ([of("12051003", "SH", "x" * 65)], "The private creator for tag '12051003' is not a valid LO attribute."),
        ([of("12051003", "SH", "a\\b")], "The private creator for tag '12051003' is not a valid LO attribute."),
        ([of("12051003", "SH", "a\tb")], "The private creator for tag '12051003' is not a valid LO attribute."),
        ([of("00181000", "LOX")], "The VR code 'LOX' for tag '00181000' is invalid."),
        (
            [of("00181000", "CS")],
            "The VR code 'CS' is incorrectly specified for '00181000'. The expected VR code for it is 'LO'. ",
        ),
        ([of("12051003", creator="ACME")], "The vr for tag '12051003' is missing."),
        ([of("00081110")], "The VR code 'SQ' specified for tag '00081110' is not supported."),
        ([of("00280030", "DS")], "The VR code 'DS' specified for tag '00280030' is not supported."),
        ([of("12051003", "UN", "ACME")], "The VR code 'UN' specified for tag '12051003' is not supported."),
        ([of("00181000"), of("00181000")], "The extended query tag '00181000' has been specified before."),
        (
            [of("00181000"), of("DeviceSerialNumber")],
            "The extended query tag 'DeviceSerialNumber' has been specified before.",
        ),
        ([of("12050010", "SH")], "The VR code 'SH' is incorrectly specified for '12050010'. The expected VR code for"),
    ],
)
def test_tag_06_tag_07_refusals(tags: list[dict[str, Any]], text: str) -> None:
    assert refusal(tags).startswith(text)


def test_tag_06_private_creator_elements() -> None:
    assert added(of("12050010")) == [CheckedTag("12050010", "LO", "", Level.STUDY)]
    assert refusal([of("12050005", "LO")]).startswith("The private creator for private tag")


@pytest.mark.parametrize("tag", SEARCHABLE)
def test_tag_06_everything_searchable_is_refused(tag: str) -> None:
    assert refusal([of(tag)]) == f"The query tag '{tag}' is already supported."


@pytest.mark.parametrize("document", [None, 1, "x", {}, {"tags": 1}, [1], [[]], {"tags": {}}])
def test_tag_07_bodies_that_are_no_list(document: Any) -> None:
    assert refusal(document) == "The syntax of the request body is invalid."


def test_tag_10_paths() -> None:
    assert tag_path("PatientAge") == tag_path("00101010") == "00101010"
    assert tag_path("0405abcd") == "0405ABCD"
    for bad in ("A.B", "patientage", "00101", "00081110.00080050", ""):
        with pytest.raises(InvalidRequest, match="cannot be parsed into a valid Dicom Tag"):
            tag_path(bad)


def test_tag_11_tag_12_query_status() -> None:
    assert requested_query_status({"queryStatus": "Enabled"})
    assert not requested_query_status({"QUERYSTATUS": "disabled"})
    refused: list[Any] = [{}, {"queryStatus": 1}, {"queryStatus": "x"}, {"queryStatus": None}, [], "x"]
    for bad in refused:
        with pytest.raises(InvalidRequest):
            requested_query_status(bad)
    with pytest.raises(InvalidRequest) as caught:
        requested_query_status({"queryStatus": "Enabled", "level": "Study"})
    assert str(caught.value) == 'The field is not supported: "level".'


def test_json_with_comments_and_trailing_commas() -> None:
    text = b'\xef\xbb\xbf[ // one\n {"path": "a,]//b", /* two */ "vr": "x\\",}",}, ]'
    assert read_json(text) == [{"path": "a,]//b", "vr": 'x",}'}]
    for bad in (b"", b"[", b"[1,,2]", b"{", b"\xff\xfe", b"[1] x", b"nul", b"[" * 100_000):
        with pytest.raises(InvalidRequest, match=r"^The syntax of the request body is invalid\.$"):
            read_json(bad)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["path", "vr", "level", "privateCreator", "tags", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(JSON)
def test_tag_06_any_document_is_read_or_refused(document: Any) -> None:
    """500 examples."""
    for read in (lambda: checked_tags(requested_tags(document)), lambda: requested_query_status(document)):
        try:
            result: Any = read()
        except InvalidRequest:
            continue
        assert result is not None
