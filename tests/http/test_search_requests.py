"""Searches as requests: negotiation, refusals with their texts, and the order of the checks."""

import pytest

from tests.support.made_files import made_file, new_uid, store
from tests.support.searches import DICOM_JSON, Searcher

pytestmark = pytest.mark.integration

PATHS = ["/studies", "/series", "/instances", "/studies/1.2/series", "/studies/1.2/instances"]
PATHS += ["/studies/1.2/series/1.3/instances"]


@pytest.fixture
def search(base_url: str) -> Searcher:
    return Searcher(f"{base_url}/v2")


@pytest.fixture(scope="module")
def study(base_url: str) -> str:
    uid = new_uid()
    store(f"{base_url}/v2", made_file(uid, new_uid(), new_uid()))
    return uid


@pytest.mark.parametrize(
    "accept",
    [
        DICOM_JSON,
        "application/json",
        "application/*",
        "*/*",
        "Application/DICOM+json; transfer-syntax=*",
        "text/html, application/dicom+json;q=0.1",
        "multipart/related; type=application/dicom, */*",
    ],
)
def test_qry_03_qry_04_accepted(search: Searcher, study: str, accept: str) -> None:
    """QRY-03, QRY-04, QRY-07"""
    response = search.get("/studies", f"StudyInstanceUID={study}", accept)
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == DICOM_JSON
    assert "warning" not in response.headers
    assert "erroneous-dicom-attributes" not in response.headers
    assert [item["0020000D"]["Value"] for item in response.json()] == [[study]]


@pytest.mark.parametrize("accept", [None, "", "application/dicom", "application/dicom+xml", "text/*", "nonsense"])
@pytest.mark.parametrize("path", PATHS)
def test_qry_03_not_acceptable(search: Searcher, path: str, accept: str | None) -> None:
    response = search.get(path, accept=accept)
    assert (response.status_code, response.content) == (406, b"")


@pytest.mark.parametrize(
    "path", ["/studies/1.2.x/series", "/studies/abc/instances", "/studies/1.2/series/1.3./instances"]
)
def test_qry_02_malformed_uids(search: Searcher, path: str) -> None:
    """QRY-02, PLT-17"""
    name = "SeriesInstanceUid" if "/1.3./" in path else "StudyInstanceUid"
    assert search.refused(path, "").startswith(f"Dicom element '{name}' failed validation for VR 'UI': ")
    assert search.get("/studies/" + "1" * 65 + "/series").status_code == 400


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("patientid=x", "Invalid query: unknown query parameter 'patientid'. "),
        ("(0010,0020)=x", "Invalid query: unknown query parameter '(0010,0020)'. "),
        ("Modality=CT", "Invalid query: AttributeId Modality is not queryable.  If the parameter is "),
        ("StudyTime=10", "Invalid query: AttributeId StudyTime is not queryable.  If the parameter is "),
        ("00091001=x", "Invalid query: AttributeId 00091001 is not queryable.  If the parameter is "),
        ("PatientName=", "Invalid query: AttributeId 'PatientName' has empty string value that is not supported."),
        ("PatientName", "Invalid query: AttributeId 'PatientName' has empty string value that is not supported."),
        ("StudyDate=2020", "Invalid query: specified Date value '2020' is invalid for attribute 'StudyDate'. "),
        ("StudyDate=20200110-20200109", "Invalid query: specified date range '20200110-20200109' is invalid. "),
        ("StudyDate=-", "Invalid query: specified range is invalid. "),
        ("PatientID=a&PatientID=a", "Invalid QIDO-RS query. Duplicate AttributeId 'PatientID'. "),
        ("PatientID=a&00100020=b", "Invalid query: attribute '00100020' has been specified more than once using diff"),
        ("includefield=x", "Invalid query: IncludeField has unknown attribute 'x'."),
        ("includefield=", "Invalid query: IncludeField has unknown attribute ''."),
        ("includefield=all,Rows", "Invalid query: cannot specify included fields in addition to 'all'."),
        ("limit=0", "The query parameter 'Limit' is invalid. The field Limit must be between 1 and 200."),
        ("limit=abc", "The query parameter 'Limit' is invalid. The value 'abc' is not valid for Limit."),
        ("limit=", "The query parameter 'Limit' is invalid. The value '' is invalid."),
        ("offset=-1", "The query parameter 'Offset' is invalid. "),
        ("fuzzymatching=1", "The query parameter 'FuzzyMatching' is invalid. "),
    ],
)
def test_qry_06_refusals(search: Searcher, query: str, text: str) -> None:
    """QRY-06, QRY-11, QRY-14, QRY-16, QRY-17, QRY-21 to QRY-23, QRY-35, QRY-56"""
    assert search.refused("/studies", query).startswith(text)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/studies/1.2/series", "PatientName=x"),
        ("/studies/1.2/series", "ModalitiesInStudy=CT"),
        ("/studies/1.2/series", "StudyInstanceUID=1.2"),
        ("/studies/1.2/instances", "StudyInstanceUID=1.2"),
        ("/studies/1.2/series/1.3/instances", "Modality=CT"),
        ("/series", "SOPInstanceUID=1.2"),
        ("/studies", "SeriesInstanceUID=1.2"),
    ],
)
def test_qry_14_wrong_level(search: Searcher, path: str, query: str) -> None:
    key = query.partition("=")[0]
    assert search.refused(path, query).startswith(f"Invalid query: AttributeId {key} is not queryable.  ")


