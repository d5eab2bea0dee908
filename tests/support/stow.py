"""Store requests by URL in every form that clients send, and what their answers say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from .made_files import BOUNDARY, STORE_HEADERS, made_file, new_uid, store_body

__all__ = ["Answer", "Triple", "new_triple", "part", "send", "store", "upsert"]

TIMEOUT = 120


@dataclass(frozen=True, slots=True)
class Triple:
    """The three UIDs of an instance."""

    study: str
    series: str
    instance: str

    def file(self, **elements: Any) -> bytes:
        """A small file with these UIDs."""
        return made_file(self.study, self.series, self.instance, **elements)

    @property
    def path(self) -> str:
        return f"/studies/{self.study}/series/{self.series}/instances/{self.instance}"

    def sibling(self) -> "Triple":
        """Another instance of the same series."""
        return Triple(self.study, self.series, new_uid())


def new_triple() -> Triple:
    """UIDs that nothing else has."""
    return Triple(new_uid(), new_uid(), new_uid())


@dataclass(frozen=True, slots=True)
class Answer:
    """A store's answer: status, headers, body, and the items of its two sequences."""

    response: httpx.Response

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def text(self) -> str:
        return self.response.text

    @property
    def stored(self) -> list[dict[str, Any]]:
        return self._items("00081199")

    @property
    def failed(self) -> list[dict[str, Any]]:
        return self._items("00081198")

    @property
    def reasons(self) -> list[int]:
        """FailureReason of each item that failed."""
        return [item["00081197"]["Value"][0] for item in self.failed]

    @property
    def warnings(self) -> list[int | None]:
        """WarningReason of each item that was stored."""
        return [item["00081196"]["Value"][0] if "00081196" in item else None for item in self.stored]

    def comments(self, items: Sequence[dict[str, Any]]) -> list[list[str]]:
        """The lines of FailedAttributesSequence of each of the items."""
        return [[line["00000902"]["Value"][0] for line in item.get("00741048", {}).get("Value", [])] for item in items]

    def _items(self, tag: str) -> list[dict[str, Any]]:
        assert self.response.headers["content-type"] == "application/dicom+json"
        items: list[dict[str, Any]] = self.response.json().get(tag, {}).get("Value", [])
        return items


def send(
    method: str, url: str, content: bytes | Iterable[bytes] = b"", headers: dict[str, str] | None = None
) -> Answer:
    """Any request; no header is added but those that HTTP needs."""
    request = httpx.Request(method, url, content=content, headers=headers)
    if not any(name.lower() == "accept" for name in headers or {}):
        request.headers.pop("accept", None)
    with httpx.Client(timeout=TIMEOUT, headers={}) as client:
        client.headers.clear()
        return Answer(client.send(request))


def store(base_url: str, *files: bytes, study: str | None = None, version: str = "v2", **headers: str) -> Answer:
    """POST of the files as one multipart body."""
    return _multipart("POST", base_url, files, study, version, headers)


def upsert(base_url: str, *files: bytes, study: str | None = None, version: str = "v2", **headers: str) -> Answer:
    """PUT of the files as one multipart body."""
    return _multipart("PUT", base_url, files, study, version, headers)


def part(content: bytes, *headers: str) -> bytes:
    """One part of a body with `BOUNDARY`, with these header lines."""
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"--{BOUNDARY}\r\n{lines}\r\n".encode("latin-1") + content + b"\r\n"


def _multipart(
    method: str, base_url: str, files: Iterable[bytes], study: str | None, version: str, headers: dict[str, str]
) -> Answer:
    path = "/studies" if study is None else f"/studies/{study}"
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return send(method, f"{base_url}/{version}{path}", store_body(files), {**STORE_HEADERS, **more})
