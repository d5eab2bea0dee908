"""Which frame tables stay in memory between requests (RET-49): many, and of very large ones the last."""

from array import array
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.dicom.frames import FrameTable, encapsulated_frames
from shared.services.retrieve_frames import LARGE_TABLE, frame_table

pytestmark = pytest.mark.unit


def packed(count: int, length: int) -> bytes:
    positions = array("Q", (1000 + number * (8 + length) for number in range(count)))
    fragments = encapsulated_frames(range(count + 1), positions, array("I", [length]) * count)
    return FrameTable(count, count, fragments=fragments).pack()


def table(frames: bytes) -> FrameTable:
    """As a request finds it: the bytes come from storage each time."""
    return frame_table(cast(Any, SimpleNamespace(frames=bytes(bytearray(frames)))), [1])


@pytest.mark.parametrize("count", [1, LARGE_TABLE])
def test_remembered(count: int) -> None:
    frames = packed(count, 4000)
    assert table(frames) is table(frames)


def test_large_tables() -> None:
    one, other = packed(LARGE_TABLE + 1, 2), packed(LARGE_TABLE + 1, 4)
    assert max(len(one), len(other)) < 4096
    before = table(one)
    assert table(one) is before
    table(other)
    assert table(one) == before
    assert table(one) is not before
