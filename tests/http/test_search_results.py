"""What searches return: attributes of each level, order, pages, and what changes of the store do to them."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.support.made_files import made_file, new_uid, store
from tests.support.searches import Item, Searcher, values

pytestmark = pytest.mark.integration

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
STUDY_DEFAULT = ["00080020", "00080050", "00080090", "00081030", "00100010", "00100020", "00100030", STUDY]
SERIES_DEFAULT = ["00080060", "00081090", SERIES, "00400244"]


@pytest.fixture
def search(base_url: str) -> Searcher:
    return Searcher(f"{base_url}/v2")


@pytest.fixture
def token() -> str:
    return new_uid()[-10:]


FULL = {
    "PatientName": "Doe^Jane=山田",
    "PatientBirthDate": "19700102",
    "StudyDate": "20240101",
    "StudyTime": "101112",
    "StudyDescription": "Head",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "Who^Doctor",
    "Modality": "CT",
    "ManufacturerModelName": "Model X",
    "PerformedProcedureStepStartDate": "20240103",
    "SeriesDescription": "Axial",
    "InstanceNumber": "+03",
    "Rows": 64,
    "PatientSex": "",
    "PixelSpacing": ["0.5", "0.25"],
}


def stored(search: Searcher, token: str, study: str, series: str, **changed: Any) -> str:
    """Stores one more instance; its UID."""
    uid = new_uid()
    store(search.url, made_file(study, series, uid, **{**FULL, "PatientID": token, **changed}))
    return uid


def tags(item: Item) -> list[str]:
    return sorted(item)


def test_qry_50_qry_51_qry_52_default_attributes(search: Searcher, token: str) -> None:
    """QRY-50, QRY-51, QRY-52: the set of each level of the resource, the filters, the UIDs of the path; no more."""
    study, series = new_uid(), new_uid()
    stored(search, token, study, series)
    by_patient = ("PatientID", token)
    for path, filters, expected in (
        ("/studies", [by_patient], STUDY_DEFAULT),
        ("/series", [by_patient], STUDY_DEFAULT + SERIES_DEFAULT),
        ("/instances", [by_patient], [*STUDY_DEFAULT, *SERIES_DEFAULT, INSTANCE]),
        (f"/studies/{study}/series", [], [*SERIES_DEFAULT, STUDY]),
        (f"/studies/{study}/instances", [], [*SERIES_DEFAULT, STUDY, INSTANCE]),
        (f"/studies/{study}/series/{series}/instances", [], [STUDY, SERIES, INSTANCE]),
    ):
        (item,) = search.find(path, *filters)
        assert tags(item) == sorted(expected), path
    (item,) = search.find("/studies", by_patient)
    assert item["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane", "Ideographic": "山田"}]}
    assert item["00080020"] == {"vr": "DA", "Value": ["20240101"]}
    assert item[STUDY] == {"vr": "UI", "Value": [study]}


def test_qry_53_values_that_are_not_there(search: Searcher, token: str) -> None:
    study, series = new_uid(), new_uid()
    store(search.url, made_file(study, series, new_uid(), PatientID=token, PatientName="", Modality="CT"))
    (item,) = search.find("/studies", ("PatientID", token))
    assert tags(item) == ["00100020", STUDY]
    (item,) = search.find("/instances", ("PatientID", token))
    assert item["00100010"] == {"vr": "PN"}
    assert "00080020" not in item
    (item,) = search.find("/studies", ("PatientID", token), ("includefield", "PatientName"))
    assert "00100010" not in item or item["00100010"] == {"vr": "PN"}


def test_qry_24_qry_54_includefield(search: Searcher, token: str) -> None:
    """QRY-24, QRY-54, QRY-59: any attribute of any level, from the newest instance if it lies below the item."""
    study, series = new_uid(), new_uid()
    stored(search, token, study, series, Modality="CT", Rows=64)
    stored(search, token, study, new_uid(), Modality="MR", Rows=128)
    patient = ("PatientID", token)
    (item,) = search.find(
        "/studies", patient, query="limit=25&offset=0&includefield=00081030%2C00080060&includefield=Rows"
    )
    assert tags(item) == sorted([*STUDY_DEFAULT, "00080060", "00280010"])
    assert item["00080060"]["Value"] == ["MR"]
    assert item["00280010"] == {"vr": "US", "Value": [128]}
    first = search.find(f"/studies/{study}/series", query="includefield=StudyTime,Rows,PixelSpacing,StudyDate")[1]
    assert first["00080030"]["Value"] == ["101112"]
    assert first["00280010"]["Value"] == [64]
    assert first["00280030"]["Value"] == [0.5, 0.25]
    assert first["00080020"]["Value"] == ["20240101"]
    (item,) = search.find(f"/studies/{study}/series/{series}/instances", query="includefield=InstanceNumber,PatientSex")
    assert item["00200013"] == {"vr": "IS", "Value": [3]}
    assert item["00100040"] == {"vr": "CS"}
    (item,) = search.find("/studies", patient, query="includefield=PatientComments,SOPInstanceUID,00081190")
    assert tags(item) == sorted([*STUDY_DEFAULT, INSTANCE])


def test_qry_57_sequences_private_and_bulk(search: Searcher, token: str) -> None:
    from pydicom.dataset import Dataset

    request = Dataset()
    request.AccessionNumber = "S1"
    study = new_uid()
    stored(
        search,
        token,
        study,
        new_uid(),
        RequestAttributesSequence=[request],
        creator=(0x12050010, "LO", "ACME"),
        private=(0x12051003, "LO", "mine"),
        bulk=(0x12051004, "OB", b"\0\1"),
    )
    for path in ("/studies", "/instances"):
        (item,) = search.find(
            path, ("PatientID", token), query="includefield=RequestAttributesSequence,12051003,12051004,12050010"
        )
        assert item["00400275"] == {"vr": "SQ", "Value": [{"00080050": {"vr": "SH", "Value": ["S1"]}}]}
        assert item["12051003"] == {"vr": "LO", "Value": ["mine"]}
        assert item["12050010"] == {"vr": "LO", "Value": ["ACME"]}
        assert "12051004" not in item


def test_qry_55_all(search: Searcher, token: str) -> None:
    study, series = new_uid(), new_uid()
    stored(search, token, study, series)
    patient = ("PatientID", token)
    study_all = ["00080005", "00080030", "00100040"]
    series_all = ["00080005", "0008103E"]
    instance_all = ["00080005", "00080016", "00200013", "00280010"]
    for query in ("includefield=all", "IncludeField=ALL"):
        for path, expected in (
            ("/studies", {*STUDY_DEFAULT, *study_all}),
            ("/series", {*STUDY_DEFAULT, *SERIES_DEFAULT, *study_all, *series_all}),
            ("/instances", {*STUDY_DEFAULT, *SERIES_DEFAULT, INSTANCE, *study_all, *series_all, *instance_all}),
        ):
            (item,) = search.find(path, patient, query=query)
            assert tags(item) == sorted(expected)
    (item,) = search.find(f"/studies/{study}/series/{series}/instances", query="includefield=all")
    assert tags(item) == sorted({STUDY, SERIES, INSTANCE, *instance_all})


def test_qry_58_computed_attributes(search: Searcher, token: str) -> None:
    study, series = new_uid(), new_uid()
    stored(search, token, study, series, Modality="MR")
    stored(search, token, study, new_uid(), Modality="CT")
    stored(search, token, study, series, Modality="MR")
    both = "includefield=NumberOfStudyRelatedInstances,00201209,ModalitiesInStudy"
    modalities, of_study = {"vr": "CS", "Value": ["MR", "CT"]}, {"vr": "IS", "Value": [3]}
    (item,) = search.find("/studies", ("PatientID", token), query=both)
    assert (item["00080061"], item["00201208"]) == (modalities, of_study)
    assert "00201209" not in item
    for path, query in (("/series", f"PatientID={token}"), (f"/studies/{study}/series", "limit=9")):
        items = search.find(path, query=f"{query}&{both}")
        assert [item["00201209"]["Value"] for item in items] == [[1], [2]]
        assert all((item["00080061"], item["00201208"]) == (modalities, of_study) for item in items)
    for item in search.find(f"/studies/{study}/series/{series}/instances", query=both):
        assert tags(item) == sorted([STUDY, SERIES, INSTANCE])
    (item,) = search.find("/studies", ("PatientID", token), query="includefield=NumberOfStudyRelatedSeries")
    assert tags(item) == sorted(STUDY_DEFAULT)


def test_qry_60_qry_61_the_newest_values_count(search: Searcher, token: str) -> None:
    """QRY-60, QRY-61"""
    study, series = new_uid(), new_uid()
    old = stored(search, token, study, series, PatientName="Old^Name", StudyDescription="kept")
    new = stored(search, token, study, series, PatientName="New^Name", StudyDescription="", SeriesDescription="")
    patient = ("PatientID", token)
    (item,) = search.find("/studies", patient, ("PatientName", "New^Name"), query="includefield=SeriesDescription")
    assert item["00100010"]["Value"] == [{"Alphabetic": "New^Name"}]
    assert item["00081030"]["Value"] == ["kept"]
    assert item["0008103E"] == {"vr": "LO"}
    assert search.find("/studies", patient, ("PatientName", "Old^Name")) == []
    items = search.find("/instances", patient, ("PatientName", "New^Name"))
    assert values(items, INSTANCE) == [new, old]
    assert values(items, "00100010") == [{"Alphabetic": "New^Name"}, {"Alphabetic": "Old^Name"}]


def test_qry_63_deletions(search: Searcher, token: str) -> None:
    """QRY-08, QRY-63"""
    study, series, other = new_uid(), new_uid(), new_uid()
    first = stored(search, token, study, series, StudyDescription="first")
    second = stored(search, token, study, other, StudyDescription="second")
    patient = ("PatientID", token)
    count = "includefield=NumberOfStudyRelatedInstances"
    _delete(search, f"/studies/{study}/series/{other}/instances/{second}")
    (item,) = search.find("/studies", patient, query=count)
    assert (item["00201208"]["Value"], item["00081030"]["Value"]) == ([1], ["second"])
    assert values(search.find(f"/studies/{study}/series"), SERIES) == [series]
    assert values(search.find("/instances", patient), INSTANCE) == [first]
    _delete(search, f"/studies/{study}/series/{series}")
    for path in ("/studies", "/series", "/instances"):
        assert search.find(path, patient) == []
    stored(search, token, study, series, StudyDescription="")
    (item,) = search.find("/studies", patient)
    assert "00081030" not in item


def _delete(search: Searcher, path: str) -> None:
    assert httpx.delete(search.url + path).status_code == 204


def test_qry_70_newest_first(search: Searcher, token: str) -> None:
    """QRY-70, STO-44: a later instance does not move its study or series; a replaced instance comes first."""
    studies = [new_uid() for _ in range(3)]
    series = [new_uid() for _ in range(3)]
    instances = [stored(search, token, study, one) for study, one in zip(studies, series, strict=True)]
    late = new_uid()
    instances.append(stored(search, token, studies[0], late))
    instances.append(stored(search, token, studies[0], series[0]))
    patient = ("PatientID", token)
    assert values(search.find("/studies", patient), STUDY) == studies[::-1]
    assert values(search.find("/series", patient), SERIES) == [late, *series[::-1]]
    assert values(search.find("/instances", patient), INSTANCE) == instances[::-1]
    _delete(search, f"/studies/{studies[1]}")
    stored(search, token, studies[1], series[1])
    assert values(search.find("/studies", patient), STUDY) == [studies[1], studies[2], studies[0]]


@pytest.mark.parametrize("path", ["/studies", "/series", "/instances"])
def test_qry_21_qry_22_qry_71_pages(search: Searcher, path: str) -> None:
    """QRY-05, QRY-21, QRY-22, QRY-71"""
    token = new_uid()[-10:]
    files = [made_file(new_uid(), new_uid(), new_uid(), PatientID=token, PatientName=f"N^{n}") for n in range(7)]
    for file in files:
        store(search.url, file)

    def page(query: str) -> Sequence[Any]:
        names = values(search.find(path, ("PatientID", token), query=query), "00100010")
        return [name["Alphabetic"] for name in names]

    whole = page("limit=200")
    assert whole == [f"N^{n}" for n in range(6, -1, -1)]
    assert page("limit=3") == whole[:3]
    assert page("limit=3&offset=3") == whole[3:6]
    assert page("LIMIT=3&Offset=6&limit=1") == whole[6:]
    assert page("offset=7") == page("offset=2147483647") == []
    assert [page(f"limit=1&offset={n}")[0] for n in range(7)] == whole


def test_qry_21_default_limit(search: Searcher) -> None:
    """QRY-21: 100 items without limit, up to 200 with it."""
    study, series, token = new_uid(), new_uid(), new_uid()[-10:]
    uids = [new_uid() for _ in range(205)]
    store(search.url, *(made_file(study, series, uid, PatientID=token) for uid in uids))
    path = f"/studies/{study}/series/{series}/instances"
    assert len(search.find(path)) == 100
    assert len(search.find(path, query="limit=200")) == 200
    assert len(search.find(path, query="limit=200&offset=200&includefield=PatientID")) == 5
    assert len(search.find("/instances", ("PatientID", token), query="limit=200&offset=100")) == 105


def test_section_10_version_1_shows_more(search: Searcher, token: str) -> None:
    study, series = new_uid(), new_uid()
    stored(search, token, study, series)
    old = Searcher(search.url.removesuffix("/v2") + "/v1")
    (item,) = old.find("/studies", ("PatientID", token))
    assert tags(item) == sorted({*STUDY_DEFAULT, "00080005", "00080030", "00100040"} - {"00081030"})
    (item,) = old.find(f"/studies/{study}/series")
    assert tags(item) == sorted({*SERIES_DEFAULT, STUDY, "00080005", "0008103E"} - {"00081090"})
    (item,) = old.find(f"/studies/{study}/series/{series}/instances")
    assert tags(item) == sorted([STUDY, SERIES, INSTANCE, "00080005", "00080016", "00200013", "00280010"])


def test_qry_55_section_10_all_shows_the_same_in_both_versions(search: Searcher, token: str) -> None:
    """StudyDescription and ManufacturerModelName, which version 1 does not show by default, included."""
    study, series = new_uid(), new_uid()
    stored(search, token, study, series)
    old = Searcher(search.url.removesuffix("/v2") + "/v1")
    for path in ("/studies", "/series", "/instances"):
        found = old.find(path, ("PatientID", token), query="includefield=all")
        assert found == search.find(path, ("PatientID", token), query="includefield=all")
        assert "00081030" in found[0]
    for path in (f"/studies/{study}/series", f"/studies/{study}/instances"):
        found = old.find(path, query="includefield=all")
        assert found == search.find(path, query="includefield=all")
        assert "00081090" in found[0]
