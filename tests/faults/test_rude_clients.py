"""Slow, broken and hostile clients do not keep others waiting, and get no 5xx but 503."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.made_files import BOUNDARY, made_file, new_uid, store_body
from tests.support.processes import local_host

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

HEAD = (
    "POST /v2/studies HTTP/1.1\r\nHost: localhost\r\nAccept: application/dicom+json\r\n"
    f'Content-Type: multipart/related; type="application/dicom"; boundary={BOUNDARY}\r\n'
)


class Rude:
    """One connection that speaks HTTP as it likes."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Rude":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def send(self, data: bytes | str) -> None:
        with contextlib.suppress(OSError):
            self.writer.write(data.encode() if isinstance(data, str) else data)
            await self.writer.drain()

    async def status(self, seconds: float = 30) -> int:
        """Status of the answer; 0 if the connection was closed without one."""
        try:
            line = await asyncio.wait_for(self.reader.readline(), seconds)
        except OSError:
            return 0
        return int(line.split()[1]) if line.startswith(b"HTTP/1.1 ") else 0


@pytest.fixture(scope="module")
def port(store_settings: dict[str, str], under_func: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of one host that bears them all, one after another."""
    log = tmp_path_factory.mktemp("rude") / "host.log"
    with local_host(store_settings, log=log, under_func=under_func) as host:
        yield host.port


async def _latency(client: httpx.AsyncClient, study: str, count: int = 40) -> float:
    took = []
    for _ in range(count):
        begin = time.perf_counter()
        response = await client.get(f"/studies/{study}/metadata")
        took.append(time.perf_counter() - begin)
        assert response.status_code == 200
        await asyncio.sleep(0.01)
    return statistics.median(took)


async def _drip(port: int) -> None:
    """A byte a second, for as long as it is let."""
    async with Rude(port) as rude:
        await rude.send(HEAD + "Content-Length: 100000\r\n\r\n")
        while True:
            await rude.send(b"x")
            await asyncio.sleep(1)


async def test_slow_clients(port: int, size: Callable[[str], int]) -> None:
    """Two hundred connections that send a byte a second: the others' median latency stays within five times idle."""
    headers = {"Accept": "application/dicom+json"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/v2", headers=headers, timeout=30) as client:
        key = (new_uid(), new_uid(), new_uid())
        content_type = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        stored = await client.post(
            "/studies", content=store_body([made_file(*key)]), headers={"Content-Type": content_type}
        )
        assert stored.status_code == 200
        await _latency(client, key[0])
        idle = await _latency(client, key[0])
        slow = [asyncio.create_task(_drip(port)) for _ in range(size("slow connections"))]
        await asyncio.sleep(2)
        busy = await _latency(client, key[0])
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert busy < max(5 * idle, 0.02)
        again = await client.get(f"/studies/{key[0]}/metadata")
        assert again.status_code == 200


def _part(content: bytes, boundary: str = BOUNDARY) -> bytes:
    return f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + content + b"\r\n"


RUDE_REQUESTS: dict[str, tuple[bytes, set[int]]] = {
    "body cut off": ((HEAD + "Content-Length: 5000\r\n\r\n").encode() + _part(b"DICM"), {0, 400}),
    "chunks that are none": ((HEAD + "Transfer-Encoding: chunked\r\n\r\nzzz\r\nabc\r\n").encode(), {0, 400}),
    "chunk cut off": ((HEAD + "Transfer-Encoding: chunked\r\n\r\nffff\r\nabc").encode(), {0, 400}),
    "negative length": ((HEAD + "Content-Length: -5\r\n\r\n").encode(), {0, 400}),
    "length that is no number": ((HEAD + "Content-Length: many\r\n\r\n").encode(), {0, 400}),
    "two lengths": ((HEAD + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef").encode(), {0, 400}),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {0, 400}),
    "endless header": (b"GET /health HTTP/1.1\r\nX: " + b"x" * 200_000, {0, 400, 431}),
}


@pytest.mark.parametrize("case", RUDE_REQUESTS)
async def test_broken_requests(case: str, port: int) -> None:
    """A clear refusal or a closed connection, and the next request is served."""
    request, allowed = RUDE_REQUESTS[case]
    async with Rude(port) as rude:
        await rude.send(request)
        if rude.writer.can_write_eof():
            with contextlib.suppress(OSError):
                rude.writer.write_eof()
        assert await rude.status() in allowed
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/health")).status_code == 200


async def test_very_many_parts(port: int, size: Callable[[str], int]) -> None:
    """Each part that is no DICOM fails by itself (STO-29)."""
    count = size("parts that are no DICOM")
    body = _part(b"") * count + f"--{BOUNDARY}--".encode()
    async with httpx.AsyncClient(timeout=300) as client:
        content_type = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        headers = {"Content-Type": content_type, "Accept": "application/dicom+json"}
        response = await client.post(f"http://127.0.0.1:{port}/v2/studies", content=body, headers=headers)
    assert response.status_code == 409
    assert len(response.json()["00081198"]["Value"]) == count


async def test_very_long_boundary(port: int) -> None:
    """A boundary of eight thousand characters is read, or refused; the request never hangs."""
    boundary = "b" * 8000
    body = _part(made_file(new_uid(), new_uid(), new_uid()), boundary) + f"--{boundary}--".encode()
    async with httpx.AsyncClient(timeout=60) as client:
        headers = {
            "Content-Type": f"multipart/related; type=application/dicom; boundary={boundary}",
            "Accept": "application/dicom+json",
        }
        response = await client.post(f"http://127.0.0.1:{port}/v2/studies", content=body, headers=headers)
    assert response.status_code in (200, 400, 415)


async def test_expect_continue(port: int) -> None:
    """STO-18: the client is told to go on, or told the final status at once."""
    file = _part(made_file(new_uid(), new_uid(), new_uid())) + f"--{BOUNDARY}--".encode()
    async with Rude(port) as rude:
        await rude.send(HEAD + f"Content-Length: {len(file)}\r\nExpect: 100-continue\r\n\r\n")
        assert await rude.status() == 100
        await rude.reader.readline()
        await rude.send(file)
        assert await rude.status() == 200
    refused = HEAD.replace("application/dicom+json", "image/png")
    async with Rude(port) as rude:
        await rude.send(refused + f"Content-Length: {len(file)}\r\nExpect: 100-continue\r\n\r\n")
        assert await rude.status() == 406


async def test_early_refusal_is_seen(port: int) -> None:
    """STO-5: a client that closes after its request sees the refusal and not a reset connection."""
    refused = HEAD.replace("application/dicom+json", "image/png")
    for _ in range(5):
        async with Rude(port) as rude:
            await rude.send(refused + "Content-Length: 20000000\r\nConnection: close\r\n\r\n")
            for _ in range(20):
                await rude.send(b"x" * 1_000_000)
            assert await rude.status() == 406
