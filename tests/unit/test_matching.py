"""Matching of attribute values: the rules by example, and against a plain reference implementation."""

import re
import string
import struct
import time
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dicom.matching import AnyOf, Anything, Between, Equal, Matcher, OneOf, Pattern, Words, words_of
from shared.dicom.normal_form import (
    normal_date,
    normal_date_time,
    normal_double,
    normal_float,
    normal_form,
    normal_integer,
    normal_text,
    normal_time,
    projected_name,
)

pytestmark = pytest.mark.unit


def compared(*strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a test of a comparison with a reference: as many examples as the session asks for."""

    def decorated(comparison: Callable[..., None]) -> Callable[..., None]:
        def test(size: Callable[[str], int]) -> None:
            examples = size("examples of matching")
            settings(max_examples=examples, deadline=None)(given(*strategies)(comparison))()

        # not functools.wraps: pytest would take the values for fixtures
        test.__name__, test.__doc__ = comparison.__name__, comparison.__doc__
        return test

    return decorated


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def person(alphabetic: str = "", ideographic: str = "", phonetic: str = "") -> dict[str, Any]:
    groups = {"Alphabetic": alphabetic, "Ideographic": ideographic, "Phonetic": phonetic}
    return element("PN", {name: text for name, text in groups.items() if text})


# -- normal forms


@pytest.mark.parametrize("vr", ["AE", "AS", "CS", "LO", "SH", "UI"])
def test_qry_30_letter_case_and_trailing_spaces_do_not_count(vr: str) -> None:
    assert normal_form(vr, element(vr, "AbC  ")) == normal_form(vr, element(vr, "aBc")) == "abc"


@pytest.mark.parametrize(("vr", "form"), [("CS", "x"), ("LO", "x"), ("SH", "x"), ("AE", "  x"), ("UI", "  x")])
def test_qry_30_leading_spaces_count_in_some_vrs(vr: str, form: str) -> None:
    assert normal_form(vr, element(vr, "  X")) == form


def test_qry_30_carets_at_the_end_count() -> None:
    assert normal_form("PN", person("Doe^John^^")) != normal_form("PN", person(" Doe^John "))
    assert normal_form("PN", person(" Doe^John ")) == "doe^john"


def test_qry_31_accents_count_but_in_names() -> None:
    assert normal_text("LO", "Tête") != normal_text("LO", "Tete")
    assert normal_text("LO", "TÊTE") == normal_text("LO", "te\u0302te")
    assert normal_text("PN", "Müller^Zoé") == normal_text("PN", "MULLER^zoe")
    assert normal_text("PN", "Mu\u0308ller") == "muller"
    assert normal_text("PN", "Jørgensen^Łukasz") == "jorgensen^lukasz"


def test_qry_30_folding_keeps_one_character_for_one_and_knows_no_context() -> None:
    assert normal_text("LO", "ΟΔΟΣ") == normal_text("LO", "οδος")
    assert normal_text("LO", "ΟΔΟΣΑ").startswith(normal_text("LO", "ΟΔΟΣ"))
    assert len(normal_text("LO", "STRAẞE ß")) == len("STRAẞE ß")
    assert normal_text("PN", "कृष्ण") == "कृष्ण"
    assert len(normal_text("PN", "홍길동")) == 3


@pytest.mark.parametrize("value", ["X\0", "X \0\0", "X"])
def test_qry_43_nul_padding_is_no_part_of_a_value(value: str) -> None:
    assert normal_form("CS", element("CS", value)) == normal_text("CS", "X\0") == "x"


def test_qry_44_only_the_first_value_counts() -> None:
    assert normal_form("LO", element("LO", "one", "two")) == "one"
    assert normal_form("LO", element("LO", None, "two")) is None


def test_qry_45_groups_of_a_name_are_one_text() -> None:
    assert normal_form("PN", person("Yamada^Tarou", "山田^太郎")) == "yamada^tarou=山田^太郎"
    assert normal_form("PN", person("", "山田^太郎")) == "=山田^太郎"
    assert normal_form("PN", person("A", "", "C")) == "a==c"
    assert normal_text("PN", "A==") == normal_form("PN", person("A"))


@pytest.mark.parametrize("vr", ["CS", "DA", "DT", "FD", "IS", "LO", "PN", "SH", "TM", "UI", "US"])
def test_tag_21_an_element_without_value_has_no_form(vr: str) -> None:
    assert normal_form(vr, element(vr)) is None
    assert normal_form(vr, {"vr": vr, "Value": []}) is None
    assert normal_form(vr, element(vr, " \0")) is None
    assert normal_form(vr, element(vr, None)) is None


def test_qry_62_only_real_dates_have_a_form() -> None:
    assert normal_form("DA", element("DA", "20240229 ")) == "20240229"
    for bad in ("20230229", "20240231", "20240000", "2024", "2024.01.02", "2024010١"):
        assert normal_form("DA", element("DA", bad)) is None


def test_tag_23_times_and_date_times_are_filled_up() -> None:
    assert normal_form("TM", element("TM", "10")) == "100000000000"
    assert normal_form("TM", element("TM", "235960.5")) == "235960500000"
    assert normal_form("TM", element("TM", "000000")) == "000000000000"
    assert normal_form("DT", element("DT", "2023")) == "20230101000000000000"
    assert normal_form("DT", element("DT", "20230203040506.123456+0200")) == "20230203040506123456"
    assert normal_form("DT", element("DT", "202302-0500")) == "20230201000000000000"
    for bad in ("1", "24", "1060", "100061", "10:00", "100000.", "100000.1234567"):
        assert normal_time(bad) is None
    for bad in ("202", "202313", "20230230", "2023020325", "2023+0100"):
        assert normal_date_time(bad) is None


def test_tag_23_numbers_compare_by_value() -> None:
    assert normal_form("IS", element("IS", 3)) == normal_form("IS", element("IS", "03")) == normal_integer("+0003")
    assert normal_form("SL", element("SL", -7)) == "-7"
    assert normal_integer("-0") == normal_integer("0")
    assert normal_form("FD", element("FD", 1)) == normal_double("1.000") == normal_double("+10e-1")
    assert normal_double("-0.0") == normal_double("0")
    assert normal_form("FL", element("FL", struct.unpack("<f", struct.pack("<f", 0.1))[0])) == normal_float("0.1")
    for bad in ("", "1.5", "9223372036854775808", "1e3", "0x10", "٣"):
        assert normal_integer(bad) is None
    for bad in ("", "nan", "inf", "Infinity", "1e999", "1,5", "1_0", "."):
        assert normal_double(bad) is None
    assert normal_float("1e39") is None


def test_tag_30_values_of_another_kind_have_no_form() -> None:
    assert normal_form("IS", element("IS", "x")) is None
    assert normal_form("US", element("US", True)) is None
    assert normal_form("LO", element("SQ", [])) is None


def test_projected_names_are_property_names() -> None:
    assert projected_name("0020000D").isidentifier()
    assert projected_name("0020000D") != projected_name("0020000E")


# -- matchers by example


def test_qry_40_wildcards() -> None:
    assert Pattern("pat*").matches("pat123")
    assert Pattern("*").matches("x")
    assert Pattern("a?c").matches("abc")
    assert not Pattern("a?c").matches("ac")
    assert Pattern("*b*b*").matches("abab")
    assert not Pattern("ab*ba").matches("aba")
    assert not Pattern("?*").matches(None)
    assert Pattern("*?b").matches("ab")
    assert not Pattern("*?b").matches("b")


def test_qry_41_other_signs_are_ordinary() -> None:
    for sign in "%_[].^$+(){}\\|":
        assert Pattern(f"{sign}*").matches(f"{sign}x")
        assert not Pattern(f"{sign}*").matches("x")


def test_qry_40_nothing_but_stars_is_no_restriction() -> None:
    assert Anything().matches(None)
    assert Anything().matches("x")


def test_qry_40_hostile_patterns_are_quick() -> None:
    began = time.perf_counter()
    assert not Pattern("*a" * 2000 + "*b").matches("a" * 3000)
    assert not Pattern("*?a" * 200 + "b").matches("a" * 1000)
    assert not Pattern("?*" * 5000).matches("a" * 64)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("query", ["joh", "do", "doe", "jo do", "john doe", "j^d", "^john"])
def test_qry_37_fuzzy_finds(query: str) -> None:
    assert Words.of(normal_text("PN", query)).matches("john^doe")


@pytest.mark.parametrize("query", ["ohn", "do jo", "john smith", "johnd", "john doe x"])
def test_qry_37_fuzzy_finds_not(query: str) -> None:
    assert not Words.of(normal_text("PN", query)).matches("john^doe")


def test_qry_37_words() -> None:
    assert words_of("o'brien-smith^mary  ann^^dr.=山田^太郎") == [
        "o",
        "brien",
        "smith",
        "mary",
        "ann",
        "dr",
        "山田",
        "太郎",
    ]
    assert words_of("a^b^^") == ["a", "b"]
    assert words_of("राम^कृष्ण") == ["राम", "कृष्ण"]
    assert Words.of("ma an").matches("smith^mary ann")
    assert not Words.of("smith ann").matches("smith^mary ann")
    assert not Words.of("x").matches(None)


def test_qry_34_ranges_include_their_ends_and_no_missing_value() -> None:
    assert Between("20200101", "20200102").matches("20200101")
    assert Between("20200101", "20200102").matches("20200102")
    assert not Between("20200101", "20200102").matches("20200103")
    assert Between(None, "20200102").matches("19000101")
    assert Between("20200101", None).matches("99991231")
    assert not Between("20200101", None).matches(None)


def test_qry_42_lists() -> None:
    assert OneOf(frozenset({"1.2", "1.3"})).matches("1.3")
    assert not OneOf(frozenset({"1.2", "1.3"})).matches("1.2.3")
    assert not OneOf(frozenset({"1.2"})).matches(None)
    assert AnyOf((Equal("ct"), Pattern("m?"))).matches("mr")
    assert not AnyOf((Equal("ct"), Pattern("m?"))).matches("us")


# -- against the reference

SIGNS = string.printable + "äÄßẞØłΣςéガがあ\u0301İıſKराकृष्ण"
LETTERS = st.text(alphabet="ab*?^=é.", max_size=12)
TEXTS = st.text(alphabet="abé^=.*?", max_size=16)


def reference_wildcard(pattern: str, text: str) -> bool:
    """One row of the table of all prefixes at a time."""
    reachable = {0}
    for sign in pattern:
        if sign == "*":
            reachable = set(range(min(reachable), len(text) + 1)) if reachable else set()
        else:
            reachable = {at + 1 for at in reachable if at < len(text) and sign in ("?", text[at])}
    return len(text) in reachable


@compared(LETTERS, TEXTS)
def test_qry_40_pattern_equals_reference(pattern: str, text: str) -> None:
    """500 examples; 5,000 with --full."""
    assert Pattern(pattern).matches(text) is reference_wildcard(pattern, text)


@compared(LETTERS, TEXTS)
def test_qry_40_prefix_is_a_prefix_of_all_that_match(pattern: str, text: str) -> None:
    """500 examples; 5,000 with --full."""
    matcher = Pattern(pattern)
    if matcher.matches(text):
        assert text.startswith(matcher.prefix)


@compared(st.data())
def test_qry_40_pattern_made_from_a_text_finds_it(data: st.DataObject) -> None:
    """500 examples; 5,000 with --full: wildcards put in place of pieces of the text itself."""
    text = data.draw(st.text(alphabet="abc", max_size=12))
    pattern, rest = "", text
    while rest:
        taken = data.draw(st.integers(1, len(rest)))
        replaced = data.draw(st.sampled_from(["*", "?", ""]))
        pattern += {"*": "*", "?": "?" * taken, "": rest[:taken]}[replaced]
        rest = rest[taken:]
    pattern += data.draw(st.sampled_from(["", "*"]))
    assert Pattern(pattern).matches(text)


def reference_words(text: str) -> Iterator[str]:
    word = ""
    for sign in [*text, " "]:
        if sign.isspace() or unicodedata.category(sign)[0] in "PSZC":
            if word:
                yield word
            word = ""
        else:
            word += sign


@compared(st.text(alphabet="ab ^='-é山", max_size=6), st.text(alphabet="ab ^='-é山", max_size=16))
def test_qry_37_fuzzy_equals_reference(query: str, name: str) -> None:
    """500 examples; 5,000 with --full."""
    asked, stored = list(reference_words(query)), list(reference_words(name))
    expected = re.search(
        "(^|\n)" + "[^\n]*\n".join(map(re.escape, asked)) if asked else "", "\n".join(stored)
    ) is not None and len(asked) <= len(stored)
    assert Words.of(query).matches(name) is expected


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("0 \u0301", "0"),
        (" \u0301 a", "a"),
        ("a=\u0301", "a"),
        ("a= =", "a"),
        ("a=\u5c71= \0", "a=\u5c71"),
        ("\u0301", ""),
    ],
)
def test_qry_45_padding_of_names(name: str, form: str) -> None:
    """QRY-43, QRY-45: also where accents stand on it, and between empty groups"""
    assert normal_text("PN", name) == form
    assert normal_text("PN", form) == form


@compared(
    st.text(alphabet=string.printable + "äÄßẞØłΣςéガがあ\u0301İıſK", max_size=12), st.sampled_from(["LO", "PN", "AE"])
)
def test_qry_30_normal_text_is_a_fixed_point_and_ignores_case(text: str, vr: str) -> None:
    """500 examples; 5,000 with --full."""
    form = normal_text(vr, text)
    assert normal_text(vr, form) == form
    if text.isascii():
        assert normal_text(vr, text.upper()) == form
    assert normal_text(vr, text + " \0") == form


@compared(st.dates(), st.none() | st.dates(), st.none() | st.dates())
def test_qry_34_date_ranges_equal_reference(stored: date, first: date | None, last: date | None) -> None:
    """500 examples; 5,000 with --full."""

    def text(day: date | None) -> str | None:
        return f"{day.year:04}{day.month:02}{day.day:02}" if day else None

    form = normal_date(text(stored) or "")
    assert form is not None
    expected = (first or date.min) <= stored <= (last or date.max)
    assert Between(text(first), text(last)).matches(form) is expected


@compared(st.datetimes(), st.datetimes(), st.integers(0, 6))
def test_tag_23_date_times_stand_in_their_own_order(one: datetime, other: datetime, parts: int) -> None:
    """500 examples; 5,000 with --full."""

    def cut(moment: datetime) -> tuple[str, datetime]:
        digits = f"{moment.year:04}{moment.month:02}{moment.day:02}{moment:%H%M%S}.{moment.microsecond:06}"
        starts = {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0}
        kept: dict[str, Any] = dict(list(starts.items())[parts:])
        return digits[: (4, 6, 8, 10, 12, 14, 21)[parts]], moment.replace(**kept)

    (text, start), (other_text, other_start) = cut(one), cut(other)
    form, other_form = normal_date_time(text), normal_date_time(other_text)
    assert form is not None
    assert other_form is not None
    assert (form < other_form) is (start < other_start)
    assert (form == other_form) is (abs(start - other_start) < timedelta(microseconds=1))


@compared(st.integers(-(2**63), 2**63 - 1), st.integers(0, 5))
def test_tag_23_integers_equal_reference(number: int, zeros: int) -> None:
    """500 examples; 5,000 with --full."""
    sign, digits = ("-" if number < 0 else ""), str(abs(number))
    padded = sign + digits.zfill(min(len(digits) + zeros, 19))
    form = normal_integer(padded)
    assert form is not None
    assert int(form) == number
    assert normal_form("SL", element("SL", number)) == form


@compared(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_tag_23_doubles_equal_reference(one: float, other: float) -> None:
    """500 examples; 5,000 with --full."""
    assert (normal_double(repr(one)) == normal_double(repr(other))) is (one == other)
    assert normal_form("FD", element("FD", one)) == normal_double(f"{one:.17g}")


@compared(st.sampled_from([Equal("a"), OneOf(frozenset({"a"})), Between("a", "b"), Pattern("a*"), Words(("a",))]))
def test_qry_40_only_universal_matching_meets_a_missing_value(matcher: Matcher) -> None:
    """QRY-34, QRY-40; 500 examples; 5,000 with --full."""
    assert not matcher.matches(None)
