"""Rows of table `studies` by value: on an account where no query may go through everything, they lead from a value to
the studies or series that have it (protocol, section 6).

A row has only its key: `value|{tag}|{normal form, escaped}|{inverted created}|{study}`, for series `...|{series}`. It
lies in the partition of the study's or series' own row and is written and deleted in one transaction with it, so that
the two always agree; that row says so by property `STAMP`. What a value leads to is read and matched all the same.
"""

import re
from collections.abc import Iterable, Mapping

from ..dicom.attributes import INDEXED, UID_TAGS, Level
from ..dicom.normal_form import projected_name
from .primitives import ANY, Delete, Entity, Operation, Range, Upsert, Value

STAMP = "values"
"""Of a study's or series' own row: the layout of the value rows that go with it. Without it there are none."""

LAYOUT = 1

STUDY_COLUMNS = tuple(attribute.tag for attribute in INDEXED[Level.STUDY])
SERIES_COLUMNS = (UID_TAGS[Level.SERIES], *(attribute.tag for attribute in INDEXED[Level.SERIES]))
"""The attributes that have value rows. Extended query tags have none: there may be more of them than a transaction has
room for."""

LONGEST = 128
"""Characters of an escaped value that go into a key; longer ones lie together with all that begin alike. Keys have at
most 512 characters."""

_ESCAPED = re.compile(r"[^a-z0-9 .^_-]")

Forms = Mapping[str, str]
"""Normal forms by tag."""


def columns_of(row: str) -> tuple[str, ...]:
    """The attributes of which this row of a study or series has value rows."""
    return SERIES_COLUMNS if row.startswith("series|") else STUDY_COLUMNS


def properties_of(row: str) -> tuple[str, ...]:
    """What has to be read of a row to know its value rows."""
    return (STAMP, *map(projected_name, columns_of(row)))


def forms_of(row: str, values: Mapping[str, Value]) -> Forms:
    """The values that the row has value rows for, or is to have."""
    present = ((column, values.get(projected_name(column))) for column in columns_of(row))
    return {column: str(form) for column, form in present if form is not None}


def held_forms(entity: Entity) -> Forms:
    """The values that a row, as it was read, has value rows for."""
    return forms_of(entity.row, entity.values) if STAMP in entity.values else {}


def value_row(column: str, form: str, row: str) -> str:
    """The key of the value row that leads to `row`."""
    return f"value|{column}|{_escaped(form)}|{row.partition('|')[2]}"


def target_of(row: str) -> str:
    """The key of the row that a value row leads to."""
    _, _, _, inverted, study, *series = row.split("|")
    return "|".join(("series" if series else "study", inverted, study, *series))


def value_operations(entity: Entity, held: Forms, lost: Iterable[str] = ()) -> list[Operation]:
    """What brings the value rows from `held` to the values of `entity`, except for rows that are not there."""
    forms = forms_of(entity.row, entity.values)
    before = {value_row(column, form, entity.row) for column, form in held.items()} - set(lost)
    after = {value_row(column, form, entity.row) for column, form in forms.items()}
    operations: list[Operation] = [Delete(entity.partition, row, ANY) for row in sorted(before - after)]
    return operations + [Upsert(Entity(entity.partition, row)) for row in sorted(after - before)]


def most_operations(row: str) -> int:
    """That a change of this row can take, its own included: each value goes and another one comes."""
    return 1 + 2 * len(columns_of(row))


# ---------------------------------------------------------------- ranges of keys


def exactly(column: str, form: str) -> Range:
    """The value rows of a value, and of those that are alike in their first `LONGEST` characters."""
    beginning = f"value|{column}|{_escaped(form)}"
    return beginning + "|", beginning + "}"


def beginning_with(column: str, prefix: str) -> Range:
    """The value rows of all values with the prefix."""
    beginning = f"value|{column}|{_escaped(prefix)}".rstrip("~")
    return beginning, beginning[:-1] + chr(ord(beginning[-1]) + 1)


def between(column: str, first: str | None, last: str | None) -> Range | None:
    """The value rows of a range, both ends included; None unless its ends are digits, as of dates and times."""
    if any(end is not None and not (end.isascii() and end.isdecimal()) for end in (first, last)):
        return None
    beginning = f"value|{column}|"
    return beginning + (first or ""), beginning + last + "}" if last is not None else beginning[:-1] + "}"


def _escaped(form: str) -> str:
    """Character by character, so that what begins alike still does; digits keep their order."""
    return _ESCAPED.sub(_hex, form)[:LONGEST]


def _hex(character: re.Match[str]) -> str:
    return f"~{character[0].encode('utf-8', 'surrogatepass').hex()}"
