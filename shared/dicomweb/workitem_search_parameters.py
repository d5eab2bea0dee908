"""What a search for workitems asks for (UPS-60 to UPS-70)."""

import re
from dataclasses import dataclass, field

from ..dicom.matching import Equal, Matcher
from ..dicom.normal_form import normal_text
from ..dicom.workitem_attributes import SEARCHABLE, SearchableAttribute
from ..errors import InvalidRequest
from .attribute_keys import attribute_tag
from .filter_values import empty_value, filter_matcher
from .query_string import Page, Pairs, requested_fuzzy_matching, requested_page
from .search_parameters import SERVICE_PARAMETERS, Fields, refuse_repeated_keys, requested_fields

_BREAKS = re.compile(r"[\s^=]+")


@dataclass(frozen=True)
class NameWords:
    """Words that, in order, begin consecutive words of a name (UPS-64).

    Words stand between blanks, `^` and `=`; unlike in searches for studies, other punctuation is part of them.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, form: str) -> "NameWords":
        return cls(tuple(_words(form)))

    def matches(self, form: str | None) -> bool:
        if form is None or not self.words:
            return False
        stored = _words(form)
        starts = range(len(stored) - len(self.words) + 1)
        return any(all(map(str.startswith, stored[start:], self.words)) for start in starts)


def _words(form: str) -> list[str]:
    return [word for word in _BREAKS.split(form) if word]


@dataclass(frozen=True, slots=True)
class WorkitemFilter:
    """One condition."""

    attribute: SearchableAttribute
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class WorkitemSearch:
    """A search, checked."""

    page: Page = field(default_factory=Page)
    filters: tuple[WorkitemFilter, ...] = ()
    fields: Fields = field(default_factory=Fields)


def workitem_search(pairs: Pairs) -> WorkitemSearch:
    """Reads the query; raises `InvalidRequest` for the first fault."""
    page = requested_page(pairs)
    fuzzy = requested_fuzzy_matching(pairs)
    refuse_repeated_keys(pairs)
    filters: dict[tuple[str, ...], WorkitemFilter] = {}
    for key, value in pairs:
        if key.lower() in SERVICE_PARAMETERS:
            continue
        attribute = _searchable(key)
        matcher = _matcher(attribute, key, value, fuzzy)
        if attribute.path in filters:
            raise InvalidRequest(
                f"Invalid query: attribute '{attribute.keyword}' has been specified more than once using different ID "
                "formats. Name each attribute once, either by its keyword or by its tag."
            )
        filters[attribute.path] = WorkitemFilter(attribute, matcher)
    return WorkitemSearch(page, tuple(filters.values()), requested_fields(pairs))


def _searchable(key: str) -> SearchableAttribute:
    path = tuple(attribute_tag(part) or "" for part in key.split("."))
    attribute = SEARCHABLE.get(path)
    if attribute is None:
        raise InvalidRequest(
            f"Invalid query: AttributeId {key} is not queryable.  If the parameter is an attribute keyword, check the "
            "casing as they are case-sensitive. Workitems have no extended query tags."
        )
    return attribute


def _matcher(attribute: SearchableAttribute, key: str, text: str, fuzzy: bool) -> Matcher:
    """No wildcards and no lists: a value is matched as it is (UPS-63, UPS-65)."""
    if not text:
        raise empty_value(key)
    if attribute.vr == "DT":
        return filter_matcher(attribute.column, "DT", attribute.keyword, key, text, fuzzy=False)
    form = normal_text(attribute.vr, text)
    if attribute.vr != "PN" or not fuzzy:
        return Equal(form)
    if '"' in text:
        raise InvalidRequest(f"Invalid query: the value of AttributeId '{key}' contains unsupported character '\"'.")
    return NameWords.of(form)
