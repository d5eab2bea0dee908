"""The Blob service: containers and block blobs."""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from urllib.parse import unquote
from xml.etree import ElementTree

from ..clock import from_datetime
from ..errors import DicomServiceError, Unavailable
from .azure_connections import Response
from .azure_pipeline import Pipeline, error_code, in_path, in_query, refused
from .primitives import BlobExists, BlobItem, BlobMissing, BlobSource

BLOCK = 4 * 1024 * 1024
"""What is larger goes up in blocks of this size."""
_LANES = 4
"""Blocks of one blob under way at once; they are all of it that is in memory."""
_COPY_SECONDS = 20.0
_WHOLE_BLOB_SECONDS = 600.0
_NEW = {"If-None-Match": "*"}


class Blobs:
    """Works on the containers of one account."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    # -- containers

    async def create(self, container: str) -> bool:
        """Makes sure that the container is there; false while one of its name is still being deleted."""
        response = await self._pipeline.read(
            "blob", "PUT", f"/{container}", "restype=container", content=b"", restoring=False
        )
        code = error_code(response) if response.status_code >= 400 else ""
        if response.status_code < 300 or code == "ContainerAlreadyExists":
            return True
        if code == "ContainerBeingDeleted":
            return False
        raise refused("blob", response)

    async def drop(self, container: str) -> None:
        response = await self._pipeline.read("blob", "DELETE", f"/{container}", "restype=container", restoring=False)
        if response.status_code >= 300 and response.status_code not in (404, 409):
            raise refused("blob", response)

    # -- writing

    async def put(self, container: str, name: str, content: bytes | BlobSource) -> None:
        path = _path(container, name)
        if not isinstance(content, bytes) and content.size <= BLOCK:
            content = await _piece(content, 0, content.size)
        if isinstance(content, bytes) and len(content) <= BLOCK:
            headers = {**_NEW, "x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
            response = await self._pipeline.read(
                "blob", "PUT", path, headers=headers, content=content, size=len(content)
            )
        else:
            response = await self._put_blocks(path, content)
        if response.status_code == 412 or (response.status_code == 409 and error_code(response) == "BlobAlreadyExists"):
            raise BlobExists(name)
        if response.status_code != 201:
            raise refused("blob", response)

    async def _put_blocks(self, path: str, content: bytes | BlobSource) -> Response:
        """Nothing is visible until the list of blocks is accepted; blocks without a list vanish after a week."""
        size = len(content) if isinstance(content, bytes) else content.size
        mark = secrets.token_hex(4)
        blocks = {
            offset: base64.b64encode(f"{mark}{number:06d}".encode()).decode()
            for number, offset in enumerate(range(0, size, BLOCK))
        }
        waiting = iter(blocks.items())

        async def lane() -> None:
            for offset, block in waiting:
                piece = await _piece(content, offset, min(BLOCK, size - offset))
                response = await self._pipeline.read(
                    "blob", "PUT", path, f"comp=block&blockid={in_query(block)}", content=piece, size=len(piece),
                    headers={"Content-Type": "application/octet-stream"},
                )  # fmt: skip
                if response.status_code != 201:
                    raise refused("blob", response)

        lanes = [asyncio.create_task(lane()) for _ in range(min(_LANES, len(blocks)))]
        try:
            await asyncio.gather(*lanes)
        finally:
            for task in lanes:
                task.cancel()
        listed = "".join(f"<Latest>{block}</Latest>" for block in blocks.values())
        return await self._pipeline.read(
            "blob",
            "PUT",
            path,
            "comp=blocklist",
            headers={**_NEW, "Content-Type": "application/xml", "x-ms-blob-content-type": "application/octet-stream"},
            content=f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode(),
        )

    async def delete(self, container: str, name: str) -> bool:
        response = await self._pipeline.read("blob", "DELETE", _path(container, name))
        if response.status_code == 202:
            return True
        if response.status_code == 404 and error_code(response) == "BlobNotFound":
            return False
        raise refused("blob", response)

    async def copy(self, container: str, source: str, target: str) -> None:
        path = _path(container, target)
        response = await self._pipeline.read(
            "blob",
            "PUT",
            path,
            headers={"x-ms-copy-source": self._pipeline.url("blob", _path(container, source))},
            content=b"",
            seconds=_COPY_SECONDS,
        )
        if response.status_code == 404:
            raise BlobMissing(source)
        if response.status_code != 202:
            raise refused("blob", response)
        give_up = time.monotonic() + _COPY_SECONDS
        while (state := response.headers.get("x-ms-copy-status")) == "pending" and time.monotonic() < give_up:
            await asyncio.sleep(0.2)
            response = await self._pipeline.read("blob", "HEAD", path)
        if state == "pending":
            raise Unavailable("The storage of the service is still copying. Please try again later.")
        if state != "success":
            raise DicomServiceError(f"blob service: copy {state}")

    # -- reading

    async def get(self, container: str, name: str, offset: int, length: int | None) -> bytes:
        headers = {}
        if offset or length is not None:
            # A range cannot be empty, but whether the blob is there must be found out all the same.
            headers["Range"] = f"bytes={offset}-" + ("" if length is None else str(offset + max(length, 1) - 1))
        response = await self._pipeline.read(
            "blob", "GET", _path(container, name), headers=headers, size=_expected(length)
        )
        if response.status_code in (200, 206):
            content = response.content
            return content if length != 0 else b""
        if response.status_code == 416:
            return b""
        if response.status_code == 404 and error_code(response) == "BlobNotFound":
            raise BlobMissing(name)
        raise refused("blob", response)

    async def list(self, container: str, prefix: str) -> AsyncIterator[BlobItem]:
        marker = ""
        while True:
            query = f"restype=container&comp=list&prefix={in_query(prefix)}&marker={in_query(marker)}"
            response = await self._pipeline.read("blob", "GET", f"/{container}", query)
            if response.status_code != 200:
                raise refused("blob", response)
            page = ElementTree.fromstring(response.content)  # noqa: S314  from our own account
            for blob in page.iterfind("Blobs/Blob"):
                yield _item(blob)
            marker = page.findtext("NextMarker") or ""
            if not marker:
                return


def _path(container: str, name: str) -> str:
    return f"/{container}/" + "/".join(in_path(part) for part in name.split("/"))


def _expected(length: int | None) -> int:
    """Bytes by which the time limit of a download is measured; a stalled one ends sooner by itself."""
    return length if length is not None else int(_WHOLE_BLOB_SECONDS * 256 * 1024)


async def _piece(content: bytes | BlobSource, offset: int, length: int) -> bytes:
    if isinstance(content, bytes):
        return content[offset : offset + length]
    if content.in_memory:
        piece = content.read(offset, length)
    else:
        piece = await asyncio.to_thread(content.read, offset, length)
    if len(piece) != length:
        raise DicomServiceError("an upload is shorter than it was said to be")
    return piece


def _item(blob: ElementTree.Element) -> BlobItem:
    named = blob.find("Name")
    name = blob.findtext("Name") or ""
    if named is not None and named.get("Encoded") == "true":
        name = unquote(name)
    modified = parsedate_to_datetime(blob.findtext("Properties/Last-Modified") or "")
    return BlobItem(name, int(blob.findtext("Properties/Content-Length") or 0), from_datetime(modified))
