"""Bodies of bulk updates: forms that are taken, and everything that is refused, with its text."""

from typing import Any

import orjson
import pytest

from shared.dicom.updatable import UPDATABLE
from shared.dicomweb.bulk_update_request import BulkUpdate, RefusedChanges, checked_update, requested_update
from shared.dicomweb.json_body import read_json
from shared.errors import InvalidIdentifier, InvalidRequest

pytestmark = pytest.mark.unit

MALFORMED = "The syntax of the request body is invalid."


def checked(changes: Any, *studies: str) -> BulkUpdate:
    return checked_update(requested_update({"studyInstanceUids": list(studies) or ["1.2"], "changeDataset": changes}))


def comments(changes: dict[str, Any]) -> list[str]:
    with pytest.raises(RefusedChanges) as refused:
        checked(changes)
    document = orjson.loads(refused.value.body)
    assert list(document) == ["00741048"]
    assert document["00741048"]["vr"] == "SQ"
    items = document["00741048"]["Value"]
    assert all(item.keys() == {"00000902"} and item["00000902"]["vr"] == "LO" for item in items)
    return [item["00000902"]["Value"][0] for item in items]


def test_plt_60_forms() -> None:
    """PLT-60: names in any case, unknown members, comments and trailing commas; PLT-66: an empty data set"""
    body = b"""{ // a comment
      "STUDYinstanceUids": ["1.2.3 ", "1.2"], "other": 1,
      "changedataset": {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}],}, },
    }"""
    update = checked_update(requested_update(read_json(body)))
    assert update == BulkUpdate(["1.2.3", "1.2"], {0x00100010: "New^Name"})
    assert checked({}).changes == {}


@pytest.mark.parametrize("studies", [None, [], "missing"])
def test_plt_63_no_studies(studies: Any) -> None:
    document = {"studyInstanceUids": studies, "changeDataset": None}
    if studies == "missing":
        del document["studyInstanceUids"]
    with pytest.raises(InvalidRequest, match=r"^The required field 'StudyInstanceUids' is missing or empty\.$"):
        checked_update(requested_update(document))


def test_plt_64_too_many() -> None:
    assert len(checked({}, *["1.2"] * 50).studies) == 50
    with pytest.raises(InvalidRequest, match=r"^StudyInstanceUids count exceeded maximum length '50'$"):
        checked({"0020000D": {"vr": "UI"}}, *["bad uid"] * 51)


@pytest.mark.parametrize("uid", ["", "a", "1.2.", "1" * 65, None])
def test_plt_65_bad_uids(uid: Any) -> None:
    with pytest.raises(InvalidIdentifier) as error:
        checked({"0020000D": {"vr": "UI"}}, "1.2", uid)
    assert str(error.value).startswith("Dicom element 'StudyInstanceUid' failed validation for VR 'UI'")


@pytest.mark.parametrize(
    "document",
    [
        [],
        "text",
        None,
        {"studyInstanceUids": "1.2", "changeDataset": {}},
        {"studyInstanceUids": [1.2], "changeDataset": {}},
        {"studyInstanceUids": ["1.2"], "changeDataset": []},
        {"studyInstanceUids": ["1.2"], "changeDataset": "x"},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"00100010": "x"}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"00100010": {"Value": ["x"]}}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"00100010": {"vr": 7}}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"00100010": {"vr": "pn"}}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"00100010": {"vr": "PN", "Value": "x"}}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"00100010": {"vr": "PN", "Value": [7]}}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"00100010": {"vr": "PN", "Value": [{"Alphabetic": 7}]}}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A=B"}]}}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"00100020": {"vr": "LO", "Value": [["x"]]}}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"00100020": {"vr": "LO", "Value": [7]}}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"00101030": {"vr": "DS", "Value": [True]}}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"NoSuchKeyword": {"vr": "LO"}}},
        {"studyInstanceUids": ["1.2"], "changeDataset": {"0010001": {"vr": "LO"}}},
    ],
)
def test_plt_65_other_forms(document: Any) -> None:
    with pytest.raises(InvalidRequest) as error:
        requested_update(document)
    assert str(error.value) == MALFORMED


def test_plt_65_no_changes() -> None:
    for document in ({"studyInstanceUids": ["1.2"]}, {"studyInstanceUids": ["1.2"], "changeDataset": None}):
        with pytest.raises(InvalidRequest, match=r"^The required field 'ChangeDataset' is missing\.$"):
            checked_update(requested_update(document))


GOOD = {"AS": "034Y", "CS": "M", "DA": "20240102", "DS": "71.5", "LO": "x", "LT": "x", "SH": "x", "TM": "101010"}


def test_plt_67_all_that_may_be_changed() -> None:
    """PLT-67: each of the 36 with a value, and without one"""
    assert len(UPDATABLE) == 36
    named = {f"{tag:08x}": {"vr": vr, "Value": [GOOD.get(vr, "A^B")]} for tag, vr in UPDATABLE.items()}
    assert checked(named).changes == {tag: GOOD.get(vr, "A^B") for tag, vr in UPDATABLE.items()}
    empty: list[dict[str, Any]] = [{}, {"Value": []}, {"Value": [None]}, {"Value": [""]}, {"Value": None}]
    for nothing in empty:
        emptied = {f"{tag:08X}": {"vr": vr, **nothing} for tag, vr in UPDATABLE.items()}
        assert set(checked(emptied).changes.values()) == {""}


