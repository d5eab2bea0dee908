"""Route templates, matched as the host matches them: one after the other in the order of the functions' names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from .functions import HTTP, HostedFunction


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP function: its template in segments, and its methods (none: all)."""

    function: HostedFunction
    template: str
    segments: tuple[str, ...]
    methods: frozenset[str]

    def match(self, path: Sequence[str]) -> dict[str, str] | None:
        """The values of the placeholders when the decoded segments of a path fit, else `None`."""
        values: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if segment.startswith("{*"):
                values[segment.strip("{*}")] = "/".join(path[position:])
                return values
            if position >= len(path):
                return None
            if segment.startswith("{"):
                values[segment[1:-1]] = path[position]
            elif segment.lower() != path[position].lower():
                return None
        return values if len(path) == len(self.segments) else None


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The HTTP functions of an app in the order in which they are tried."""

    routes: tuple[Route, ...]

    def find(self, method: str, path: Sequence[str]) -> tuple[HostedFunction, dict[str, str]] | None:
        """The first function whose template and methods fit; no other is tried."""
        for route in self.routes:
            if route.methods and method not in route.methods:
                continue
            values = route.match(path)
            if values is not None:
                return route.function, values
        return None


def route_table(functions: Iterable[HostedFunction], prefix: str) -> RouteTable:
    """The table of the HTTP functions among `functions`, which are in host order already."""
    routes = []
    for function in functions:
        if function.kind == HTTP:
            template = "/".join(part for part in (prefix.strip("/"), function.trigger.get("route") or "") if part)
            methods = frozenset(str(method).upper() for method in function.trigger.get("methods") or ())
            routes.append(Route(function, template, tuple(template.split("/")), methods))
    return RouteTable(tuple(routes))


def path_segments(raw_path: bytes) -> list[str]:
    """The segments of a path, decoded one by one, so that an encoded slash separates nothing."""
    path = raw_path.partition(b"?")[0].decode("latin-1").strip("/")
    if not path:
        return []
    return [unquote(segment) if "%" in segment else segment for segment in path.split("/")]
