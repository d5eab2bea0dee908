"""The query of searches for workitems: keys, values, refusals; and what the values match."""

import pytest

from shared.dicom.matching import Between, Equal
from shared.dicom.normal_form import normal_text
from shared.dicom.workitem_attributes import SEARCHABLE
from shared.dicomweb.query_string import query_pairs
from shared.dicomweb.workitem_search_parameters import NameWords, WorkitemSearch, workitem_search
from shared.errors import InvalidRequest

pytestmark = pytest.mark.unit


def search(query: str) -> WorkitemSearch:
    return workitem_search(query_pairs(query.encode()))


def refused(query: str) -> str:
    with pytest.raises(InvalidRequest) as error:
        search(query)
    return str(error.value)


KEYS = {
    "PatientName": ("00100010",),
    "PatientID": ("00100020",),
    "StudyInstanceUID": ("0020000D",),
    "ProcedureStepState": ("00741000",),
    "ReferencedRequestSequence.AccessionNumber": ("0040A370", "00080050"),
    "ReferencedRequestSequence.RequestedProcedureID": ("0040A370", "00401001"),
    "ScheduledStationNameCodeSequence.CodeValue": ("00404025", "00080100"),
    "ScheduledStationClassCodeSequence.CodeValue": ("00404026", "00080100"),
    "ScheduledStationGeographicLocationCodeSequence.CodeValue": ("00404027", "00080100"),
    "ScheduledProcedureStepStartDateTime": ("00404005",),
}


@pytest.mark.parametrize(("key", "path"), KEYS.items())
def test_ups_60_keys(key: str, path: tuple[str, ...]) -> None:
    """UPS-60: keywords, tags in any letter case, and both in one path."""
    value = "2024" if path == ("00404005",) else "X"
    spellings = {key, ".".join(path), ".".join(path).lower()}
    if len(path) == 2:
        keywords = key.split(".")
        spellings |= {f"{path[0]}.{keywords[1]}", f"{keywords[0]}.{path[1]}"}
    for spelling in spellings:
        (found,) = search(f"{spelling}={value}").filters
        assert (found.attribute.path, found.attribute.keyword) == (path, key)


def test_ups_60_nothing_else() -> None:
    assert set(SEARCHABLE) == set(KEYS.values())


@pytest.mark.parametrize(
    "key",
    [
        "Modality",
        "patientid",
        "CodeValue",
        "AccessionNumber",
        "ReferencedRequestSequence",
        "0040A370",
        "nonsense",
        "ReferencedRequestSequence.PatientID",
        "PatientID.PatientName",
        "ReferencedRequestSequence.AccessionNumber.CodeValue",
        "ReferencedRequestSequence.",
        ".AccessionNumber",
        "00081195",
        "TransactionUID",
        "00091001",
        "",
    ],
)
def test_ups_61_not_searchable(key: str) -> None:
    assert refused(f"{key}=x").startswith(
        f"Invalid query: AttributeId {key} is not queryable.  If the parameter is an attribute keyword, check the "
        "casing as they are case-sensitive. "
    )


@pytest.mark.parametrize(
    "query", ["PatientID=a&PatientID=b", "PatientID=a&00100020=b", "0020000d=1&0020000D=1", "PatientID=a&00100020=a"]
)
def test_ups_62_once_each(query: str) -> None:
    assert "uplicate" in refused(query) or "more than once" in refused(query)


def test_ups_62_values() -> None:
    for query in ("PatientID=", "PatientID", "PatientID=%20", "PatientID=+"):
        assert refused(query) == (
            "Invalid query: AttributeId 'PatientID' has empty string value that is not supported."
        )
    assert len(search("PatientID=a&PatientName=b&ProcedureStepState=SCHEDULED").filters) == 3


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("PatientID=A*?", "a*?"),
        ("PatientID=a,b%5Cc", "a,b\\c"),
        ("StudyInstanceUID=1.2,1.3", "1.2,1.3"),
        ("PatientName=M%C3%BCller^Zo%C3%A9", "muller^zoe"),
        ("PatientName=%22x", '"x'),
        ("ProcedureStepState=IN+PROGRESS", "in progress"),
        ("ScheduledStationNameCodeSequence.CodeValue=STATION1", "station1"),
    ],
)
def test_ups_63_exact(query: str, form: str) -> None:
    (found,) = search(query).filters
    assert found.matcher == Equal(form)


