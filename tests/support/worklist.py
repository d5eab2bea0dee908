"""Worklist requests by URL, and data sets of workitems to send."""

import copy
import json
import random
import re
from typing import Any
from urllib.parse import quote

import httpx

from .made_files import new_uid

DICOM_JSON = "application/dicom+json"

Dataset = dict[str, dict[str, Any]]

TRANSACTION = "00081195"
STATE = "00741000"
MODIFIED = "00404010"
PROGRESS = "00741002"
PERFORMED = "00741216"


def text(vr: str, *values: Any) -> dict[str, Any]:
    """An element."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def name(alphabetic: str) -> dict[str, Any]:
    return {"vr": "PN", "Value": [{"Alphabetic": alphabetic}]}


def code(value: str = "110005", meaning: str = "Interpretation") -> Dataset:
    """An item of a code sequence."""
    return {"00080100": text("SH", value), "00080102": text("SH", "DCM"), "00080104": text("LO", meaning)}


def reference(study: str = "1.2", instance: str = "1.2.3") -> Dataset:
    """An item of InputInformationSequence."""
    sop = {"00081150": text("UI", "1.2.840.10008.5.1.4.1.1.2"), "00081155": text("UI", instance)}
    return {
        "0040E020": text("CS", "DICOM"),
        "0020000D": text("UI", study),
        "0020000E": text("UI", f"{study}.1"),
        "00081199": text("SQ", sop),
    }


def study_of(bytes_: int) -> dict[str, Any]:
    """An InputInformationSequence of about this many bytes of JSON: one item that names thousands of instances.

    UIDs have digits by chance, so that it stays large when it is compressed.
    """
    digits = random.Random(bytes_)
    one = reference()["00081199"]["Value"][0]
    count = bytes_ // len(json.dumps(one | {"00081155": text("UI", f"2.25.{10**37}")}))
    instances = [one | {"00081155": text("UI", f"2.25.{digits.randrange(10**36, 10**37)}")} for _ in range(count)]
    return text("SQ", reference() | {"00081199": text("SQ", *instances)})


def request(accession: str = "ACC1", procedure: str = "RP1") -> Dataset:
    """An item of ReferencedRequestSequence."""
    return {
        "0020000D": text("UI", "1.2"),
        "00080050": text("SH", accession),
        "00080051": text("SQ"),
        "00400026": text("SQ"),
        "00400027": text("SQ"),
        "00401001": text("SH", procedure),
        "00321060": text("LO", "Procedure"),
        "00321064": text("SQ", code()),
    }


def short(patient: str = "PAT001") -> Dataset:
    """A workitem with a name and an id."""
    return {"00100010": name("Doe^John"), "00100020": text("LO", patient)}


def complete(patient: str = "PAT001") -> Dataset:
    """A workitem that lacks nothing."""
    issuer = {
        "00400032": text("UT"),
        "00400035": text("CS"),
        "00400036": text("SQ"),
        "00400039": text("SQ"),
        "0040003A": text("SQ"),
    }
    dataset = {
        TRANSACTION: text("UI"),
        "00741200": text("CS", "MEDIUM"),
        "00741204": text("LO", "Interpret"),
        "00741210": text("SQ"),
        "00404025": text("SQ", code("STATION1")),
        "00404026": text("SQ", code("CLASS1")),
        "00404027": text("SQ", code("PLACE1")),
        "00404005": text("DT", "20240501100000"),
        "00404018": text("SQ", code()),
        "00400400": text("LT"),
        "00404041": text("CS", "READY"),
        "00404021": text("SQ", reference()),
        "00100010": name("Doe^John"),
        "00100020": text("LO", patient),
        "00100021": text("LO", "Hospital"),
        "00100024": text("SQ", issuer),
        "00101002": text("SQ"),
        "00100030": text("DA", "19700101"),
        "00100040": text("CS", "M"),
        "00380010": text("LO", "ADM1"),
        "00380014": text("SQ", {"00400031": text("UT", "Hospital")}),
        "00081080": text("LO", "Cough"),
        "00081084": text("SQ", code()),
        "0040A370": text("SQ", request()),
        PROGRESS: text("SQ"),
        PERFORMED: text("SQ"),
    }
    return copy.deepcopy(dataset)


def performed() -> Dataset:
    """What a complete workitem needs before it can be completed."""
    item = {
        "00404028": text("SQ", code()),
        "00404050": text("DT", "20240501100000"),
        "00404019": text("SQ", code()),
        "00404051": text("DT", "20240501110000"),
        "00404033": text("SQ", reference()),
    }
    return {PERFORMED: text("SQ", item)}


def discontinued() -> Dataset:
    """What a complete workitem needs before its owner can cancel it."""
    return {PROGRESS: text("SQ", {"00404052": text("DT", "20240501110000"), "0074100E": text("SQ", code())})}


def message(response: httpx.Response) -> str:
    """The text of a refusal, in whichever of the two forms it came (UPS-05)."""
    kind = response.headers["content-type"]
    if kind == DICOM_JSON:
        value = response.json()
        assert isinstance(value, str)
        return value
    assert kind == "text/plain; charset=utf-8", kind
    return response.text


def warned(response: httpx.Response) -> str | None:
    """The text of the Warning header, whose form is checked; None without one (UPS-06)."""
    value = response.headers.get("warning")
    if value is None:
        return None
    match = re.fullmatch(r'299 127\.0\.0\.1: "([^"]*)"', value)
    assert match, value
    return match[1]


class Worklist:
    """The worklist at `url`, the base with its version."""

    def __init__(self, url: str) -> None:
        self.url = url

    def send(
        self, method: str, path: str, body: Any = None, *, accept: str | None = "*/*", **headers: str
    ) -> httpx.Response:
        """`body` is sent as JSON, unless it is bytes; underscores in names of headers are hyphens."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = {"Content-Type": DICOM_JSON} if body is not None else {}
        fields |= {key.replace("_", "-"): value for key, value in headers.items()}
        given = httpx.Request(method, f"{self.url}/workitems{path}", content=content, headers=fields)
        if accept is not None:
            given.headers["Accept"] = accept
        with httpx.Client(timeout=120) as client:
            client.headers.clear()
            return client.send(given)

    def create(self, dataset: Any, uid: str = "", **headers: Any) -> httpx.Response:
        """The UID goes in the query, if one is given."""
        return self.send("POST", f"?{uid}" if uid else "", dataset, **headers)

    def new(self, dataset: Dataset | None = None) -> str:
        """Creates a workitem and returns its UID."""
        uid = new_uid()
        response = self.create(short() if dataset is None else dataset, uid)
        assert response.status_code == 201, response.text
        return uid

    def claimed(self, dataset: Dataset | None = None, transaction: str = "") -> tuple[str, str]:
        """A new workitem in progress, and its transaction UID."""
        uid, transaction = self.new(dataset), transaction or new_uid()
        assert self.change(uid, "IN PROGRESS", transaction).status_code == 200
        return uid, transaction

    def retrieve(self, uid: str, **headers: Any) -> httpx.Response:
        return self.send("GET", f"/{quote(uid)}", **headers)

    def dataset(self, uid: str) -> Dataset:
        response = self.retrieve(uid)
        assert response.status_code == 200, response.text
        dataset: Dataset = response.json()
        return dataset

    def state(self, uid: str) -> str:
        state = self.dataset(uid)[STATE]["Value"]
        assert len(state) == 1
        return str(state[0])

    def update(self, uid: str, dataset: Any, transaction: str = "", **headers: Any) -> httpx.Response:
        if transaction:
            headers["Transaction_UID"] = transaction
        return self.send("PUT", f"/{uid}", dataset, **headers)

    def change(self, uid: str, state: str, transaction: str, **headers: Any) -> httpx.Response:
        body = {TRANSACTION: text("UI", transaction), STATE: text("CS", state)}
        return self.send("PUT", f"/{uid}/state", body, **headers)

    def cancel(self, uid: str, body: Any = None, **headers: Any) -> httpx.Response:
        return self.send("POST", f"/{uid}/cancelrequest", body, **headers)

    def search(self, query: str = "", **headers: Any) -> httpx.Response:
        return self.send("GET", f"?{query}" if query else "", **headers)

    def found(self, *filters: tuple[str, str], query: str = "") -> list[Dataset]:
        """The data sets that a search finds."""
        pairs = [f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in filters]
        response = self.search("&".join([*pairs, *([query] if query else [])]))
        if response.status_code == 204:
            assert response.content == b""
            return []
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == DICOM_JSON
        items: list[Dataset] = response.json()
        assert items
        return items


def uids(items: list[Dataset]) -> list[str]:
    """The workitem UIDs of data sets, in their order."""
    return [str(item["00080018"]["Value"][0]) for item in items]
