"""Searches for workitems by URL: what they find, in which order, and what they show."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.made_files import new_uid
from tests.support.worklist import (
    DICOM_JSON,
    MODIFIED,
    STATE,
    TRANSACTION,
    Dataset,
    Worklist,
    code,
    complete,
    name,
    performed,
    request,
    short,
    text,
    uids,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def worklist(base_url: str) -> Worklist:
    return Worklist(f"{base_url}/v2")


@dataclass(frozen=True)
class Ward:
    """Workitems of one test run, all of one patient, by letter: each was created after those before it."""

    worklist: Worklist
    patient: str
    letters: dict[str, str]

    def found(self, *filters: tuple[str, str], query: str = "") -> str:
        """The letters of what is found, in the order of the answer."""
        items = self.worklist.found(("PatientID", self.patient), *filters, query=query)
        return "".join(self.letters[uid] for uid in uids(items))


@pytest.fixture(scope="module")
def ward(worklist: Worklist) -> Ward:
    patient = f"W{new_uid()[-8:]}"
    extras: dict[str, Dataset] = {
        "A": {"00100010": name("Doe^John"), "0020000D": text("UI", "1.2.3"), "00404005": text("DT", "20240501100000")},
        "B": {
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Zoé Anne", "Ideographic": "山田^太郎"}]},
            "00404005": text("DT", "20240502"),
            "0040A370": text("SQ", request("ACC-1", "RP1"), request("ACC-2", "RP2")),
        },
        "C": {
            "00100010": name("O'Neil^Ann"),
            "00404005": text("DT", "20240501100000.5+0200"),
            "00404025": text("SQ", code("CT1"), code("CT2")),
            "00404026": text("SQ", code("CT*")),
            "00404027": text("SQ", code("Room 5")),
            "0040A370": text("SQ", request("acc-1", "RP3")),
        },
        "D": {"00100010": text("PN"), "0020000D": text("UI", "1.2.4", "1.2.3"), "00404005": text("DT", "soon")},
        "E": {"00404025": text("SQ", {}, {"00080104": text("LO", "no value"), "00080100": text("SH")})},
    }
    letters = {}
    for letter, extra in extras.items():
        dataset = {"00100020": text("LO", patient)} | extra
        if letter == "E":
            dataset = complete(patient) | {"00404027": text("SQ")}
        letters[worklist.new(dataset)] = letter
    transaction = new_uid()
    by_letter = {letter: uid for uid, letter in letters.items()}
    assert worklist.change(by_letter["B"], "IN PROGRESS", transaction).status_code == 200
    assert worklist.cancel(by_letter["C"]).status_code == 202
    return Ward(worklist, patient, letters)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("StudyInstanceUID", "1.2.3", "A"),
        ("0020000d", "1.2.4", "D"),
        ("StudyInstanceUID", "1.2.3,1.2.4", ""),
        ("StudyInstanceUID", "1.2.3\\1.2.4", ""),
        ("PatientName", "doe^john", "EA"),
        ("PatientName", "Doe", ""),
        ("PatientName", "Doe*", ""),
        ("PatientName", "MULLER^ZOE ANNE=山田^太郎", "B"),
        ("PatientName", "Müller^Zoé Anne", ""),
        ("00100010", "o'neil^ann", "C"),
        ("ProcedureStepState", "SCHEDULED", "EDA"),
        ("ProcedureStepState", "in progress", "B"),
        ("00741000", "CANCELED", "C"),
        ("ProcedureStepState", "COMPLETED", ""),
        ("ProcedureStepState", "*", ""),
        ("ScheduledProcedureStepStartDateTime", "20240501100000", "EA"),
        ("ScheduledProcedureStepStartDateTime", "2024050110", "EA"),
        ("ScheduledProcedureStepStartDateTime", "20240501", ""),
        ("00404005", "20240502", "B"),
        ("00404005", "20240501-20240502", "ECBA"),
        ("00404005", "20240501100000.5-", "CB"),
        ("00404005", "-20240501100000.4", "EA"),
        ("00404005", "20240501100000-20240501100000", "EA"),
        ("00404005", "2025-", ""),
        ("ReferencedRequestSequence.AccessionNumber", "ACC-1", "CB"),
        ("0040A370.00080050", "acc-2", "B"),
        ("0040A370.AccessionNumber", "ACC1", "E"),
        ("ReferencedRequestSequence.RequestedProcedureID", "RP2", "B"),
        ("ReferencedRequestSequence.00401001", "RP9", ""),
        ("ScheduledStationNameCodeSequence.CodeValue", "ct2", "C"),
        ("ScheduledStationNameCodeSequence.CodeValue", "ct", ""),
        ("00404025.00080100", "STATION1", "E"),
        ("ScheduledStationClassCodeSequence.CodeValue", "CT*", "C"),
        ("ScheduledStationClassCodeSequence.CodeValue", "C*", ""),
        ("ScheduledStationClassCodeSequence.CodeValue", "CT1", ""),
        ("ScheduledStationGeographicLocationCodeSequence.CodeValue", "room 5", "C"),
    ],
)
def test_ups_60_ups_63_ups_65_filters(ward: Ward, key: str, value: str, found: str) -> None:
    """UPS-60, UPS-63, UPS-65, UPS-67"""
    assert ward.found((key, value)) == found


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("joh", "EA"),
        ("do", "EA"),
        ("do joh", "EA"),
        ("john doe", ""),
        ("zoe an", "B"),
        ("ann", "CB"),
        ("太", "B"),
        ("neil", ""),
        ("o'n", "C"),
        ("ohn", ""),
    ],
)
def test_ups_64_fuzzy(ward: Ward, words: str, found: str) -> None:
    assert ward.found(("PatientName", words), query="fuzzymatching=true") == found
    assert ward.found(("PatientName", words), query="FuzzyMatching=false") == ""


def test_ups_62_all_filters_must_match(ward: Ward) -> None:
    """UPS-62"""
    assert ward.found(("ProcedureStepState", "SCHEDULED"), ("PatientName", "doe^john")) == "EA"
    assert ward.found(("ProcedureStepState", "SCHEDULED"), ("StudyInstanceUID", "1.2.3")) == "A"
    assert ward.found(("ProcedureStepState", "CANCELED"), ("StudyInstanceUID", "1.2.3")) == ""
    station = ("ScheduledStationNameCodeSequence.CodeValue", "CT1")
    assert ward.found(station, ("ProcedureStepState", "CANCELED"), ("0040A370.00080050", "ACC-1")) == "C"


@pytest.mark.parametrize(
    ("query", "fragment"),
    [
        ("Modality=CT", "AttributeId Modality is not queryable."),
        ("patientid=x", "AttributeId patientid is not queryable."),
        ("a.b.c=1", "AttributeId a.b.c is not queryable."),
        ("PatientID=a&PatientID=b", "uplicate"),
        ("PatientID=a&00100020=b", "more than once"),
        ("PatientID=", "AttributeId 'PatientID' has empty string value that is not supported."),
        ("00404005=-", "range is invalid"),
        ("limit=0", "The field Limit must be between 1 and 200."),
        ("limit=201", "The field Limit must be between 1 and 200."),
        ("offset=-1", "The query parameter 'Offset' is invalid."),
        ("fuzzymatching=x", "The query parameter 'FuzzyMatching' is invalid."),
        ("includefield=nothing", "IncludeField has unknown attribute 'nothing'."),
        ("includefield=ReferencedRequestSequence.AccessionNumber", "currently not supported."),
        ("includefield=all,00100010", "cannot specify included fields in addition to 'all'."),
    ],
)
def test_ups_61_ups_62_ups_66_ups_70_refused(worklist: Worklist, query: str, fragment: str) -> None:
    """UPS-05, UPS-61, UPS-62, UPS-66, UPS-70: bare text, and no warning."""
    response = worklist.search(query, accept=DICOM_JSON)
    assert response.status_code == 400
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert fragment in response.text
    assert "warning" not in response.headers


def test_ups_66_ups_67_ups_68_pages(ward: Ward) -> None:
    """UPS-66, UPS-67, UPS-68: newest first, whatever has happened to them since."""
    assert ward.found() == "EDCBA"
    assert ward.found(query="limit=2") == "ED"
    assert ward.found(query="Limit=2&OFFSET=2") == "CB"
    assert ward.found(query="offset=4&limit=200") == "A"
    assert ward.found(query="offset=5") == ward.found(query="offset=2147483647") == ""
    assert "".join(ward.found(query=f"limit=1&offset={number}") for number in range(7)) == "EDCBA"


def test_ups_68_answers(worklist: Worklist) -> None:
    response = worklist.search(f"PatientID={new_uid()}")
    assert (response.status_code, response.content) == (204, b"")
    assert "warning" not in response.headers
    uid = worklist.new()
    response = worklist.search("limit=1")
    assert response.status_code == 200
    assert response.headers["content-type"] == DICOM_JSON
    assert uids(response.json()) == [uid]
    assert "warning" not in response.headers


DEFAULT = """
    00080016 00080018 00081080 00081084 00100010 00100020 00100021 00100024 00100030 00100040 00101002 0020000D
    00380010 00380014 00404005 00404018 00404021 00404025 00404026 00404027 00404041 0040A370 00741000 00741002
    00741200 00741202 00741204 00741210
