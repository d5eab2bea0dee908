"""Which frame tables stay in memory between requests (RET-49): large ones, but not whatever compresses well."""

from array import array
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.dicom.frames import FrameTable, encapsulated_frames
from shared.services.retrieve_frames import MOST_REMEMBERED_FRAGMENTS, frame_table

pytestmark = pytest.mark.unit


def packed(count: int, length: int) -> bytes:
    positions = array("Q", (1000 + number * (8 + length) for number in range(count)))
    fragments = encapsulated_frames(range(count + 1), positions, array("I", [length]) * count)
    return FrameTable(count, count, fragments=fragments).pack()


def table(frames: bytes) -> FrameTable:
    """As a request finds it: the bytes come from storage each time."""
    return frame_table(cast(Any, SimpleNamespace(frames=bytes(bytearray(frames)))), [1])


@pytest.mark.parametrize("count", [1, MOST_REMEMBERED_FRAGMENTS])
def test_remembered(count: int) -> None:
    frames = packed(count, 4000)
    assert table(frames) is table(frames)


def test_too_large() -> None:
    frames = packed(MOST_REMEMBERED_FRAGMENTS + 1, 2)
    assert len(frames) < 4096
    assert table(frames) == table(frames)
    assert table(frames) is not table(frames)
