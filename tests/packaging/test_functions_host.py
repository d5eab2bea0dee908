"""host.json, bindings and templates against the published schema and the rules of the real host.

The rules are those of `tests/devhost/host_facts.py`; each test names the rows that it applies to this app.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.app import app
from shared.azurite import ROOT
from shared.devhost.configuration import read_configuration
from shared.devhost.functions import HTTP, QUEUE, RESERVED, TIMER, HostedFunction, check_routes, described
from shared.devhost.ncrontab import schedule
from tests.devhost.host_facts import FACTS
from tests.packaging.checkers import host_json_faults

pytestmark = pytest.mark.unit

HOST_JSON = ROOT / "host.json"

NOT_ON_FLEX_CONSUMPTION = {"blobtrigger"}
"""Unless its source is Event Grid."""


@pytest.fixture(scope="module")
def functions() -> list[HostedFunction]:
    return [described(builder._function) for builder in app._function_builders]


def facts(*names: str) -> None:
    """The rows that a test stands on are still there."""
    assert set(names) <= FACTS.keys()


def test_host_json_by_its_published_schema() -> None:
    assert host_json_faults(HOST_JSON) == []


def test_the_schema_refuses_what_it_should(tmp_path: Path) -> None:
    """The check can fail: a value out of range, a misspelt name."""
    for section, name, value in (("queues", "batchSize", 33), ("http", "routePrefixes", "")):
        content: dict[str, Any] = json.loads(HOST_JSON.read_text("utf-8"))
        content["extensions"][section][name] = value
        changed = tmp_path / f"{name}.json"
        changed.write_text(json.dumps(content), "utf-8")
        assert host_json_faults(changed) != []


def test_host_json_says_what_the_defaults_would_get_wrong() -> None:
    """PLT-11"""
    facts("route_prefix", "queue_defaults", "queue_polling", "queue_retries", "queue_poison", "queue_base64")
    content = json.loads(HOST_JSON.read_text("utf-8"))
    assert content["version"] == "2.0"
    assert content["extensionBundle"]["version"] == "[4.*, 5.0.0)"
    configuration = read_configuration(ROOT, {})
    assert configuration.route_prefix == ""
    queues = configuration.queues
    assert (queues.base64, queues.max_polling_interval, queues.visibility_timeout) == (True, 2, 10)
    assert (queues.max_dequeue_count, queues.batch_size) == (5, 4)


def test_names_are_names_for_the_host(functions: list[HostedFunction]) -> None:
    facts("functions_are_indexed_before_anything_runs", "function_order")
    names = [function.name for function in functions]
    assert len({name.lower() for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,126}", name) for name in names), names


def test_triggers_are_those_that_every_plan_has(functions: list[HostedFunction]) -> None:
    assert {function.kind for function in functions} <= {HTTP, TIMER, QUEUE}
    assert not {function.kind for function in functions} & NOT_ON_FLEX_CONSUMPTION


def test_templates_are_none_of_the_host(functions: list[HostedFunction]) -> None:
    """PLT-11, PLT-113"""
    facts("reserved_routes_are_refused", "equal_routes_are_refused", "catch_all_of_nothing", "function_keys")
    check_routes(functions)
    for function in functions:
        if function.kind == HTTP:
            assert not function.route.lower().startswith(RESERVED)
            assert re.fullmatch(r"([A-Za-z_]+|\{[a-z]+\})(/([A-Za-z_]+|\{[a-z]+\}))*(/\{\*[a-z]+\})?|\{\*[a-z]+\}",
                                function.route), function.route  # fmt: skip
            assert function.anonymous
            assert "OPTIONS" in function.methods


def test_schedules_are_schedules(functions: list[HostedFunction]) -> None:
    facts("schedule_fields", "schedule_values", "timer_run_on_startup")
    timers = [function for function in functions if function.kind == TIMER]
    assert timers
    for function in timers:
        assert callable(schedule(function.setting("schedule")))
        assert len(function.setting("schedule").split()) == 6
        assert not function.trigger.get("runOnStartup"), "it would run on every instance that is added"


def test_queues_have_poison_queues_that_are_read(functions: list[HostedFunction]) -> None:
    facts("queue_poison", "queue_poison_has_no_poison", "queue_connection")
    queues = [function for function in functions if function.kind == QUEUE]
    names = {function.setting("queueName") for function in queues}
    assert names
    assert {name for name in names if name.endswith("-poison")} == {
        f"{name}-poison" for name in names if not name.endswith("-poison")
    }
    assert all(re.fullmatch(r"[a-z0-9](-?[a-z0-9]){2,62}", name) for name in names), names
    assert {function.setting("connection") for function in queues} == {"AzureWebJobsStorage"}
