"""Hostile and broken requests: a clear answer, bounded memory, nothing half stored, the next request unharmed."""

import asyncio
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.settings import Settings
from shared.storage import names
from shared.storage.engine import open_storage
from tests.support.made_files import BOUNDARY, STORE_HEADERS, store_body
from tests.support.processes import LocalHost
from tests.support.stow import Triple, new_triple, part, send, store

pytestmark = pytest.mark.integration

DICOM = {"Content-Type": "application/dicom", "Accept": "*/*"}
CLOSING = b"--" + BOUNDARY.encode() + b"--\r\n"


@pytest.fixture
def studies(base_url: str) -> str:
    return f"{base_url}/v2/studies"


@pytest.fixture(autouse=True)
def _unharmed(base_url: str) -> Iterator[None]:
    """Whatever a test sends, an ordinary store works after it."""
    yield
    triple = new_triple()
    assert store(base_url, triple.file()).status == 200
    assert exists(base_url, triple.study)


def exists(base_url: str, study: str) -> bool:
    response = httpx.get(f"{base_url}/v2/studies?StudyInstanceUID={study}", headers={"Accept": "*/*"}, timeout=60)
    assert response.status_code in (200, 204)
    return response.status_code == 200


def pixel_data(length: int) -> bytes:
    """The head of an explicit Pixel Data element of this length."""
    return b"\xe0\x7f\x10\x00OW\x00\x00" + struct.pack("<I", length)


