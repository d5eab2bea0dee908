"""Route templates, matched as the host matches them: one after the other in the order of the functions' names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from .functions import HTTP, HostedFunction


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A segment of a template that takes a value: `{name}`, `{name?}` or, at the end, `{*name}`."""

    name: str
    rest: bool
    optional: bool


@dataclass(frozen=True, slots=True)
class FunctionRoute:
    """One HTTP function with its template in segments; a literal segment is kept in lower case."""

    function: HostedFunction
    template: str
    segments: tuple[str | Placeholder, ...]
    methods: frozenset[str]

    def match(self, path: Sequence[str]) -> dict[str, str] | None:
        """The values of the placeholders when the segments of a path fit, else `None`.

        An empty segment fits nothing but the inside of what `{*name}` takes.
        """
        segments = self.segments
        for position, text in enumerate(path):
            if not text or position >= len(segments):
                return None
            segment = segments[position]
            if isinstance(segment, str):
                if segment != text and segment != lower(text):
                    return None
            elif segment.rest:
                break
        return self._values(path)

    def literal(self, position: int) -> str | None:
        """The literal at a position of the template, None if it takes a value there or ends before."""
        segment = self.segments[position] if position < len(self.segments) else None
        return segment if isinstance(segment, str) else None

    def _values(self, path: Sequence[str]) -> dict[str, str] | None:
        values: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if isinstance(segment, str):
                if position >= len(path):
                    return None
            elif segment.rest:
                values[segment.name] = "/".join(path[position:])
            elif position < len(path):
                values[segment.name] = path[position]
            elif not segment.optional:
                return None
        return values


class RouteTable:
    """The HTTP functions of an app in the order in which they are tried."""

    def __init__(self, routes: Iterable[FunctionRoute]) -> None:
        self.routes = tuple(routes)
        literals = {route.literal(1) for route in self.routes}
        self._by_second = {literal: self._fitting(literal) for literal in literals if literal}
        self._others = self._fitting(None)

    def _fitting(self, literal: str | None) -> tuple[FunctionRoute, ...]:
        """The routes that may take a path with this literal, or with none of them, as its second segment."""
        return tuple(route for route in self.routes if route.literal(1) in (literal, None))

    def find(self, method: str, path: Sequence[str]) -> tuple[HostedFunction, dict[str, str]] | None:
        """The first function whose template and methods fit; literals are not preferred to placeholders."""
        second = lower(path[1]) if len(path) > 1 else ""
        for route in self._by_second.get(second, self._others):
            if not route.methods or method in route.methods:
                values = route.match(path)
                if values is not None:
                    return route.function, values
        return None


def route_table(functions: Iterable[HostedFunction], prefix: str) -> RouteTable:
    """The table of the HTTP functions among `functions`, which are in host order already."""
    routes = []
    for function in functions:
        if function.kind == HTTP:
            template = "/".join(part for part in (prefix.strip("/"), function.route) if part)
            segments = tuple(parsed(segment) for segment in template.split("/"))
            routes.append(FunctionRoute(function, template, segments, frozenset(function.methods)))
    return RouteTable(routes)


def parsed(segment: str) -> str | Placeholder:
    """One segment of a template; constraints and defaults of placeholders are not known here."""
    if not (segment.startswith("{") and segment.endswith("}")):
        return lower(segment)
    inner = segment[1:-1]
    return Placeholder(inner.strip("*?"), rest=inner.startswith("*"), optional=inner.endswith("?"))


def path_segments(raw_path: bytes) -> list[str]:
    """The segments of a path, without the slash at its end, decoded one by one: an encoded slash separates nothing."""
    path = raw_path.decode("latin-1")
    path = path.removeprefix("/").removesuffix("/")
    if not path:
        return []
    return [unquote(segment) if "%" in segment else segment for segment in path.split("/")]


def lower(text: str) -> str:
    """Lower case of plain ASCII; other text never equals a literal by case alone."""
    return text.lower() if text.isascii() else text
