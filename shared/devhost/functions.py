"""The functions of an app as the host sees them: names and bindings, read from `app.get_functions()`."""

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HTTP = "httptrigger"
TIMER = "timertrigger"
QUEUE = "queuetrigger"


class HostError(Exception):
    """The host cannot start; the text is one line for the user."""


@dataclass(frozen=True, slots=True)
class HostedFunction:
    """One function: `trigger` is the trigger's binding as the worker reports it to the host."""

    name: str
    trigger: dict[str, Any]
    call: Callable[..., Any]
    wants_context: bool

    @property
    def kind(self) -> str:
        """`HTTP`, `TIMER`, `QUEUE` or another trigger type in lower case."""
        return str(self.trigger["type"]).lower()

    @property
    def parameter(self) -> str:
        """The parameter that takes the request, timer or message."""
        return str(self.trigger["name"])


def load_functions(target: str, directory: Path) -> list[HostedFunction]:
    """Import `module:attribute` from `directory` and return its functions in the order of the host.

    Raises `HostError` when there is no such app; what the app itself raises while it is imported passes through.
    """
    module_name, _, attribute = target.partition(":")
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name != module_name:
            raise
        raise HostError(f"There is no module {module_name} in {directory}.") from None
    app = getattr(module, attribute or "app", None)
    if not hasattr(app, "get_functions"):
        raise HostError(f"{module_name} has no function app called {attribute or 'app'}.")
    return in_host_order(described(function) for function in app.get_functions())


def described(function: Any) -> HostedFunction:
    """What the host needs of a `azure.functions.Function`."""
    bindings = [json.loads(binding) for binding in function.get_raw_bindings()]
    trigger = next(binding for binding in bindings if str(binding["type"]).lower().endswith("trigger"))
    call = function.get_user_function()
    wants_context = "context" in inspect.signature(call).parameters and trigger["name"] != "context"
    return HostedFunction(function.get_function_name(), trigger, call, wants_context)


def in_host_order(functions: Iterable[HostedFunction]) -> list[HostedFunction]:
    """By name as .NET's ordinal comparison without case orders it: upper case decides, so `_` comes after letters."""
    return sorted(functions, key=lambda function: function.name.upper())