"""
MORE = {
    "0020000D": text("UI", "1.2.3"),
    "00080005": text("CS", "ISO_IR 192"),
    "00102000": text("LO", "Alert"),
    "001021C0": text("US", 4),
    "00380050": text("LO", "Needs"),
    "00404034": text("SQ"),
}
"""What the default set has beyond the attributes of a complete workitem."""


def test_ups_69_default_set(worklist: Worklist) -> None:
    """UPS-69: absent attributes are not added, others are left out."""
    patient = new_uid()
    hidden = {"00404011": text("DT", "2025"), "00101010": text("AS", "030Y"), "00091001": text("LO", "private")}
    uid = worklist.new(complete(patient) | MORE | hidden)
    (item,) = worklist.found(("PatientID", patient))
    assert set(item) == set(DEFAULT.split()) | set(MORE)
    whole = worklist.dataset(uid)
    assert item == {tag: whole[tag] for tag in item}
    assert list(item) == sorted(item)
    worklist.new(short(patient))
    newest, _ = worklist.found(("PatientID", patient))
    assert set(newest) == {"00080016", "00080018", "00100010", "00100020", STATE, "00741202"}


def test_ups_70_ups_71_include(worklist: Worklist) -> None:
    """UPS-70, UPS-71"""
    patient = new_uid()
    extra = {"00101010": text("AS", "030Y"), "00091001": text("LO", "private"), "00091002": text("LO", "other")}
    uid, transaction = worklist.claimed(complete(patient) | extra)
    assert worklist.update(uid, performed(), transaction).status_code == 200
    whole = worklist.dataset(uid)

    def added(include: str) -> set[str]:
        (item,) = worklist.found(("PatientID", patient), query=include)
        assert item == {tag: whole[tag] for tag in item}
        assert TRANSACTION not in item
        return set(item) - set(DEFAULT.split())

    assert added("") == set()
    assert added("includefield=PatientAge") == {"00101010"}
    assert added("includefield=00091001,PatientAge&IncludeField=00404010") == {"00091001", "00101010", MODIFIED}
    assert added("includefield=UnifiedProcedureStepPerformedProcedureSequence") == {"00741216"}
    assert added("includefield=PatientSize") == set()
    assert added("includefield=TransactionUID") == added("includefield=00081195") == set()
    assert added("includefield=all") == set(whole) - set(DEFAULT.split())
    assert transaction not in worklist.search(f"PatientID={quote(patient)}&includefield=all").text


def test_ups_69_filter_attributes_are_shown(worklist: Worklist) -> None:
    patient = new_uid()
    worklist.new(short(patient) | {"00404026": text("SQ", code("X"))})
    (item,) = worklist.found(("PatientID", patient), ("ScheduledStationClassCodeSequence.CodeValue", "x"))
    assert item["00404026"] == text("SQ", code("X"))


def test_ups_10_search_sees_every_change(worklist: Worklist) -> None:
    """UPS-10, UPS-44: right after the answer."""
    patient, transaction = new_uid(), new_uid()

    def states() -> list[Any]:
        return [item[STATE]["Value"][0] for item in worklist.found(("PatientID", patient))]

    def stations() -> int:
        station = ("ScheduledStationNameCodeSequence.CodeValue", "NEW")
        return len(worklist.found(("PatientID", patient), station))

    uid = worklist.new(short(patient))
    assert (states(), stations()) == (["SCHEDULED"], 0)
    assert worklist.change(uid, "IN PROGRESS", transaction).status_code == 200
    assert states() == ["IN PROGRESS"]
    assert worklist.update(uid, {"00404025": text("SQ", code("NEW"))}, transaction).status_code == 200
    assert stations() == 1
    assert worklist.update(uid, {"00404025": text("SQ", code("OTHER"))}, transaction).status_code == 200
    assert stations() == 0
    assert worklist.change(uid, "COMPLETED", transaction).status_code == 200
    assert states() == ["COMPLETED"]


def test_ups_63_values_of_all_kinds(worklist: Worklist) -> None:
    """UPS-63: long values, several in a sequence, and signs that mean something to storage."""
    patient = new_uid()
    values = ["it's", "100% #?|/\\", "tab\there", "nul\0l", "x" * 500, "ß", "İ", "😀" * 70, "a", "b"]
    for value in values:
        worklist.new(short(patient) | {"00404025": text("SQ", code(value), code(f"{value}{value}"))})
        worklist.new({"00100020": text("LO", patient), "0020000D": text("UI", value)})
    for value in values:
        for filter_ in ("ScheduledStationNameCodeSequence.CodeValue", "StudyInstanceUID"):
            found = worklist.found(("PatientID", patient), (filter_, value))
            assert len(found) == 1, (filter_, value)
    double = worklist.found(("PatientID", patient), ("ScheduledStationNameCodeSequence.CodeValue", "aa"))
    assert len(double) == 1
