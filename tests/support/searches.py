"""Searches by URL."""

from typing import Any
from urllib.parse import quote

import httpx

DICOM_JSON = "application/dicom+json"

Item = dict[str, dict[str, Any]]


class Searcher:
    """Sends searches to `url`, the base with its version."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, query: str = "", accept: str | None = DICOM_JSON) -> httpx.Response:
        """`query` goes out as it is."""
        request = httpx.Request("GET", f"{self.url}{path}" + (f"?{query}" if query else ""))
        for name, value in (("Accept", accept), ("Host", request.url.netloc.decode())):
            if value is not None:
                request.headers[name] = value
        with httpx.Client(timeout=60) as client:
            return client.send(request)

    def find(self, path: str, *filters: tuple[str, str], query: str = "") -> list[Item]:
        """The items; 204 is none. Keys and values of `filters` are encoded, `query` is added as it is."""
        pairs = [f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in filters]
        response = self.get(path, "&".join([*pairs, *([query] if query else [])]))
        if response.status_code == 204:
            assert response.content == b""
            return []
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].split(";")[0] == DICOM_JSON
        items: list[Item] = response.json()
        assert items, "an empty result is 204 (QRY-05)"
        assert all(list(item) == sorted(item) for item in items), "keys ascend (QRY-59)"
        return items

    def refused(self, path: str, query: str) -> str:
        """The text of a 400."""
        response = self.get(path, query)
        assert response.status_code == 400, (response.status_code, response.text)
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        return response.text


def values(items: list[Item], tag: str) -> list[Any]:
    """The first value of attribute `tag` of each item; None where there is none."""
    return [item.get(tag, {}).get("Value", [None])[0] for item in items]
