"""The app with the names of its route groups turned round, so that the host tries them in the opposite order."""

from collections.abc import Callable
from typing import Any

from shared.app import app as original

LAST = "zz_catch_all"


class RenamedFunction:
    """One function of the app under another name."""

    def __init__(self, function: Any, name: str) -> None:
        self.get_function_name = lambda: name
        self.get_raw_bindings: Callable[[], list[str]] = function.get_raw_bindings
        self.get_user_function: Callable[[], Any] = function.get_user_function


class RenamedApp:
    """What the host asks an app for."""

    def get_functions(self) -> list[RenamedFunction]:
        """All functions; every one but the last has a name that turns the order round."""
        functions = sorted(original.get_functions(), key=lambda function: str(function.get_function_name()))
        names = [str(function.get_function_name()) for function in functions]
        return [
            RenamedFunction(function, name if name == LAST else f"n{len(names) - position:03}_{name}")
            for position, (function, name) in enumerate(zip(functions, names, strict=True))
        ]


app = RenamedApp()