# ------------------------------------------------------------------ broken bodies


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("multipart", [False, True])
def test_connection_cut_in_the_middle(base_url: str, multipart: bool, chunked: bool) -> None:
    """STO-28, STO-49: a client that goes in the middle of its body has stored nothing."""
    address = urlsplit(base_url)
    first, second = new_triple(), new_triple()
    body = store_body([first.file(), second.file()]) if multipart else first.file()
    content_type = STORE_HEADERS["Content-Type"] if multipart else "application/dicom"
    for cut in (10, len(body) // 2, len(body) - 3):
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        sent = f"{len(body):x}\r\n".encode() + body[:cut] if chunked else body[:cut]
        head = f"POST /v2/studies HTTP/1.1\r\nHost: {address.netloc}\r\nAccept: */*\r\n{framing}\r\n"
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as connection:
            connection.sendall(f"{head}Content-Type: {content_type}\r\n\r\n".encode() + sent)
            time.sleep(0.1)
    time.sleep(0.3)
    assert not exists(base_url, first.study)
    assert not exists(base_url, second.study)


@pytest.mark.parametrize(
    "framing",
    [
        "Transfer-Encoding: chunked\r\n\r\nnot a length\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello-without-a-line-end",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: many\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    ],
)
def test_garbled_framing(base_url: str, framing: str) -> None:
    """What cannot be framed is refused or cut off, not waited for."""
    address = urlsplit(base_url)
    head = f"POST /v2/studies HTTP/1.1\r\nHost: {address.netloc}\r\nAccept: */*\r\nContent-Type: application/dicom\r\n"
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as connection:
        connection.sendall((head + framing).encode())
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    assert not answer or re.match(rb"HTTP/1\.1 (4\d\d|200|202)", answer)


def test_wrong_content_types(studies: str) -> None:
    """STO-13, STO-15, STO-23: whatever the header says, the answer is a 4xx that says so."""
    for value in (
        "",
        ";",
        "/",
        "multipart/related; boundary",
        "multipart/related; boundary=\x01",
        "a/b; c=d",
        "x" * 5000,
    ):
        answer = send("POST", studies, new_triple().file(), {"Accept": "*/*", "Content-Type": value})
        assert answer.status in (400, 415), value


# ------------------------------------------------------------------ broken files


def test_truncated_files(base_url: str) -> None:
    """STO-29, STO-69: cut off anywhere, each file is stored or fails with 43264; its neighbours are stored."""
    triple = new_triple()
    file = triple.file(PatientName="A^B", StudyDescription="x" * 30) + pixel_data(100) + bytes(100)
    cuts = list(range(0, len(file), 7))
    files = [file[:cut] for cut in cuts]
    good = [new_triple() for _ in range(3)]
    answer = store(
        base_url, good[0].file(), *files[: len(cuts) // 2], good[1].file(), *files[len(cuts) // 2 :], good[2].file()
    )
    assert answer.status == 202
    stored = [item["00081155"]["Value"][0] for item in answer.stored]
    assert [uid for uid in stored if uid != triple.instance] == [each.instance for each in good]
    assert set(answer.reasons) <= {43264, 45070}
    assert len(answer.stored) + len(answer.failed) == len(files) + 3


def test_mutated_files_get_well_formed_answers(base_url: str, size: Callable[[str], int]) -> None:
    """STO-29, STO-69: real files with random bytes changed, removed or inserted; 30 examples, 300 with --full.

    Each request carries ten of them. No answer is a 5xx, and what fails does so with 43264 or as a duplicate.
    """
    from pydicom.data import get_testdata_file

    originals = [
        Path(str(get_testdata_file(name))).read_bytes()
        for name in (
            "CT_small.dcm",
            "rtplan.dcm",
            "MR_small_RLE.dcm",
            "ExplVR_BigEnd.dcm",
            "reportsi.dcm",
            "image_dfl.dcm",
        )
    ]
    change = st.tuples(st.integers(0, 3000), st.sampled_from(["replace", "remove", "insert"]), st.binary(max_size=8))

    def mutated(original: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
        content = bytearray(original)
        for position, kind, data in changes:
            position = min(position + 128, len(content))
            if kind == "insert":
                content[position:position] = data
            else:
                content[position : position + len(data)] = b"" if kind == "remove" else data
        return bytes(content)

    files = st.builds(mutated, st.sampled_from(originals), st.lists(change, min_size=1, max_size=6))

    @settings(max_examples=size("mutated files sent"), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(files, min_size=10, max_size=10))
    def check(contents: list[bytes]) -> None:
        answer = store(base_url, *contents)
        assert answer.status in (200, 202, 409), answer.text
        assert len(answer.stored) + len(answer.failed) == len(contents)
        assert set(answer.reasons) <= {43264, 45070}
        for item in answer.stored:
            assert item["00081190"]["Value"][0].startswith(base_url)

    check()


def nested(triple: Triple, levels: int, *, closed: bool = True) -> bytes:
    """A file whose sequences contain one another, of undefined length."""
    sequence = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff"
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    file = triple.file(Modality="OT")
    end = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00" + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    return (
        file
        + b"\x40\x00\x60\x02SQ\x00\x00\xff\xff\xff\xff"
        + item
        + (sequence + item) * levels
        + (end * (levels + 1) if closed else b"")
    )


def test_nested_sequences(base_url: str, size: Callable[[str], int]) -> None:
    """STO-69: 1,000 levels fail with 43264, closed or not; neighbours are stored, and 100 levels are fine."""
    levels = size("levels of nested sequences")
    deep, neighbour, shallow = new_triple(), new_triple(), new_triple()
    answer = store(
        base_url,
        nested(deep, levels),
        neighbour.file(),
        nested(deep, levels, closed=False),
        nested(deep, 200_000, closed=False),
        nested(shallow, 100),
    )
    assert answer.reasons == [43264, 43264, 43264]
    assert [item["00081155"]["Value"][0] for item in answer.stored] == [neighbour.instance, shallow.instance]
    assert not exists(base_url, deep.study)


def test_lengths_that_lie(base_url: str) -> None:
    """STO-69: elements that claim more than there is, or gigabytes."""
    for element in (
        b"\x10\x00\x10\x40UT\x00\x00\xf0\xff\xff\xff",
        b"\x40\x00\x60\x02SQ\x00\x00\x00\x00\x00\x40" + b"\xfe\xff\x00\xe0\x00\x00\x00\x40",
        pixel_data(0xFFFFFFF0),
    ):
        answer = store(base_url, new_triple().file() + element, new_triple().file())
        assert answer.status in (200, 202)
        assert set(answer.reasons) <= {43264}


# ------------------------------------------------------------------ many and large


def test_many_parts(base_url: str, size: Callable[[str], int]) -> None:
    """STO-105: hundreds of instances of one study in one request, good ones and bad ones mixed."""
    count = size("parts of one request")
    first = new_triple()
    triples = [Triple(first.study, first.series, f"{first.instance}.{number}") for number in range(1, count + 1)]
    answer = store(base_url, *(b"x" if number % 50 == 49 else triple.file() for number, triple in enumerate(triples)))
    assert answer.status == 202
    assert len(answer.stored) == count - count // 50
    assert [item["00081155"]["Value"][0] for item in answer.stored] == [
        triple.instance for number, triple in enumerate(triples) if number % 50 != 49
    ]


def test_tiny_unreadable_parts(studies: str) -> None:
    """STO-29: 100,000 parts of one byte are answered one by one."""
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\nx\r\n"
    headers = {"Accept": "*/*", "Content-Type": "multipart/related; boundary=b"}
    answer = send("POST", studies, head * 100_000 + b"--b--", headers)
    assert answer.status == 409
    assert answer.reasons == [43264] * 100_000


def test_long_boundary(studies: str) -> None:
    """STO-20: 8,000 characters are a boundary like any other, also where the content nearly is one."""
    boundary = "x" * 8000
    file = new_triple().file() + b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", 9 * 7990) + (b"\r\n--" + b"x" * 7986) * 9
    body = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + file + f"\r\n--{boundary}--".encode()
    answer = send("POST", studies, body, {"Accept": "*/*", "Content-Type": f"multipart/related; boundary={boundary}"})
    assert answer.status in (200, 202)


def test_endless_part_headers(studies: str) -> None:
    """STO-27: refused at once, not collected."""
    body = f"--{BOUNDARY}\r\n".encode() + b"A: b\r\n" * 1_000_000
    assert send("POST", studies, body, STORE_HEADERS).status == 400


def resident_bytes(process_id: int) -> int:
    """The largest resident memory of a process and its children so far."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if int(fields["Pid"]) == process_id or int(fields["PPid"]) == process_id:
            total = max(total, int(fields.get("VmHWM", "0 kB").split()[0]) * 1024)
    return total


@pytest.mark.parametrize("multipart", [False, True])
def test_a_large_file(
    start_host: Callable[..., LocalHost], size: Callable[[str], int], multipart: bool, tmp_path: Path
) -> None:
    """STO-31, PLT-18: 300 MB with --full, 30 MB otherwise; no process holds it, and no temporary file is left."""
    spooled = tmp_path / "spooled"
    spooled.mkdir()
    host = start_host({"TMPDIR": str(spooled)})
    triple = new_triple()
    length = size("bytes of a large file")
    head = triple.file() + pixel_data(length)
    block = os.urandom(1_000_000)

    def pieces() -> Iterator[bytes]:
        if multipart:
            yield part(b"", "Content-Type: application/dicom")[:-2]
        yield head
        for _ in range(length // len(block)):
            yield block
        if multipart:
            yield b"\r\n" + CLOSING

    answer = send("POST", f"{host.url}/v2/studies", pieces(), STORE_HEADERS if multipart else DICOM)
    assert answer.status == 200, answer.text
    assert exists(host.url, triple.study)
    assert not list(spooled.iterdir())
    if Path("/proc/self/status").exists():
        assert resident_bytes(host.process.pid) < 300_000_000


def test_refused_uploads_are_removed(base_url: str, studies: str, store_settings: dict[str, str]) -> None:
    """STO-23, STO-49: parts that were uploaded before a later one refuses the request leave no file behind."""
    triples = [new_triple() for _ in range(6)]
    good = b"".join(part(triple.file(), "Content-Type: application/dicom") for triple in triples)
    duplicate = new_triple()
    assert store(base_url, duplicate.file()).status == 200
    for body in (
        good + part(b"{}", "Content-Type: application/json") + CLOSING,
        good,
        good + b"--" + BOUNDARY.encode() + b"\r\nno header\r\n\r\n" + CLOSING,
    ):
        assert send("POST", studies, body, STORE_HEADERS).status in (400, 415)
    assert store(base_url, duplicate.file()).reasons == [45070]

    async def files(study: str) -> list[str]:
        storage = open_storage(Settings.model_validate(store_settings))
        try:
            return [blob.name async for blob in storage.list_blobs(names.DICOM, f"Microsoft.Default/{study}/")]
        finally:
            await storage.close()

    assert [asyncio.run(files(triple.study)) for triple in triples] == [[]] * 6
    assert len(asyncio.run(files(duplicate.study))) == 1


# ------------------------------------------------------------------ slow and many


def test_slow_senders_do_not_keep_others_waiting(base_url: str) -> None:
    """Fifty connections that trickle a body leave ordinary requests as quick as they are."""
    address = urlsplit(base_url)
    head = f"POST /v2/studies HTTP/1.1\r\nHost: {address.netloc}\r\nAccept: */*\r\nContent-Length: 100000\r\n"
    connections = []
    try:
        for _ in range(50):
            connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=30)
            connection.sendall(f"{head}Content-Type: application/dicom\r\n\r\n".encode())
            connections.append(connection)
        for _ in range(5):
            for connection in connections:
                connection.sendall(b"x")
            began = time.monotonic()
            assert store(base_url, new_triple().file()).status == 200
            assert time.monotonic() - began < 2
    finally:
        for connection in connections:
            connection.close()


def test_many_clients_at_once(base_url: str) -> None:
    """STO-48: simultaneous stores into one new study all succeed; of one instance exactly one does."""
    first = new_triple()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: store(base_url, first.sibling().file()), range(16)))
        assert [answer.status for answer in answers] == [200] * 16
        answers = list(pool.map(lambda _: store(base_url, first.file()), range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert {reason for answer in answers if answer.status == 409 for reason in answer.reasons} <= {45070, 45071}
    found = httpx.get(f"{base_url}/v2/studies/{first.study}/instances?limit=200", headers={"Accept": "*/*"}).json()
    assert len(found) == 17
