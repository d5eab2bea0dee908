"""Where a picture is made: in the event loop only if that is quick and keeps nobody waiting (RET-80)."""

import sys
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

import shared.dicom.render  # noqa: F401  loaded, as after the first picture
from shared.dicom import transfer_syntaxes as ts
from shared.dicom.frames import FrameTable
from shared.services.render import SHORT_HEADER, SMALL_FRAME, _Rendering
from shared.under_way import ANSWERING


class Rendering(_Rendering):
    """Gives the thread in place of a picture."""

    def _render(self, *_: object) -> bytes:
        return threading.current_thread().name.encode()


async def place(
    syntax: str = ts.EXPLICIT_LITTLE_ENDIAN, size: int = SMALL_FRAME, header: int = SHORT_HEADER
) -> bytes | None:
    record = cast(Any, SimpleNamespace(transfer_syntax=syntax))
    table = FrameTable(1, 1, header, 8 * size)
    return await Rendering(cast(Any, None), record, table, 1, "image/png", 100)._rendered(b"", bytes(size), None)


async def test_places(monkeypatch: pytest.MonkeyPatch) -> None:
    here = threading.current_thread().name.encode()
    with ANSWERING:
        assert await place() == here
        assert await place(ts.IMPLICIT_LITTLE_ENDIAN) == here
        assert await place(size=SMALL_FRAME + 1) != here
        assert await place(header=SHORT_HEADER + 1) != here
        assert await place(ts.JPEG_BASELINE) != here
        with ANSWERING:
            assert await place() != here
    monkeypatch.delitem(sys.modules, "shared.dicom.render")
    assert await place() != here
