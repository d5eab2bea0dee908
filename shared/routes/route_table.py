"""Route tables: which handler a path and a method lead to (PLT-05 to PLT-07, PLT-113, PLT-117).

Starlette's routes match the decoded path, in which an encoded slash separates segments like any other. Here the raw
path is taken apart first and every segment decoded by itself, so that no UID can smuggle in a further level.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from .call import Handler, Route


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path of a table: its segments, of which some are placeholders, and the route of each method."""

    segments: tuple[str, ...]
    placeholders: tuple[str | None, ...]
    standalone: bool
    routes: dict[str, Route] = field(default_factory=dict)

    def match(self, path: Sequence[str]) -> dict[str, str] | None:
        """The values of the placeholders if the decoded segments of a path fit."""
        values = {}
        for literal, name, segment in zip(self.segments, self.placeholders, path, strict=True):
            if name is not None:
                if not segment:
                    return None
                values[name] = segment
            elif segment.lower() != literal:
                return None
        return values


class RouteGroup:
    """The routes of one function.

    `versioned` groups stand below a version segment, the placeholder `version`. The handlers of `standalone` groups
    are called without services, so that they answer while there is no storage.
    """

    def __init__(self, name: str, routes: Sequence[Route], *, versioned: bool = True, standalone: bool = False) -> None:
        self.name = name
        self.routes = tuple(routes)
        self.versioned = versioned
        self._patterns = _by_length(_patterns(self.routes, versioned, standalone))

    @classmethod
    def union(cls, name: str, groups: Iterable["RouteGroup"]) -> "RouteGroup":
        """All groups as one: what the function answers that gets whatever no other took."""
        union = cls(name, ())
        union._patterns = _by_length(
            pattern for group in groups for patterns in group._patterns.values() for pattern in patterns
        )
        return union

    def find(self, path: Sequence[str]) -> tuple[Pattern, dict[str, str]] | None:
        """The pattern that fits the decoded segments, and the values of its placeholders.

        Literals go before placeholders, whatever their order in the table.
        """
        for pattern in self._patterns.get(len(path), ()):
            values = pattern.match(path)
            if values is not None:
                return pattern, values
        return None


def partitioned(routes: Iterable[Route], handler: Handler | None = None) -> list[Route]:
    """The twins of `routes` below a data partition (PLT-49); `handler`, if given, answers in place of their own."""
    return [
        replace(route, path=f"/partitions/{{partition}}{route.path}", handler=handler or route.handler)
        for route in routes
    ]


def path_segments(raw_path: bytes) -> list[str] | None:
    """The decoded segments of a path, without one slash at the end; `None` for bytes that are no text (PLT-117)."""
    try:
        path = raw_path.decode("ascii")
        segments = [unquote(segment, errors="strict") if "%" in segment else segment for segment in path.split("/")]
    except UnicodeDecodeError:
        return None
    if segments[0] or any("\0" in segment for segment in segments):
        return None
    return segments[1:-1] if len(segments) > 1 and not segments[-1] else segments[1:]


def _patterns(routes: Iterable[Route], versioned: bool, standalone: bool) -> list[Pattern]:
    patterns: dict[str, Pattern] = {}
    for route in routes:
        path = f"/{{version}}{route.path}" if versioned else route.path
        if path not in patterns:
            segments = tuple(segment for segment in path.lower().split("/") if segment)
            names = [segment for segment in path.split("/") if segment]
            placeholders = tuple(name[1:-1] if name.startswith("{") else None for name in names)
            patterns[path] = Pattern(segments, placeholders, standalone)
        if route.method in patterns[path].routes:
            raise ValueError(f"two routes for {route.method} {path}")
        patterns[path].routes[route.method] = route
    return list(patterns.values())


def _by_length(patterns: Iterable[Pattern]) -> dict[int, tuple[Pattern, ...]]:
    lengths: dict[int, list[Pattern]] = {}
    for pattern in patterns:
        lengths.setdefault(len(pattern.segments), []).append(pattern)
    literals_first = {
        length: sorted(group, key=lambda pattern: [name is not None for name in pattern.placeholders])
        for length, group in lengths.items()
    }
    return {length: tuple(group) for length, group in literals_first.items()}
