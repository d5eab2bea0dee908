"""What storage is asked to decide never excludes what matches."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dicom.matching import AnyOf, Anything, Between, Equal, Matcher, OneOf, Pattern, Words
from shared.dicom.normal_form import NormalForms, normal_text
from shared.dicomweb import search_parameters as parameters
from shared.dicomweb.query_string import query_pairs
from shared.dicomweb.search_parameters import Search
from shared.services.search_criteria import (
    LONGEST_COMPARED,
    MOST_COMPARISONS,
    Criteria,
    all_match,
    criteria,
    pushed_down,
)
from shared.storage.primitives import And, Compare, Condition, Or

pytestmark = pytest.mark.unit

TAG = "00100010"


def lets_through(condition: Condition | None, form: str | None) -> bool:
    """What a table does: strings in the order of their UTF-16 units, no property meets no comparison."""
    if condition is None:
        return True
    if isinstance(condition, And):
        return all(lets_through(part, form) for part in condition.conditions)
    if isinstance(condition, Or):
        return any(lets_through(part, form) for part in condition.conditions)
    if form is None:
        return False
    assert isinstance(condition.value, str)
    stored, bound = form.encode("utf-16-be"), condition.value.encode("utf-16-be")
    return {
        "eq": stored == bound,
        "ge": stored >= bound,
        "gt": stored > bound,
        "le": stored <= bound,
        "lt": stored < bound,
    }[condition.operator]


def comparisons(condition: Condition | None) -> int:
    if condition is None or isinstance(condition, Compare):
        return int(condition is not None)
    return sum(map(comparisons, condition.conditions))


SIGNS = "ab*?^ ~\x7f\x00é퟾퟿\ue000\uffff𐀀😀'\"%|/"
TEXTS = st.text(alphabet=SIGNS, max_size=8) | st.sampled_from(["a" * 127, "a" * 128, "a" * 129, "ab" * 200])
FORMS = TEXTS.map(lambda text: normal_text("PN", text))
DATES = st.none() | st.sampled_from(["20200101", "20200131", "20210101"])
SIMPLE: st.SearchStrategy[Matcher] = st.one_of(
    FORMS.map(Equal),
    st.sets(FORMS, max_size=12).map(lambda forms: OneOf(frozenset(forms))),
    st.tuples(DATES, DATES).map(lambda ends: Between(*ends)),
    FORMS.filter(lambda form: form.strip("*") != "").map(Pattern),
    FORMS.map(Words.of),
    st.just(Anything()),
)
MATCHERS = SIMPLE | st.lists(SIMPLE, max_size=4).map(lambda some: AnyOf(tuple(some)))


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.tuples(st.just(TAG), MATCHERS), max_size=4), st.none() | FORMS | DATES, st.data())
def test_storage_lets_through_all_that_matches(
    restrictions: list[tuple[str, Matcher]], form: str | None, data: st.DataObject
) -> None:
    """1,500 examples: values at random, and values made to fit the filter."""
    for _, matcher in restrictions:
        if isinstance(matcher, Pattern) and data.draw(st.booleans()):
            form = matcher.text.replace("*", data.draw(TEXTS)).replace("?", "x")
        elif isinstance(matcher, Equal) and data.draw(st.booleans()):
            form = matcher.form
    condition = pushed_down(restrictions)
    assert comparisons(condition) <= MOST_COMPARISONS
    if all(matcher.matches(form) for _, matcher in restrictions):
        assert lets_through(condition, form)


def test_what_storage_decides() -> None:
    def of(matcher: Matcher) -> Condition | None:
        return pushed_down([(TAG, matcher)])

    name = "q00100010"
    assert of(Equal("a")) == Compare(name, "eq", "a")
    assert of(Pattern("do*")) == And((Compare(name, "ge", "do"), Compare(name, "lt", "dp")))
    assert of(Pattern("d?e*")) == And((Compare(name, "ge", "d"), Compare(name, "lt", "e")))
    assert of(Between("1", None)) == Compare(name, "ge", "1")
    assert of(Between("1", "2")) == And((Compare(name, "ge", "1"), Compare(name, "le", "2")))
    assert of(OneOf(frozenset({"1", "2"}))) == Or((Compare(name, "eq", "1"), Compare(name, "eq", "2")))
    assert of(AnyOf((Equal("ct"), Pattern("*")))) is None
    for nothing in (Pattern("*a"), Words(("a",)), Anything(), Equal("a" * (LONGEST_COMPARED + 1)), Equal("\x01")):
        assert of(nothing) is None
    assert of(OneOf(frozenset(map(str, range(20))))) is None


def sorted_out(query: str, resource: parameters.Resource = parameters.INSTANCES, **path: Any) -> Criteria:
    pairs = query_pairs(query.encode())
    found = parameters.requested_filters(pairs, resource, fuzzy=False, extended={})
    return criteria(Search(resource, filters=found, **path))


def test_qry_19_uids_of_filters_and_path_are_both_meant() -> None:
    """QRY-02, QRY-19, QRY-41"""
    assert sorted_out("").studies is None
    assert sorted_out("StudyInstanceUID=1.2,1.3,1.*,x").studies == frozenset({"1.2", "1.3"})
    assert sorted_out("SeriesInstanceUID=1.4,1.5", parameters.SERIES_OF_STUDY, study="1.2") == Criteria(
        studies=frozenset({"1.2"}), series=frozenset({"1.4", "1.5"})
    )
    assert sorted_out(
        "SOPInstanceUID=1.6", parameters.INSTANCES_OF_SERIES, study="1", series="1.4"
    ).series == frozenset({"1.4"})


def test_qry_41_uids_that_nobody_can_have() -> None:
    assert sorted_out("SeriesInstanceUID=1.*").impossible
    assert sorted_out("PatientName=A&SOPInstanceUID=x").impossible
    assert not sorted_out("StudyInstanceUID=1.*,1.2").impossible
    assert not sorted_out("").impossible


def test_qry_40_universal_matching_reads_nothing() -> None:
    assert sorted_out("PatientName=*&ModalitiesInStudy=*&Modality=**") == Criteria()


def test_qry_19_all_filters_have_to_match() -> None:
    wanted = sorted_out("PatientName=A&StudyDate=20240101-&Modality=CT")
    name: dict[str, dict[str, Any]] = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "a"}]}}
    date = {"00080020": {"vr": "DA", "Value": ["20240202"]}}
    assert all_match(wanted.study_filters, NormalForms(name | date))
    assert not all_match(wanted.study_filters, NormalForms(name))
    assert not all_match(wanted.study_filters, NormalForms(name | {"00080020": {"vr": "DA", "Value": ["20240231"]}}))
    assert [each.tag for each in wanted.series_filters] == ["00080060"]
