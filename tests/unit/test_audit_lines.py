"""When the lines of an action are written (PLT-45)."""

import asyncio
import json
import logging

import pytest
from starlette.requests import Request

from shared.routes.audit import LONGEST_UNTOLD, AuditEntry

pytestmark = pytest.mark.unit

SCOPE = {
    "type": "http", "method": "GET", "path": "/v2/studies", "raw_path": b"/v2/studies", "query_string": b"",
    "headers": [(b"host", b"localhost")], "scheme": "http", "server": ("localhost", 80), "client": ("127.0.0.1", 1),
}  # fmt: skip


def entry() -> AuditEntry:
    return AuditEntry("query", Request(dict(SCOPE)), "", "id")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    found = [json.loads(message) for message in caplog.messages]
    return [(line["resultType"], line["time"]) for line in found]


async def test_a_short_action_is_told_when_it_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dicom.audit"):
        action = entry()
        action.started()
        await asyncio.sleep(LONGEST_UNTOLD / 10)
        assert not caplog.messages
        action.ended(200)
        await asyncio.sleep(0)
        [(first, began), (second, ended)] = lines(caplog)
        assert (first, second) == ("Started", "Ended")
        assert began < ended
        await asyncio.sleep(2 * LONGEST_UNTOLD)
        assert len(caplog.messages) == 2


async def test_the_beginning_of_a_long_one_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dicom.audit"):
        action = entry()
        action.started()
        await asyncio.sleep(3 * LONGEST_UNTOLD)
        assert [kind for kind, _ in lines(caplog)] == ["Started"]
        action.ended(200)
        await asyncio.sleep(0)
        assert [kind for kind, _ in lines(caplog)] == ["Started", "Ended"]


async def test_one_that_was_refused_only_ends(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dicom.audit"):
        entry().ended(401)
        await asyncio.sleep(0)
        assert [kind for kind, _ in lines(caplog)] == ["Ended"]
