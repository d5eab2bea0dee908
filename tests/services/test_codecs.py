"""Codec processes: results in memory and on disk, children that die, hang or are given up."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from shared.dicom.instance import parse_instance
from shared.dicom.pixels import Undecodable
from shared.errors import Unavailable
from shared.services.codecs import CodecResult, Codecs
from tests.support.made_images import encoded, gradient, made_image
from tests.support.sample_images import SAMPLE_IMAGES

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]

ELE = "1.2.840.10008.1.2.1"
J2KL = "1.2.840.10008.1.2.4.90"


@pytest_asyncio.fixture
async def codecs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Codecs]:
    """Two children at most; results on disk go into a directory of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    codecs = Codecs(2, 10)
    yield codecs
    await codecs.close()


def sample(name: str) -> tuple[bytes, bytes, str]:
    """A file, its frame table and its transfer syntax."""
    content = next(sample for sample in SAMPLE_IMAGES if sample.name == name).read()
    parsed = parse_instance(content, study=None)
    return content, parsed.frames, parsed.transfer_syntax


async def transcode(codecs: Codecs, name: str, target: str = ELE) -> CodecResult:
    content, frames, syntax = sample(name)
    async with codecs.turn() as turn:
        return await turn.run("transcode_file", [content, frames], transfer_syntax=syntax, target=target)


def children() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "codec_process" in " ".join(process.cmdline()):
                found.append(process)
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_small_results(codecs: Codecs, tmp_path: Path) -> None:
    """RET-31: in memory"""
    result = await transcode(codecs, "MR_small_RLE.dcm")
    assert result.size == len(result.content) > 8192
    assert [chunk async for chunk in result.chunks()] == [result.content]
    assert list(tmp_path.iterdir()) == []


async def test_large_results(codecs: Codecs, tmp_path: Path) -> None:
    """RET-27, RET-34: on disk, and gone from there with the answer"""
    content = encoded(made_image(gradient(2100, 2100, "<u2")))
    parsed = parse_instance(content, study=None)
    beginning, frame = content, content[-2 * 2100 * 2100 :]
    async with codecs.turn() as turn:
        result = await turn.run(
            "transcode_frames", [beginning, frame, frame], transfer_syntax="1.2.840.10008.1.2", target=ELE
        )
    assert parsed.frames
    assert result.parts == [len(frame)] * 2
    assert result.size == 2 * len(frame)
    assert await result.part(1) == frame
    assert await result.part(0) == frame
    result.close()
    assert list(tmp_path.iterdir()) == []


async def test_refusals(codecs: Codecs) -> None:
    """RET-34: the child lives on"""
    await transcode(codecs, "MR_small_RLE.dcm")
    before = children()
    with pytest.raises(Undecodable):
        await transcode(codecs, "JPEG-lossy.dcm")
    await transcode(codecs, "MR_small_RLE.dcm")
    assert children() == before


async def test_children_are_kept_and_few(codecs: Codecs) -> None:
    """RET-34: as many at once as are allowed; the others wait"""
    results = await asyncio.gather(*(transcode(codecs, "MR_small_RLE.dcm") for _ in range(10)))
    assert len({result.content for result in results}) == 1
    assert 1 <= len(children()) <= 2


async def test_death(codecs: Codecs, tmp_path: Path) -> None:
    """RET-34: a child that dies of a file is that file's fault; the next one is served"""
    working = asyncio.create_task(transcode(codecs, "examples_ybr_color.dcm", J2KL))
    await until(lambda: len(children()) == 1)
    await asyncio.sleep(0.05)
    children()[0].kill()
    with pytest.raises(Undecodable):
        await working
    await until(lambda: not children())
    assert list(tmp_path.iterdir()) == []
    assert (await transcode(codecs, "MR_small_RLE.dcm")).size


@pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be stopped there")
async def test_hanging(tmp_path: Path) -> None:
    """RET-34: a child that does not come to an end is given up"""
    codecs = Codecs(1, 3)
    try:
        await transcode(codecs, "MR_small_RLE.dcm")
        [child] = children()
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(Undecodable):
            await transcode(codecs, "MR_small_RLE.dcm")
        assert (await transcode(codecs, "MR_small_RLE.dcm")).size
    finally:
        await codecs.close()


async def test_idle_children_that_died(codecs: Codecs) -> None:
    """RET-34: are replaced, without anybody noticing"""
    await transcode(codecs, "MR_small_RLE.dcm")
    [child] = children()
    child.kill()
    await until(lambda: child.status() == psutil.STATUS_ZOMBIE)
    assert (await transcode(codecs, "MR_small_RLE.dcm")).size


async def test_cancelled(codecs: Codecs) -> None:
    """RET-34: nobody waits any more, so the child is ended and the next request has its turn"""
    working = [asyncio.create_task(transcode(codecs, "examples_ybr_color.dcm", J2KL)) for _ in range(2)]
    await until(lambda: len(children()) == 2)
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    assert all(task.cancelled() for task in working)
    assert (await transcode(codecs, "MR_small_RLE.dcm")).size


async def test_idle_children_end(codecs: Codecs, monkeypatch: pytest.MonkeyPatch) -> None:
    """design: processes that are not needed are not there"""
    monkeypatch.setattr("shared.services.codecs.IDLE_SECONDS", 0.05)
    await transcode(codecs, "MR_small_RLE.dcm")
    await until(lambda: not children())


async def test_no_room_for_results(codecs: Codecs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """RET-34: a full disk is not the file's fault: 503"""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    content = encoded(made_image(gradient(2100, 2100, "<u2")))
    frame = content[-2 * 2100 * 2100 :]
    with pytest.raises(Unavailable):
        async with codecs.turn() as turn:
            await turn.run("transcode_frames", [content, frame], transfer_syntax="1.2.840.10008.1.2", target=ELE)