@pytest.mark.parametrize(
    ("value", "stored", "matches"),
    [
        ("joh", "John^Doe", True),
        ("do", "John^Doe", True),
        ("jo do", "John^Doe", True),
        ("John Doe", "John^Doe", True),
        ("DOE", "John^Doe", True),
        ("ohn", "John^Doe", False),
        ("doe john", "John^Doe", False),
        ("jo x", "John^Doe", False),
        ("john doe extra", "John^Doe", False),
        ("tar", "Yamada^Tarou=山田^太郎", True),
        ("tarou 山", "Yamada^Tarou=山田^太郎", True),
        ("zoe", "Müller^Zoé Anne", True),
        ("zoe an", "Müller^Zoé Anne", True),
        ("muller anne", "Müller^Zoé Anne", False),
        ("o'ne", "O'Neil^Ann", True),
        ("neil", "O'Neil^Ann", False),
        ("^", "John^Doe", False),
    ],
)
def test_ups_64_fuzzy(value: str, stored: str, matches: bool) -> None:
    (found,) = search(f"PatientName={value}&FuzzyMatching=True").filters
    assert isinstance(found.matcher, NameWords)
    assert found.matcher.matches(normal_text("PN", stored)) is matches
    assert not found.matcher.matches(None)


def test_ups_64_only_names() -> None:
    (found,) = search("PatientID=a b&fuzzymatching=true").filters
    assert found.matcher == Equal("a b")
    assert "unsupported character" in refused("PatientName=a%22b&fuzzymatching=true")


@pytest.mark.parametrize(
    ("value", "matcher"),
    [
        ("2024", Equal("20240101000000000000")),
        ("202405", Equal("20240501000000000000")),
        ("20240501", Equal("20240501000000000000")),
        ("2024050110", Equal("20240501100000000000")),
        ("20240501103015.25", Equal("20240501103015250000")),
        ("2023-2024", Between("20230101000000000000", "20240101000000000000")),
        ("2024-2024", Between("20240101000000000000", "20240101000000000000")),
        ("20240501-", Between("20240501000000000000", None)),
        ("-20240501", Between(None, "20240501000000000000")),
    ],
)
def test_ups_65_start(value: str, matcher: object) -> None:
    (found,) = search(f"ScheduledProcedureStepStartDateTime={value}").filters
    assert found.matcher == matcher


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("-", "Invalid query: specified range is invalid. "),
        ("2025-2024", "Invalid query: specified date time range '2025-2024' is invalid. "),
        ("2024-2025-2026", "Invalid query: specified DateTime value '2024-2025-2026' "),
        ("20240230", "Invalid query: specified DateTime value '20240230' "),
        ("today", "Invalid query: specified DateTime value 'today' "),
        ("202", "Invalid query: specified DateTime value '202' "),
        ("20240101250000", "Invalid query: specified DateTime value '20240101250000' "),
    ],
)
def test_ups_65_refused(value: str, text: str) -> None:
    assert refused(f"ScheduledProcedureStepStartDateTime={value}").startswith(text)


@pytest.mark.parametrize("value", ["20240101%2B0100", "20240101%2B0100-", "-20240101100000.5%2B0000"])
def test_ups_65_offsets(value: str) -> None:
    assert "contains offset which is not supported." in refused(f"00404005={value}")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("limit=0", "The query parameter 'Limit' is invalid. The field Limit must be between 1 and 200."),
        ("LIMIT=201", "The query parameter 'Limit' is invalid. The field Limit must be between 1 and 200."),
        ("limit=x", "The query parameter 'Limit' is invalid. "),
        ("offset=-1", "The query parameter 'Offset' is invalid. "),
        ("fuzzymatching=yes", "The query parameter 'FuzzyMatching' is invalid. "),
        ("includefield=x", "Invalid query: IncludeField has unknown attribute 'x'."),
        ("includefield=", "Invalid query: IncludeField has unknown attribute ''."),
        ("includefield=all,PatientID", "Invalid query: cannot specify included fields in addition to 'all'."),
        ("includefield=PatientID&IncludeField=all", "Invalid query: cannot specify included fields in addition"),
    ],
)
def test_ups_66_ups_70_refused(query: str, text: str) -> None:
    """UPS-66, UPS-70"""
    assert refused(query).startswith(text)
    assert "Sequential dicom tags are currently not supported." in refused("includefield=0040A370.00080050")


def test_ups_66_ups_70_taken() -> None:
    """UPS-66, UPS-70"""
    found = search("Limit=200&OFFSET=7&includefield=PatientAge,00091001&IncludeField=0040a370")
    assert (found.page.limit, found.page.offset) == (200, 7)
    assert found.fields.tags == {"00101010", "00091001", "0040A370"}
    assert search("includefield=ALL").fields.all
    assert (search("").page.limit, search("").page.offset) == (100, 0)
