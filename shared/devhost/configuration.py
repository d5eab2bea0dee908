"""What the host reads at start: `host.json` and, for a laptop, `local.settings.json`."""

import json
import os
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .functions import HostError

DEFAULT_BODY_LIMIT = 104_857_600
BODY_LIMIT_SETTING = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"
HOMEPAGE_SETTING = "AzureWebJobsDisableHomepage"


@dataclass(frozen=True, slots=True)
class HostConfiguration:
    """The parts of `host.json` that the local host honours, and its settings from the environment."""

    route_prefix: str = "api"
    queues: dict[str, Any] = field(default_factory=dict)
    body_limit: int = DEFAULT_BODY_LIMIT
    homepage: bool = True


def read_configuration(directory: Path, environment: MutableMapping[str, str]) -> HostConfiguration:
    """Read the files of `directory`; the settings of `local.settings.json` go to `environment` where not set already.

    Raises `HostError` for a missing or unreadable `host.json`.
    """
    apply_local_settings(directory / "local.settings.json", environment)
    host = read_json(directory / "host.json")
    if host is None:
        raise HostError(f"There is no host.json in {directory}.")
    extensions = host.get("extensions") or {}
    limit = environment.get(BODY_LIMIT_SETTING, "")
    return HostConfiguration(
        route_prefix=(extensions.get("http") or {}).get("routePrefix", "api"),
        queues=extensions.get("queues") or {},
        body_limit=int(limit) if limit.isdigit() else DEFAULT_BODY_LIMIT,
        homepage=environment.get(HOMEPAGE_SETTING, "").lower() not in {"true", "1"},
    )


def apply_local_settings(path: Path, environment: MutableMapping[str, str]) -> None:
    """Make the `Values` of `local.settings.json` environment variables, unless they are set already."""
    settings = read_json(path) or {}
    for name, value in (settings.get("Values") or {}).items():
        environment.setdefault(name, str(value))


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


def environment_settings() -> MutableMapping[str, str]:
    """The environment of this process."""
    return os.environ
