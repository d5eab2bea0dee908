"""Whether a value matches: the attribute matching of searches (PS3.4 C.2.2.2), on normal forms.

A filter value has become one of the matchers below; `matches` takes the normal form of a stored value, None where
there is no value. Both sides went through `normal_form`, so nothing here knows letter case, padding or VRs.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

_ASCII_BREAKS = re.compile(r"[\s!-/:-@\[-`{-~\x00-\x1f\x7f]+")


class Matcher(Protocol):
    """A filter value, ready to be compared."""

    def matches(self, form: str | None) -> bool: ...


@dataclass(frozen=True)
class Anything:
    """No restriction: met also by what has no value (universal matching, PS3.4 C.2.2.2.3; QRY-40)."""

    def matches(self, form: str | None) -> bool:
        return True


@dataclass(frozen=True)
class Equal:
    """The whole value (single value matching, PS3.4 C.2.2.2.1; QRY-30, QRY-33)."""

    form: str

    def matches(self, form: str | None) -> bool:
        return form == self.form


@dataclass(frozen=True)
class OneOf:
    """One of several values (list of UID matching, PS3.4 C.2.2.2.2; QRY-42)."""

    forms: frozenset[str]

    def matches(self, form: str | None) -> bool:
        return form in self.forms


@dataclass(frozen=True)
class Between:
    """A range with both ends included; None is an open end (range matching, PS3.4 C.2.2.2.5; QRY-34)."""

    first: str | None
    last: str | None

    def matches(self, form: str | None) -> bool:
        if form is None:
            return False
        return (self.first is None or self.first <= form) and (self.last is None or form <= self.last)


@dataclass(frozen=True)
class Pattern:
    """`*` stands for any run of characters, `?` for one (wild card matching, PS3.4 C.2.2.2.4; QRY-40).

    The work grows with the product of the two lengths at most, whatever the pattern.
    """

    text: str

    @cached_property
    def _parts(self) -> list[str]:
        return self.text.split("*")

    @cached_property
    def _least(self) -> int:
        return sum(map(len, self._parts))

    @cached_property
    def prefix(self) -> str:
        """What every value that matches begins with."""
        return self._parts[0].partition("?")[0]

    def matches(self, form: str | None) -> bool:
        if form is None or len(form) < self._least or not form.startswith(self.prefix):
            return False
        head, *middle = self._parts
        if not _fits(head, form, 0):
            return False
        if not middle:
            return len(form) == len(head)
        tail = middle.pop()
        start, end = len(head), len(form) - len(tail)
        for part in middle:
            found = _find(part, form, start, end)
            if found < 0:
                return False
            start = found + len(part)
        return _fits(tail, form, end)


@dataclass(frozen=True)
class Words:
    """Words that, in order, begin consecutive words of the value (fuzzy matching of names, QRY-37)."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, form: str) -> "Words":
        return cls(tuple(words_of(form)))

    def matches(self, form: str | None) -> bool:
        if form is None:
            return False
        stored = words_of(form)
        starts = range(len(stored) - len(self.words) + 1)
        return any(all(map(str.startswith, stored[start:], self.words)) for start in starts)


@dataclass(frozen=True)
class AnyOf:
    """Any of several matchers, for values that may come as a list and hold wildcards (QRY-36)."""

    matchers: tuple[Matcher, ...] = field(default_factory=tuple)

    def matches(self, form: str | None) -> bool:
        return any(matcher.matches(form) for matcher in self.matchers)


def words_of(form: str) -> list[str]:
    """The words of a person name: what stands between white space, `^`, `=` and other punctuation (QRY-37)."""
    if form.isascii():
        return [word for word in _ASCII_BREAKS.split(form) if word]
    return "".join(" " if unicodedata.category(c)[0] in "PSZC" else c for c in form).split()


def _fits(part: str, text: str, start: int) -> bool:
    """Whether `part`, in which `?` stands for one character, is what `text` has at `start`; it must not reach over
    the end."""
    if "?" not in part:
        return text.startswith(part, start)
    return all(expected in ("?", text[start + index]) for index, expected in enumerate(part))


def _find(part: str, text: str, start: int, end: int) -> int:
    """The first place in `text[start:end]` that `part` fits; -1 if there is none."""
    if "?" not in part:
        return text.find(part, start, end)
    return next((place for place in range(start, end - len(part) + 1) if _fits(part, text, place)), -1)
