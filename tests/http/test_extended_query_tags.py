"""Extended query tags and operations by URL: the resource, the reindex through the queue, searches by the tags."""

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.made_files import STORE_HEADERS, made_file, new_uid, store, store_body
from tests.support.processes import LocalHost
from tests.support.searches import Searcher, values

pytestmark = pytest.mark.integration

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
JSON = {"Content-Type": "application/json"}


class Service:
    """The app on a store that has no tags yet."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/v2"
        self.tags = f"{self.url}/extendedquerytags"
        self.search = Searcher(self.url)

    def post(self, body: Any) -> httpx.Response:
        return httpx.post(self.tags, json=body)

    def add(self, *tags: Mapping[str, Any]) -> str:
        """Adds tags and waits for them; the URL of the operation."""
        response = self.post(list(tags))
        assert response.status_code == 202, response.text
        location: str = response.headers["location"]
        self.wait(location)
        return location

    def wait(self, location: str) -> list[dict[str, Any]]:
        """All bodies of the operation until it has ended."""
        bodies = []
        end = time.monotonic() + 60
        while time.monotonic() < end:
            response = httpx.get(location)
            bodies.append(response.json())
            if response.status_code == 200:
                assert "location" not in response.headers
                return bodies
            assert response.status_code == 202
            assert response.headers["location"] == location
            time.sleep(0.1)
        raise AssertionError(f"the operation has not ended: {bodies[-1]}")

    def refused(self, status: int, method: str, path: str = "", **how: Any) -> str:
        response = httpx.request(method, self.tags + path, **how)
        assert response.status_code == status, (response.status_code, response.text)
        return response.text


@pytest.fixture
def service(start_host: Callable[..., LocalHost], empty_store: dict[str, str]) -> Service:
    return Service(start_host(empty_store).url)


def test_tag_01_ops_03_the_whole_life(service: Service) -> None:
    """TAG-01, TAG-02, TAG-09, TAG-10, TAG-13, TAG-20 to TAG-23, TAG-28, OPS-01 to OPS-06, QRY-07"""
    study, series = new_uid(), new_uid()
    young = made_file(study, series, new_uid(), PatientAge="001Y", InstanceNumber="7", SeriesTime="101500")
    store(service.url, young)
    response = service.post(
        [
            {"path": "PatientAge", "level": "Study"},
            {"path": "00080031", "vr": "tm", "level": "SERIES"},
            {"path": "InstanceNumber", "level": "instance"},
        ]
    )
    assert response.status_code == 202
    assert response.headers["content-type"].startswith("application/json")
    location, body = response.headers["location"], response.json()
    assert body == {"id": location.rpartition("/")[2], "href": location}
    assert location.startswith(f"{service.url}/operations/")
    assert len(body["id"]) == 32
    adding = httpx.get(f"{service.tags}/PatientAge").json()
    assert adding == {
        "path": "00101010",
        "vr": "AS",
        "level": "study",
        "status": "adding",
        "queryStatus": "enabled",
        "operation": body,
    }
    assert "is not queryable" in service.search.refused("/studies", "PatientAge=001Y")
    refused = service.post([{"path": "BABC", "level": "Study"}])
    assert (refused.status_code, refused.headers["location"]) == (409, location)
    assert refused.text == f"There is already an active re-index operation with ID '{body['id']}'."

    late = made_file(new_uid(), new_uid(), new_uid(), PatientAge="002Y")
    store(service.url, late)
    bodies = service.wait(location)
    done = bodies[-1]
    assert (done["type"], done["status"], done["percentComplete"]) == ("reindex", "succeeded", 100)
    assert done["createdTime"].endswith("Z")
    assert done["lastUpdatedTime"] > done["createdTime"]
    assert done["resources"] == [f"{service.tags}/{path}" for path in ("00101010", "00080031", "00200013")]
    assert "results" not in done
    assert [body["percentComplete"] for body in bodies] == sorted(body["percentComplete"] for body in bodies)
    dashed = "-".join((body["id"][:8], body["id"][8:12], body["id"][12:16], body["id"][16:20], body["id"][20:]))
    assert httpx.get(f"{service.url}/operations/{dashed.upper()}").json() == done
    old = httpx.get(location.replace("/v2/", "/v1/")).json()
    assert old["status"] == "completed"

    listed = httpx.get(service.tags).json()
    assert [tag["path"] for tag in listed] == ["00101010", "00080031", "00200013"]
    assert all(tag["status"] == "ready" and "operation" not in tag and "errors" not in tag for tag in listed)
    assert [tag["path"] for tag in httpx.get(f"{service.tags}?limit=1&offset=1").json()] == ["00080031"]
    assert httpx.get(f"{service.tags}?offset=3").json() == []

    (item,) = service.search.find("/studies", ("PatientAge", "001y"))
    assert item["00101010"] == {"vr": "AS", "Value": ["001Y"]}
    assert len(service.search.find("/studies", ("PatientAge", "002Y"))) == 1
    assert values(service.search.find(f"/studies/{study}/series", ("SeriesTime", "10-11")), SERIES) == [series]
    assert len(service.search.find("/instances", ("InstanceNumber", "07"), ("PatientAge", "001Y"))) == 1
    assert "is not queryable" in service.search.refused(f"/studies/{study}/series", "PatientAge=001Y")

    assert httpx.delete(f"{service.tags}/00101010").status_code == 204
    assert service.refused(404, "DELETE", "/PatientAge") == (
        "The specified extended query tag with tag path 00101010 cannot be found."
    )
    assert "is not queryable" in service.search.refused("/studies", "PatientAge=001Y")
    assert len(httpx.get(location).json()["resources"]) == 2


def test_tag_21_tag_25_stores_bring_their_values(service: Service) -> None:
    """TAG-21, TAG-25, TAG-26, QRY-60: also of replaced and deleted instances."""
    creator = {"creator": (0x12050011, "LO", "ACME")}
    service.add(
        {"path": "PatientAge", "level": "Study"},
        {"path": "12051003", "vr": "SH", "privateCreator": "ACME", "level": "Series"},
        {"path": "InstanceNumber", "level": "Instance"},
    )
    study, series, uid = new_uid(), new_uid(), new_uid()
    store(service.url, made_file(study, series, uid, PatientAge="001Y", InstanceNumber="1"))
    store(service.url, made_file(study, series, new_uid(), PatientAge="002Y", value=(0x12051103, "SH", "x"), **creator))
    store(service.url, made_file(study, series, new_uid(), PatientAge=""))
    find = service.search.find
    assert find("/studies", ("PatientAge", "001Y")) == []
    (item,) = find("/studies", ("PatientAge", "002Y"))
    assert item["00101010"] == {"vr": "AS"}
    assert values(find(f"/studies/{study}/series", ("12051003", "X")), SERIES) == [series]
    path = f"/studies/{study}/series/{series}/instances"
    assert values(find(path, ("InstanceNumber", "1")), INSTANCE) == [uid]
    replaced = made_file(study, series, uid, InstanceNumber="2")
    put = httpx.put(f"{service.url}/studies", content=store_body([replaced]), headers=STORE_HEADERS)
    assert put.status_code == 200, put.text
    assert find(path, ("InstanceNumber", "1")) == []
    assert values(find("/instances", ("InstanceNumber", "2")), INSTANCE) == [uid]
    assert httpx.delete(f"{service.url}/studies/{study}").status_code == 204
    for query in (("PatientAge", "002Y"), ("12051003", "X"), ("InstanceNumber", "2")):
        assert find("/instances", query) == []


def test_tag_11_tag_12_switching(service: Service) -> None:
    """TAG-11, TAG-12, TAG-27"""
    service.add({"path": "PatientAge", "level": "Study"})
    study = new_uid()
    store(service.url, made_file(study, new_uid(), new_uid(), PatientAge="001Y"))
    path = f"{service.tags}/PatientAge"
    off = httpx.patch(path, json={"queryStatus": "Disabled"})
    assert (off.status_code, off.json()["queryStatus"], off.json()["path"]) == (200, "disabled", "00101010")
    text = service.search.refused("/studies", "PatientAge=")
    assert text == "Query is disabled on specified attribute 'PatientAge'."
    store(service.url, made_file(study, new_uid(), new_uid(), PatientAge="002Y"))
    for body in ({"queryStatus": "x"}, {"queryStatus": 1}, {}, {"queryStatus": "Enabled", "level": "Study"}):
        assert service.refused(400, "PATCH", "/PatientAge", json=body)
    assert httpx.get(path).json()["queryStatus"] == "disabled"
    assert httpx.patch(path, json={"QueryStatus": "ENABLED"}).json()["queryStatus"] == "enabled"
    assert values(service.search.find("/studies", ("PatientAge", "002Y")), STUDY) == [study]


def test_tag_30_tag_31_tag_32_errors(service: Service) -> None:
    """TAG-02, TAG-14, TAG-30, TAG-31, TAG-32"""
    study, series, bad = new_uid(), new_uid(), new_uid()
    store(service.url, made_file(study, series, bad, value=(0x12051003, "LO", "x"), creator=(0x12050010, "LO", "ACME")))
    store(service.url, made_file(study, series, new_uid()))
    service.add(
        {"path": "12051003", "vr": "SH", "privateCreator": "ACME", "level": "Study"},
        {"path": "PatientAge", "level": "Study"},
    )
    tag = httpx.get(f"{service.tags}/12051003").json()
    assert tag["errors"] == {"count": 1, "href": f"{service.tags}/12051003/errors"}
    assert (tag["status"], tag["queryStatus"], tag["privateCreator"]) == ("ready", "disabled", "ACME")
    (error,) = httpx.get(tag["errors"]["href"]).json()
    assert error.pop("createdTime").endswith("Z")
    assert error == {
        "studyInstanceUid": study,
        "seriesInstanceUid": series,
        "sopInstanceUid": bad,
        "partitionName": "Microsoft.Default",
        "errorMessage": "The extended query tag VR is not expected.",
    }
    assert httpx.get(f"{service.tags}/12051003/errors?offset=1").json() == []
    assert httpx.get(f"{service.tags}/PatientAge/errors").json() == []
    httpx.patch(f"{service.tags}/12051003", json={"queryStatus": "enabled"})
    response = service.search.get("/studies", "12051003=x&PatientAge=001Y")
    assert (response.status_code, response.headers["erroneous-dicom-attributes"]) == (204, "12051003")
    assert "erroneous-dicom-attributes" not in service.search.get("/studies", "PatientAge=001Y").headers
    assert httpx.delete(f"{service.url}/studies/{study}/series/{series}/instances/{bad}").status_code == 204
    tag = httpx.get(f"{service.tags}/12051003").json()
    assert "errors" not in tag
    assert "erroneous-dicom-attributes" not in service.search.get("/studies", "12051003=x").headers


def test_sto_160_version_1_refuses_what_a_tag_cannot_index(service: Service) -> None:
    """STO-160, TAG-27: version 2 takes it with a warning"""
    bad = made_file(new_uid(), new_uid(), new_uid(), PatientAge="x")
    old = f"{service.url.removesuffix('/v2')}/v1/studies"
    tag = {"path": "PatientAge", "level": "Study"}
    service.add(tag)
    refused = httpx.post(old, content=store_body([bad]), headers=STORE_HEADERS)
    assert refused.status_code == 409, refused.text
    [failure] = refused.json()["00081198"]["Value"]
    assert failure["00081197"]["Value"] == [43264]
    [comment] = failure["00741048"]["Value"]
    reason = "Dicom element 'PatientAge' failed validation for VR 'AS': Value length is not expected."
    assert comment["00000902"]["Value"] == [f"DICOM100: (0010,1010) - {reason}"]
    assert httpx.delete(f"{service.tags}/PatientAge").status_code == 204
    time.sleep(1.1)  # what the process knows of the tags is believed for a second
    assert httpx.post(old, content=store_body([bad]), headers=STORE_HEADERS).status_code == 200
    service.add(tag)
    assert httpx.get(f"{service.tags}/PatientAge").json()["errors"]["count"] == 1
    assert httpx.put(f"{service.url}/studies", content=store_body([bad]), headers=STORE_HEADERS).status_code == 202


def test_tag_06_tag_08_refusals(service: Service) -> None:
    """TAG-01, TAG-05 to TAG-10, QRY-21"""
    good = {"path": "PatientAge", "level": "Study"}
    assert service.refused(415, "POST", content=b"[]", headers={"Content-Type": "text/plain"}) == ""
    for body in (b"", b"{", b"null", b'"x"', b"[1]"):
        assert service.refused(400, "POST", content=body, headers=JSON) == "The syntax of the request body is invalid."
    assert service.refused(400, "POST", json=[]) == "The extended query tag(s) is missing."
    assert service.refused(400, "POST", json=[good, {**good, "path": "00181000", "vr": "DS"}]).startswith("The VR code")
    assert httpx.get(service.tags).json() == []
    wrapped = b'{"tags":[{"path":"PatientAge","level":"study",},]}'
    service.wait(httpx.post(service.tags, content=wrapped, headers=JSON).headers["location"])
    assert service.refused(409, "POST", json=[{"path": "00181000", "level": "Study"}, good]) == (
        "One or more extended query tags already exist."
    )
    assert [tag["path"] for tag in httpx.get(service.tags).json()] == ["00101010"]
    for path in ("/A.B", "/patientage", "/00081110.00080050", "/A.B/errors"):
        assert "cannot be parsed into a valid Dicom Tag" in service.refused(400, "GET", path)
    for path in ("/SpatialResolution", "/00181050", "/00181050/errors"):
        assert service.refused(404, "GET", path) == (
            "The specified extended query tag with tag path 00181050 cannot be found."
        )
    assert "'Limit'" in service.refused(400, "GET", "?limit=201")
    assert "'Offset'" in service.refused(400, "GET", "/PatientAge/errors?offset=-1")


@pytest.mark.parametrize("id_", ["0" * 32, "00000000-0000-0000-0000-000000000000", "x", "1" * 31, "1" * 33])
def test_ops_01_unknown_operations(base_url: str, id_: str) -> None:
    """OPS-01"""
    response = httpx.get(f"{base_url}/v2/operations/{id_}")
    assert (response.status_code, response.content) == (404, b"")


def test_ops_06_a_reindex_survives_a_kill(
    start_host: Callable[..., LocalHost], empty_store: dict[str, str], size: Callable[[str], int]
) -> None:
    """OPS-06, TAG-21: the host is killed while the reindex runs, and started again; what is stored meanwhile counts."""
    host = start_host(empty_store)
    service = Service(host.url)
    count = size("instances reindexed")
    study, series = new_uid(), new_uid()
    for start in range(0, count, 200):
        files = [
            made_file(study, series, new_uid(), PatientAge=f"{number:03d}Y"[-4:], InstanceNumber=str(number))
            for number in range(start, min(start + 200, count))
        ]
        store(service.url, *files)
    location = service.post([{"path": "InstanceNumber", "level": "instance"}]).headers["location"]
    while httpx.get(location).json()["percentComplete"] < 10:
        time.sleep(0.02)
    host.kill()
    again = Service(start_host(empty_store).url)
    store(again.url, made_file(study, series, new_uid(), InstanceNumber=str(count)))
    here = location.replace(service.url, again.url)
    assert again.wait(here)[-1]["status"] == "succeeded"
    path = f"/studies/{study}/series/{series}/instances"
    for number in (0, 1, count // 2, count - 1, count):
        assert len(again.search.find(path, ("InstanceNumber", str(number)))) == 1
    found = again.search.find(path, query=f"InstanceNumber={count}&limit=200")
    assert len(found) == 1


def test_tag_21_what_is_stored_while_tags_come_is_found(
    start_host: Callable[..., LocalHost], empty_store: dict[str, str]
) -> None:
    """TAG-21, OPS-05: two processes store all the while, each learning of the tags in its own time."""
    service = Service(start_host(empty_store, workers=2).url)
    study, series = new_uid(), new_uid()
    stop = threading.Event()
    numbers = itertools.count()
    stored: list[int] = []

    def keep_storing() -> None:
        while not stop.is_set():
            number = next(numbers)
            own = number % 2
            file = made_file(
                new_uid() if own else study,
                new_uid() if own else series,
                new_uid(),
                InstanceNumber=str(number),
                PatientAge=f"{number % 1000:03d}Y",
            )
            store(service.url, file)
            stored.append(number)

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(keep_storing) for _ in range(3)]
        try:
            time.sleep(0.5)
            service.add({"path": "InstanceNumber", "level": "Instance"}, {"path": "PatientAge", "level": "Study"})
        finally:
            stop.set()
        for job in jobs:
            job.result()
    assert len(stored) > 20
    for number in stored:
        assert len(service.search.find("/instances", ("InstanceNumber", str(number)))) == 1, number
        if number % 2:
            assert len(service.search.find("/studies", ("PatientAge", f"{number % 1000:03d}Y"))) >= 1, number
