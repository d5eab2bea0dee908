"""The functions of an app as the host sees them: names and bindings, read from `app.get_functions()`."""

import asyncio
import importlib
import inspect
import json
import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .configuration import resolved
from .errors import HostError

HTTP = "httptrigger"
TIMER = "timertrigger"
QUEUE = "queuetrigger"

RESERVED = ("admin", "runtime")
"""What routes must not begin with: the host's own paths."""


@dataclass(frozen=True, slots=True)
class HostedFunction:
    """One function: `trigger` is its trigger's binding as the worker reports it to the host."""

    name: str
    trigger: dict[str, Any]
    call: Callable[..., Any]
    asynchronous: bool = True
    wants_context: bool = False
    parameter: str = field(init=False)
    """The parameter that takes the request, timer or message."""
    anonymous: bool = field(init=False)
    """Whether an HTTP function asks for no key."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameter", str(self.trigger["name"]))
        level = str(self.trigger.get("authLevel") or "function").lower()
        object.__setattr__(self, "anonymous", level == "anonymous")

    @property
    def kind(self) -> str:
        """`HTTP`, `TIMER`, `QUEUE` or another trigger type in lower case."""
        return str(self.trigger["type"]).lower()

    @property
    def route(self) -> str:
        """The route template of an HTTP function, without slashes at its ends."""
        return str(self.trigger.get("route") or self.name).strip("/")

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of an HTTP function in its own order; none means all."""
        return tuple(str(method).upper() for method in self.trigger.get("methods") or ())

    def setting(self, name: str) -> str:
        """A value of the trigger, with the settings that it names as `%NAME%`."""
        return resolved(str(self.trigger.get(name) or ""), os.environ)

    async def invoke(self, argument: Any) -> Any:
        """Call the function; one that is not asynchronous runs in a thread."""
        arguments = {self.parameter: argument}
        if self.wants_context:
            arguments["context"] = invocation_context(self.name)
        if self.asynchronous:
            return await self.call(**arguments)
        return await asyncio.to_thread(self.call, **arguments)


def invocation_context(name: str) -> Any:
    """What a function reads from its parameter `context`."""
    return SimpleNamespace(
        invocation_id=str(uuid.uuid4()),
        function_name=name,
        function_directory=str(Path.cwd()),
        thread_local_storage=threading.local(),
        trace_context=None,
        retry_context=None,
    )


def load_functions(target: str, directory: Path) -> list[HostedFunction]:
    """Import `module:attribute` from `directory` and return its functions in the order of the host.

    Raises `HostError` when there is no such app or the host would refuse a function; what the app itself raises while
    it is imported passes through, unless its class has `for_users`: then its text says all.
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
    except Exception as error:
        if getattr(error, "for_users", False):
            raise HostError(str(error)) from None
        raise
    app: Any = getattr(module, attribute or "app", None)
    if not hasattr(app, "get_functions"):
        raise HostError(f"{module_name} has no function app called {attribute or 'app'}.")
    functions = in_host_order(described(function) for function in app.get_functions())
    check_routes(functions)
    return functions


def described(function: Any) -> HostedFunction:
    """What the host needs of a function of `azure.functions`."""
    bindings = [json.loads(binding) for binding in function.get_raw_bindings()]
    trigger = next(binding for binding in bindings if str(binding["type"]).lower().endswith("trigger"))
    call = function.get_user_function()
    wants_context = "context" in inspect.signature(call).parameters and trigger["name"] != "context"
    return HostedFunction(function.get_function_name(), trigger, call, inspect.iscoroutinefunction(call), wants_context)


def in_host_order(functions: Iterable[HostedFunction]) -> list[HostedFunction]:
    """By name as .NET's ordinal comparison without case orders it: upper case decides, so `_` comes after letters."""
    return sorted(functions, key=lambda function: function.name.upper())


def check_routes(functions: Iterable[HostedFunction]) -> None:
    """Raise `HostError` for routes of the host's own, and for two functions of the same route and method."""
    seen: dict[str, list[HostedFunction]] = {}
    for function in functions:
        if function.kind != HTTP:
            continue
        route = function.route.lower()
        if route.startswith(RESERVED):
            raise HostError(f"The route {function.route} of {function.name} conflicts with routes of the host itself.")
        for other in seen.setdefault(route, []):
            if not (function.methods and other.methods) or set(function.methods) & set(other.methods):
                raise HostError(f"The route of {function.name} conflicts with the route of {other.name}.")
        seen[route].append(function)