@pytest.mark.parametrize("query", ["PatientName=<b>", "PatientName=%3Cb", "x=%3cscript"])
@pytest.mark.parametrize("path", PATHS)
def test_qry_16_angle_brackets(search: Searcher, path: str, query: str) -> None:
    """QRY-16, QRY-20, PLT-08"""
    assert search.refused(path, f"limit=0&{query}") == "The query string included invalid characters."


def test_qry_16_paths_and_quotation_marks(search: Searcher) -> None:
    for query in ("A.B=x", "00081110.0020000D=1", "includefield=00081110.0020000D"):
        assert search.refused("/studies", query).endswith("Sequential dicom tags are currently not supported.")
    text = search.refused("/studies", "PatientName=a%22b&fuzzymatching=true")
    assert "contains unsupported character '\"'" in text


def test_qry_20_order_of_checks(search: Searcher) -> None:
    """Each request has all the faults from its own on; the first is the answer."""
    path, rest = "/studies/bad/instances", "nope=&Modality=&Modality=&includefield=x"
    assert "'Limit'" in search.refused(path, f"offset=x&limit=x&fuzzymatching=x&{rest}")
    assert "'Offset'" in search.refused(path, f"offset=x&fuzzymatching=x&{rest}")
    assert "'FuzzyMatching'" in search.refused(path, f"fuzzymatching=x&{rest}")
    assert search.get(path, rest, accept="text/html").status_code == 406
    assert "Duplicate AttributeId" in search.refused(path, rest)
    assert "StudyInstanceUid" in search.refused(path, "nope=&Modality=&includefield=x")
    path = "/studies/1.2/instances"
    assert "unknown query parameter" in search.refused(path, "nope=&Modality=&includefield=x")
    assert "is not queryable" in search.refused(path, "PatientID=&Modality=&includefield=x")
    assert "empty string" in search.refused(path, "Modality=&00080060=&includefield=x")
    assert "more than once" in search.refused(path, "Modality=CT&00080060=MR&includefield=x")
    assert "IncludeField" in search.refused(path, "Modality=CT&includefield=x")


def test_plt_06_only_get(search: Searcher) -> None:
    import httpx

    for path in ("/series", "/instances", "/studies/1.2/series"):
        response = httpx.put(search.url + path)
        assert response.status_code == 405
        assert "GET" in response.headers["allow"]


@pytest.mark.parametrize("path", PATHS)
def test_plt_07_plt_09_paths_and_headers(search: Searcher, path: str) -> None:
    """PLT-07, PLT-09: letter case of literals, a slash at the end, headers on every answer."""
    for spelled in (path.upper(), path + "/"):
        response = search.get(spelled, "limit=1")
        assert response.status_code in (200, 204)
        assert response.headers["x-content-type-options"] == "nosniff"
