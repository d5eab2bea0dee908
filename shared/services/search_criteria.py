"""The filters of a search, sorted by what has to be read to decide them, and what of them storage can decide itself.

A condition given to storage only narrows down what is read: every row that comes back is matched again here, so that
the result is the same with and without it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count

from ..dicom.attributes import MODALITIES_IN_STUDY, MODALITY, UID_TAGS, Level
from ..dicom.matching import AnyOf, Anything, Between, Equal, Matcher, OneOf, Pattern
from ..dicom.normal_form import NormalForms, projected_name
from ..dicom.uids import is_uid
from ..dicomweb.search_parameters import Filter, Search
from ..storage.primitives import And, Compare, Condition, Or
from ..storage.records import SeriesRecord

MOST_COMPARISONS = 10
"""Azure Tables take 15 in one filter, of which the keys and the mark of shown rows need five."""

LONGEST_COMPARED = 128
"""Characters of a value that storage is asked for; the rest is left to matching."""

_LAST_ORDERED = "\ud7ff"
"""Up to here code points, UTF-16 units and UTF-8 bytes stand in one order."""


@dataclass(frozen=True)
class Criteria:
    """What entities must meet.

    The UIDs that are asked for, by the path or by filters, decide which partitions are read; None is no restriction.
    `modalities` is about the series of the study, whichever level the items have (QRY-36).
    """

    studies: frozenset[str] | None = None
    series: frozenset[str] | None = None
    instances: frozenset[str] | None = None
    modalities: Matcher | None = None
    study_filters: tuple[Filter, ...] = ()
    series_filters: tuple[Filter, ...] = ()
    instance_filters: tuple[Filter, ...] = ()

    @property
    def impossible(self) -> bool:
        """Whether UIDs are asked for of which none can exist (QRY-41)."""
        return any(uids is not None and not uids for uids in (self.studies, self.series, self.instances))

    @property
    def about_studies(self) -> bool:
        """Whether something has to be known of studies, beyond their UID."""
        return bool(self.study_filters) or self.modalities is not None

    @property
    def about_series(self) -> bool:
        return bool(self.series_filters) or self.series is not None

    def study_matches(self, forms: NormalForms) -> bool:
        """Modalities apart."""
        return all_match(self.study_filters, forms)

    def modality_among(self, series: Iterable[SeriesRecord]) -> bool:
        """Whether a study of these series has the modalities."""
        modalities = self.modalities
        return modalities is None or any(modalities.matches(NormalForms(each.attributes)[MODALITY]) for each in series)

    def series_matches(self, series: str, forms: NormalForms) -> bool:
        return (self.series is None or series in self.series) and all_match(self.series_filters, forms)

    def instance_matches(self, values: Mapping[str, str]) -> bool:
        """`values` are normal forms by property, as the row of an instance holds them; UIDs apart."""
        return all(each.matcher.matches(values.get(projected_name(each.column))) for each in self.instance_filters)


def criteria(search: Search) -> Criteria:
    """Sorts the filters of `search`, without those that are no restriction."""
    uids: dict[Level, frozenset[str] | None] = {Level.STUDY: None, Level.SERIES: None, Level.INSTANCE: None}
    if search.study is not None:
        uids[Level.STUDY] = frozenset({search.study})
    if search.series is not None:
        uids[Level.SERIES] = frozenset({search.series})
    filters: dict[Level, list[Filter]] = {Level.STUDY: [], Level.SERIES: [], Level.INSTANCE: []}
    modalities: Matcher | None = None
    for each in search.filters:
        if isinstance(each.matcher, Anything):
            continue
        if each.tag == MODALITIES_IN_STUDY:
            modalities = each.matcher
        elif each.tag == UID_TAGS[each.level] and isinstance(each.matcher, OneOf):
            # what nobody can have, such as `1.2.*`, need not be looked for (QRY-41)
            uids[each.level] = frozenset(filter(is_uid, each.matcher.forms))
        else:
            filters[each.level].append(each)
    return Criteria(
        studies=uids[Level.STUDY],
        series=uids[Level.SERIES],
        instances=uids[Level.INSTANCE],
        modalities=modalities,
        study_filters=tuple(filters[Level.STUDY]),
        series_filters=tuple(filters[Level.SERIES]),
        instance_filters=tuple(filters[Level.INSTANCE]),
    )


def all_match(filters: Iterable[Filter], forms: NormalForms) -> bool:
    """Whether the elements of one entity meet every filter."""
    for each in filters:  # noqa: SIM110  a generator takes longer than the comparison
        if not each.matcher.matches(forms[each.column]):
            return False
    return True


# ---------------------------------------------------------------- what storage decides


def study_condition(wanted: Criteria) -> Condition | None:
    """For the rows of studies."""
    return pushed_down((each.column, each.matcher) for each in wanted.study_filters)


def series_condition(wanted: Criteria) -> Condition | None:
    """For the rows of series."""
    return _condition_of(Level.SERIES, wanted.series, wanted.series_filters)


def instance_condition(wanted: Criteria) -> Condition | None:
    """For the rows of instances."""
    return _condition_of(Level.INSTANCE, wanted.instances, wanted.instance_filters)


def _condition_of(level: Level, uids: frozenset[str] | None, filters: Iterable[Filter]) -> Condition | None:
    own: list[tuple[str, Matcher]] = [] if uids is None else [(UID_TAGS[level], OneOf(uids))]
    return pushed_down([*own, *((each.column, each.matcher) for each in filters)])


def modality_condition(modalities: Matcher) -> Condition | None:
    """For the rows of series whose study is looked for by its modalities."""
    return pushed_down([(MODALITY, modalities)])


def pushed_down(restrictions: Iterable[tuple[str, Matcher]]) -> Condition | None:
    """What storage can decide of matchers by tag; it lets through everything that matches, and perhaps more."""
    left = MOST_COMPARISONS
    parts = []
    for tag, matcher in restrictions:
        part = _condition(projected_name(tag), matcher)
        if part is not None and (comparisons := _comparisons(part)) <= left:
            left -= comparisons
            parts.append(part)
    return _joined(parts)


def _condition(name: str, matcher: Matcher) -> Condition | None:
    match matcher:
        case Equal(form):
            return Compare(name, "eq", form) if _comparable(form) else None
        case OneOf(forms):
            return _any_of(Compare(name, "eq", form) if _comparable(form) else None for form in sorted(forms))
        case Between(first, last):
            sides: list[Condition] = [Compare(name, "ge", first)] if first is not None else []
            return _joined([*sides, Compare(name, "le", last)] if last is not None else sides)
        case Pattern():
            return _begins_with(name, matcher.prefix)
        case AnyOf(matchers):
            return _any_of(_condition(name, each) for each in matchers)
        case _:
            return None


def _joined(parts: list[Condition]) -> Condition | None:
    return And(tuple(parts)) if len(parts) > 1 else parts[0] if parts else None


def _any_of(parts: Iterable[Condition | None]) -> Condition | None:
    conditions: list[Condition] = []
    for part, number in zip(parts, count(1), strict=False):
        if part is None or number > MOST_COMPARISONS:
            return None
        conditions.append(part)
    return Or(tuple(conditions)) if len(conditions) > 1 else conditions[0] if conditions else None


def _begins_with(name: str, prefix: str) -> Condition | None:
    """A range that holds all texts with the prefix, or with as much of it as sorts alike everywhere."""
    ordered = ""
    for character in prefix[:LONGEST_COMPARED]:
        if not (character < _LAST_ORDERED and character.isprintable() and chr(ord(character) + 1).isprintable()):
            break
        ordered += character
    if not ordered:
        return None
    behind = ordered[:-1] + chr(ord(ordered[-1]) + 1)
    return And((Compare(name, "ge", ordered), Compare(name, "lt", behind)))


def _comparable(form: str) -> bool:
    return 0 < len(form) <= LONGEST_COMPARED and form.isprintable()


def _comparisons(condition: Condition) -> int:
    return 1 if isinstance(condition, Compare) else sum(map(_comparisons, condition.conditions))