@pytest.mark.parametrize(
    ("tag", "element"),
    [
        ("0020000D", {"vr": "UI", "Value": ["1.2"]}),
        ("00080018", {"vr": "UI"}),
        ("00080020", {"vr": "DA", "Value": ["20240101"]}),
        ("00080060", {"vr": "CS", "Value": ["CT"]}),
        ("00101002", {"vr": "SQ", "Value": [{"00100020": {"vr": "LO", "Value": ["x"]}}]}),
        ("00280010", {"vr": "US", "Value": [1]}),
        ("00091001", {"vr": "LO", "Value": ["x"]}),
        ("00100011", {"vr": "LO", "Value": ["x"]}),
        ("7FE00010", {"vr": "OW", "InlineBinary": "AAAA"}),
        ("00080005", {"vr": "CS", "Value": ["ISO_IR 192"]}),
    ],
)
def test_plt_68_tags_that_are_refused(tag: str, element: dict[str, Any]) -> None:
    printed = f"({tag[:4]},{tag[4:]})".lower()
    assert comments({tag: element}) == [f"DICOM100: {printed} - Updating the tag is not supported"]


def test_plt_68_keywords() -> None:
    """An attribute may be named by its keyword, as the JSON reader of the service allows."""
    assert checked({"PatientID": {"vr": "LO", "Value": ["7"]}}).changes == {0x00100020: "7"}


@pytest.mark.parametrize(
    ("tag", "element", "reason"),
    [
        ("00100030", {"vr": "DA", "Value": ["2024"]}, "does not match the pattern YYYYMMDD"),
        ("00100030", {"vr": "DA", "Value": ["20241301"]}, "month component"),
        ("00100032", {"vr": "TM", "Value": ["25"]}, "hour component"),
        ("00100040", {"vr": "CS", "Value": ["m"]}, "invalid character"),
        ("00100020", {"vr": "LO", "Value": ["x" * 65]}, "maximum length of 64"),
        ("00100020", {"vr": "LO", "Value": ["a\\b"]}, "invalid character"),
        ("00100020", {"vr": "LO", "Value": ["a\nb"]}, "invalid character"),
        ("00100020", {"vr": "LO", "Value": ["a", "b"]}, "Number of items 2"),
        ("00080050", {"vr": "SH", "Value": ["x" * 17]}, "maximum length of 16"),
        ("00101010", {"vr": "AS", "Value": ["34"]}, "000[DWMY]"),
        ("00101030", {"vr": "DS", "Value": ["heavy"]}, "decimal string"),
        ("00104000", {"vr": "LT", "Value": ["x" * 10241]}, "maximum length of 10240"),
        ("00100010", {"vr": "PN", "Value": [{"Alphabetic": "a^b^c^d^e^f"}]}, "too many components"),
        ("00100010", {"vr": "PN", "Value": ["a=b=c=d"]}, "too many groups"),
        ("00101000", {"vr": "LO", "Value": ["x" * 60] * 1100}, "more than 65534 bytes"),
        ("00100020", {"vr": "PN", "Value": ["x"]}, "The VR of the attribute is LO, not PN"),
    ],
)
def test_plt_68_values_that_are_refused(tag: str, element: dict[str, Any], reason: str) -> None:
    (text,) = comments({tag: element})
    assert text.startswith(f"DICOM100: ({tag[:4]},{tag[4:]}) - ".lower().replace("dicom100", "DICOM100"))
    assert reason in text


def test_plt_68_all_of_them_in_order_of_tags() -> None:
    texts = comments(
        {
            "00400275": {"vr": "SQ"},
            "00100030": {"vr": "DA", "Value": ["x"]},
            "00100020": {"vr": "LO", "Value": ["fine"]},
            "00080018": {"vr": "UI"},
        }
    )
    assert [text[10:21] for text in texts] == ["(0008,0018)", "(0010,0030)", "(0040,0275)"]


@pytest.mark.parametrize(
    ("vr", "values", "text"),
    [
        ("PN", [{"Alphabetic": "A^B", "Ideographic": "山^田", "Phonetic": "や"}], "A^B=山^田=や"),
        ("PN", [{"Ideographic": "山^田"}], "=山^田"),
        ("PN", [{"Alphabetic": "A", "Phonetic": ""}], "A"),
        ("PN", ["A=B"], "A=B"),
    ],
)
def test_names(vr: str, values: list[Any], text: str) -> None:
    """PLT-60, PLT-74"""
    assert checked({"00100010": {"vr": vr, "Value": values}}).changes == {0x00100010: text}


@pytest.mark.parametrize(
    ("value", "text"),
    [(71, "71"), (1.75, "1.75"), ("1.750", "1.750"), (0.1 + 0.2, "0.3"), (1 / 3, "0.33333333333333"), (1e-7, "1e-07")],
)
def test_numbers(value: float | str, text: str) -> None:
    """PLT-60, PLT-68: DS as a number or as its text; no more digits than it holds"""
    assert checked({"00101030": {"vr": "DS", "Value": [value]}}).changes == {0x00101030: text}


def test_several_values() -> None:
    """PLT-74: where the attribute may have them, with places that are empty"""
    assert checked({"00101000": {"vr": "LO", "Value": ["a", None, "c "]}}).changes == {0x00101000: "a\\\\c"}
    assert checked({"00104000": {"vr": "LT", "Value": ["a\\b\r\nc"]}}).changes == {0x00104000: "a\\b\r\nc"}
