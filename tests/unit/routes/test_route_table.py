"""Matching of paths against route tables, and the versions in front of them."""

import pytest
from starlette.responses import Response

from shared.routes.call import Call, Route
from shared.routes.route_table import RouteGroup, partitioned, path_segments
from shared.routes.versions import is_version, served_version

pytestmark = pytest.mark.unit


async def handler(call: Call) -> Response:
    """Never called here."""
    return Response()


ROUTES = (
    Route("GET", "/studies", handler, "query"),
    Route("POST", "/studies", handler, "store"),
    Route("GET", "/studies/{study}", handler, "retrieve"),
    Route("POST", "/studies/$bulkUpdate", handler, "update-study"),
    Route("GET", "/studies/{study}/series/{series}", handler, "retrieve"),
)
GROUP = RouteGroup("studies", ROUTES)


def found(path: bytes, group: RouteGroup = GROUP) -> tuple[list[str], dict[str, str]] | None:
    segments = path_segments(path)
    match = None if segments is None else group.find(segments)
    return None if match is None else (sorted(match[0].routes), match[1])


@pytest.mark.parametrize(
    ("path", "methods", "values"),
    [
        (b"/v2/studies", ["GET", "POST"], {"version": "v2"}),
        (b"/v2/studies/", ["GET", "POST"], {"version": "v2"}),
        (b"/V2/STUDIES", ["GET", "POST"], {"version": "V2"}),
        (b"/v2/studies/1.2", ["GET"], {"version": "v2", "study": "1.2"}),
        (b"/v2/studies/$bulkUpdate", ["POST"], {"version": "v2"}),
        (b"/v2/studies/%24BulkUpdate", ["POST"], {"version": "v2"}),
        (b"/v2/studies/1.2%20/series/3", ["GET"], {"version": "v2", "study": "1.2 ", "series": "3"}),
        (b"/v2/studies/x%2Fseries%2Fy", ["GET"], {"version": "v2", "study": "x/series/y"}),
        (b"/v2/studies/%C3%A4", ["GET"], {"version": "v2", "study": "ä"}),
        (b"/v2/studies/..", ["GET"], {"version": "v2", "study": ".."}),
    ],
)
def test_paths_that_fit(path: bytes, methods: list[str], values: dict[str, str]) -> None:
    """PLT-07, PLT-59, PLT-117"""
    assert found(path) == (methods, values)


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b"/v2",
        b"/studies",
        b"/v2/studies//",
        b"//v2/studies",
        b"/v2//studies",
        b"/v2/studies/1.2/",
        b"/v2/studies/1.2/series",
        b"/v2/studies%2F1.2",
        b"/v2/studies/a%00b",
        b"/v2/studies/%ff",
        b"/v2/studies/\xe4",
        b"v2/studies",
    ],
)
def test_paths_that_do_not(path: bytes) -> None:
    """PLT-05, PLT-07, PLT-117: empty segments are no values; bytes that are no text match nothing."""
    if path == b"/v2/studies/1.2/":
        assert found(path) == (["GET"], {"version": "v2", "study": "1.2"})
    else:
        assert found(path) is None


def test_twins_below_a_partition() -> None:
    """PLT-49: derived from the same table."""
    twins = RouteGroup("partitions", partitioned(ROUTES))
    assert found(b"/v2/partitions/a.b/studies/1.2", twins) == (
        ["GET"],
        {"version": "v2", "partition": "a.b", "study": "1.2"},
    )
    assert found(b"/v2/partitions/%2F/studies", twins) == (["GET", "POST"], {"version": "v2", "partition": "/"})
    assert found(b"/v2/studies/1.2", twins) is None


def test_all_groups_as_one() -> None:
    """PLT-113: the catch-all finds what any group would find."""
    plain = RouteGroup("plain", [Route("GET", "/", handler, ""), Route("GET", "/health", handler, "")], versioned=False)
    union = RouteGroup.union("all", (GROUP, plain))
    assert found(b"/", union) == (["GET"], {})
    assert found(b"/health/", union) == (["GET"], {})
    assert found(b"/v2/studies/1.2", union) == found(b"/v2/studies/1.2")


def test_a_route_cannot_come_twice() -> None:
    """A table with two rows for one method and path is a mistake that shows at once."""
    with pytest.raises(ValueError, match="two routes"):
        RouteGroup("studies", (*ROUTES, ROUTES[0]))


@pytest.mark.parametrize(
    ("segment", "version"),
    [
        ("v2", "v2"),
        ("V2", "v2"),
        ("v2.0", "v2"),
        ("v1", "v1"),
        ("v1.0", "v1"),
        ("v1.0-prerelease", "v1.0-prerelease"),
        ("v1.0-PreRelease", "v1.0-prerelease"),
        ("v3", None),
        ("v99", None),
        ("v2.1", None),
        ("v1.0-beta", None),
    ],
)
def test_versions(segment: str, version: str | None) -> None:
    """PLT-01, PLT-03"""
    assert is_version(segment)
    assert served_version(segment) == version


@pytest.mark.parametrize("segment", ["", "v", "vabc", "2", "v2x", "v2.", "v-1", "studies", "v٢", "v" + "9" * 30])
def test_no_versions(segment: str) -> None:
    """PLT-04"""
    assert not is_version(segment)
    assert served_version(segment) is None
