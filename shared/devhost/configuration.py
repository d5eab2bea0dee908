"""What the host reads at start: `host.json` and, on a laptop, `local.settings.json`."""

import json
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import HostError

DEFAULT_BODY_LIMIT = 104_857_600
DEFAULT_PORT = 7071
BODY_LIMIT_SETTING = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"
HOMEPAGE_SETTING = "AzureWebJobsDisableHomepage"
WORKERS_SETTING = "FUNCTIONS_WORKER_PROCESS_COUNT"
MOST_WORKERS = 10

LONGEST_BATCH = 32
SHORTEST_POLLING = 0.1


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How queue triggers read their queues; the defaults are the host's, all durations are seconds."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_polling_interval: float = 60.0
    visibility_timeout: float = 0.0
    max_dequeue_count: int = 5
    base64: bool = True


@dataclass(frozen=True, slots=True)
class HostConfiguration:
    """The parts of `host.json` that the local host honours, and its settings from the environment."""

    route_prefix: str = "api"
    queues: QueueOptions = field(default_factory=QueueOptions)
    body_limit: int = DEFAULT_BODY_LIMIT
    homepage: bool = True
    port: int = DEFAULT_PORT
    workers: int = 1


def read_configuration(directory: Path, environment: MutableMapping[str, str] | None = None) -> HostConfiguration:
    """Read the files of the app's `directory`.

    The settings of `local.settings.json` become variables of `environment` (of this process, if none is given), unless
    they are set already. Raises `HostError` for a missing or unreadable `host.json`, and for values that the host
    refuses.
    """
    environment = os.environ if environment is None else environment
    local = read_json(directory / "local.settings.json") or {}
    apply_settings(local, environment)
    host = read_json(directory / "host.json")
    if host is None:
        raise HostError(f"There is no host.json in {directory}: it is no directory of a function app.")
    extensions = section(host, "extensions")
    return HostConfiguration(
        route_prefix=str(section(extensions, "http").get("routePrefix", "api")),
        queues=queue_options(section(extensions, "queues")),
        body_limit=whole_number(environment, BODY_LIMIT_SETTING, DEFAULT_BODY_LIMIT),
        homepage=environment.get(HOMEPAGE_SETTING, "").strip().lower() != "true",
        port=whole_number(section(local, "Host"), "LocalHttpPort", DEFAULT_PORT),
        workers=worker_count(environment),
    )


def worker_count(environment: Mapping[str, str]) -> int:
    """How many workers the settings ask for; raises `HostError` for more than the host starts."""
    count = max(whole_number(environment, WORKERS_SETTING, 1), 1)
    if count > MOST_WORKERS:
        raise HostError(f"{WORKERS_SETTING} must not be greater than {MOST_WORKERS}.")
    return count


def apply_settings(local: Mapping[str, Any], environment: MutableMapping[str, str]) -> None:
    """Make the `Values` of `local.settings.json` environment variables, unless they have a value already."""
    if local.get("IsEncrypted") is True:
        raise HostError("local.settings.json is encrypted: decrypt it with `func settings decrypt`.")
    for name, value in section(local, "Values").items():
        if not environment.get(name):
            environment[name] = str(value)


def queue_options(queues: Mapping[str, Any]) -> QueueOptions:
    """The options of queue triggers; raises `HostError` for values that the host refuses."""
    batch_size = whole_number(queues, "batchSize", 16)
    default_threshold = batch_size // 2 * (os.cpu_count() or 1)
    options = QueueOptions(
        batch_size=batch_size,
        new_batch_threshold=whole_number(queues, "newBatchThreshold", default_threshold),
        max_polling_interval=seconds(queues, "maxPollingInterval", 60.0),
        visibility_timeout=seconds(queues, "visibilityTimeout", 0.0),
        max_dequeue_count=whole_number(queues, "maxDequeueCount", 5),
        base64=str(queues.get("messageEncoding", "base64")).lower() != "none",
    )
    if not 1 <= options.batch_size <= LONGEST_BATCH:
        raise HostError(f"host.json: batchSize must be 1 to {LONGEST_BATCH}, not {options.batch_size}.")
    if options.max_dequeue_count < 1:
        raise HostError("host.json: maxDequeueCount must not be less than 1.")
    if options.max_polling_interval < SHORTEST_POLLING:
        raise HostError("host.json: maxPollingInterval must not be less than 00:00:00.1.")
    return options


def section(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object `name` in a JSON object, an empty one without it."""
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise HostError(f"{name} is no JSON object.")
    return value


def whole_number(values: Mapping[str, Any], name: str, default: int) -> int:
    """The value `name` as a whole number that is not negative."""
    value = values.get(name, "")
    if value in ("", None):
        return default
    if not str(value).strip().isdigit():
        raise HostError(f"{name} must be a whole number, not {value!r}.")
    return int(value)


TIME_SPAN = re.compile(r"(?:(?P<days>\d+)\.)?(?P<hours>\d+):(?P<minutes>\d{1,2})(?::(?P<seconds>\d{1,2}(?:\.\d+)?))?")


def time_span(text: str) -> float | None:
    """The seconds of a .NET time span such as `00:00:10` or `1.12:00:00`; `None` when it is none."""
    match = TIME_SPAN.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes, rest = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def seconds(values: Mapping[str, Any], name: str, default: float) -> float:
    """The value `name`, a .NET time span, in seconds."""
    value = values.get(name)
    if value is None:
        return default
    span = time_span(str(value))
    if span is None:
        raise HostError(f"host.json: {name} must be a time such as 00:00:10, not {value!r}.")
    return span


def resolved(text: str, environment: Mapping[str, str]) -> str:
    """`text` with the settings that it names as `%NAME%`; raises `HostError` for one that is not set."""

    def setting(match: re.Match[str]) -> str:
        value = environment.get(match[1])
        if value is None:
            raise HostError(f"'%{match[1]}%' does not resolve to a value.")
        return value

    return re.sub(r"%([^%]+)%", setting, text)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, `None` without the file; raises `HostError` when it is no object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise HostError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise HostError(f"{path} holds no JSON object.")
    return content
