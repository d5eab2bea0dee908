"""What a search asks for: the six resources, their filters and the attributes to return (QRY-01, QRY-10 to QRY-24).

The checks are functions of their own because other checks come between them (QRY-20): the page and fuzzy matching,
[Accept], `refuse_repeated_keys`, [UIDs of the path], `requested_filters`, `requested_fields`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..dicom.attributes import SEARCHABLE, Level
from ..dicom.matching import Matcher
from ..errors import InvalidRequest
from .attribute_keys import attribute_name, attribute_tag
from .filter_values import filter_matcher
from .query_string import Page, Pairs

SERVICE_PARAMETERS = frozenset({"limit", "offset", "fuzzymatching", "includefield"})
"""In lower case; clients may write them in any (QRY-12)."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that can be searched: the level of its items, and the levels whose attributes it filters and
    returns (QRY-01, QRY-51)."""

    item: Level
    levels: frozenset[Level]


STUDIES = Resource(Level.STUDY, frozenset({Level.STUDY}))
SERIES = Resource(Level.SERIES, frozenset({Level.STUDY, Level.SERIES}))
INSTANCES = Resource(Level.INSTANCE, frozenset(Level))
SERIES_OF_STUDY = Resource(Level.SERIES, frozenset({Level.SERIES}))
INSTANCES_OF_STUDY = Resource(Level.INSTANCE, frozenset({Level.SERIES, Level.INSTANCE}))
INSTANCES_OF_SERIES = Resource(Level.INSTANCE, frozenset({Level.INSTANCE}))


@dataclass(frozen=True, slots=True)
class SearchableTag:
    """An attribute that can be searched; of an extended query tag this may have been switched off (TAG-11).

    `column` is what rows call it, if not by its tag.
    """

    tag: str
    vr: str
    level: Level
    enabled: bool = True
    column: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on one attribute; `key` is how the client named it, `column` how rows do."""

    key: str
    tag: str
    level: Level
    matcher: Matcher
    column: str


@dataclass(frozen=True, slots=True)
class Fields:
    """The attributes asked for with `includefield`, besides those that come anyway."""

    tags: frozenset[str] = frozenset()
    all: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """A search, checked: what must match and what is wanted of it.

    `study` and `series` are UIDs of the path. Version 1 of the API has larger default sets of attributes.
    """

    resource: Resource
    page: Page = field(default_factory=Page)
    filters: tuple[Filter, ...] = ()
    fields: Fields = field(default_factory=Fields)
    study: str | None = None
    series: str | None = None
    version_1: bool = False


def refuse_repeated_keys(pairs: Pairs) -> None:
    """QRY-17: a key may come once, in whichever letter case."""
    seen: dict[str, str] = {}
    for key, _ in pairs:
        folded = key.lower()
        if folded in SERVICE_PARAMETERS:
            continue
        if folded in seen:
            raise InvalidRequest(
                f"Invalid QIDO-RS query. Duplicate AttributeId '{seen[folded]}'. "
                "Each attribute can be filtered on once."
            )
        seen[folded] = key


def requested_filters(
    pairs: Pairs, resource: Resource, *, fuzzy: bool, extended: Mapping[str, SearchableTag]
) -> tuple[Filter, ...]:
    """The filters in their order; raises `InvalidRequest` for the first at fault (QRY-11 to QRY-17, QRY-20).

    `extended` holds the extended query tags that are ready, by tag.
    """
    filters: dict[str, Filter] = {}
    for key, value in pairs:
        if key.lower() in SERVICE_PARAMETERS:
            continue
        tag = _filter_tag(key)
        searchable = _searchable(key, tag, resource, extended)
        matcher = filter_matcher(tag, searchable.vr, attribute_name(tag), key, value, fuzzy=fuzzy)
        if tag in filters:
            raise InvalidRequest(
                f"Invalid query: attribute '{tag}' has been specified more than once using different ID formats. "
                "Name each attribute once, either by its keyword or by its tag."
            )
        filters[tag] = Filter(key, tag, searchable.level, matcher, searchable.column or tag)
    return tuple(filters.values())


def names_others(pairs: Pairs) -> bool:
    """Whether a filter names an attribute that only an extended query tag makes searchable."""
    keys = (key for key, _ in pairs if key.lower() not in SERVICE_PARAMETERS)
    return any(attribute_tag(key) not in SEARCHABLE for key in keys)


def requested_fields(pairs: Pairs) -> Fields:
    """What `includefield` names; raises `InvalidRequest` (QRY-24, QRY-56)."""
    entries = [entry.strip() for key, value in pairs if key.lower() == "includefield" for entry in value.split(",")]
    tags = set()
    for entry in entries:
        if entry.lower() == "all":
            if len(entries) > 1:
                raise InvalidRequest("Invalid query: cannot specify included fields in addition to 'all'.")
            return Fields(all=True)
        _refuse_path(entry)
        tag = attribute_tag(entry)
        if tag is None:
            raise InvalidRequest(f"Invalid query: IncludeField has unknown attribute '{entry}'.")
        tags.add(tag)
    return Fields(frozenset(tags))


def _filter_tag(key: str) -> str:
    _refuse_path(key)
    tag = attribute_tag(key)
    if tag is None:
        raise InvalidRequest(
            f"Invalid query: unknown query parameter '{key}'. Keywords of attributes are case-sensitive."
        )
    return tag


def _refuse_path(key: str) -> None:
    if "." in key:
        raise InvalidRequest(
            f"Invalid query: AttributeId '{key}' is not supported. Sequential dicom tags are currently not supported."
        )


def _searchable(key: str, tag: str, resource: Resource, extended: Mapping[str, SearchableTag]) -> SearchableTag:
    core = SEARCHABLE.get(tag)
    found = SearchableTag(tag, core.vr, core.level) if core else extended.get(tag)
    if found is None or found.level not in resource.levels:
        raise InvalidRequest(
            f"Invalid query: AttributeId {key} is not queryable.  If the parameter is an attribute keyword, check the "
            "casing as they are case-sensitive. If it is an extended query tag, check that it has been added for this "
            "level and that its operation has succeeded."
        )
    if not found.enabled:
        raise InvalidRequest(f"Query is disabled on specified attribute '{key}'.")
    return found
