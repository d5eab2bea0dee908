"""Whether a data set may create or update a workitem, and whether a workitem may be finished (UPS-17 to 20, 34, 45).

Only the first defect is reported, with the words of the service.
"""

from collections.abc import Sequence
from typing import Any

from ..dicom.workitem_attributes import (
    CANCELED_AT,
    DISCONTINUATION_REASON,
    MODIFIED,
    PERFORMED,
    PROGRESS,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STATE,
    StepState,
)
from ..dicomweb.workitem_datasets import Dataset, Element
from ..errors import InvalidRequest
from .workitem_requirements import Code, Rule, requirements

_FINAL = (SOP_CLASS_UID, SOP_INSTANCE_UID, "00741200", MODIFIED, "00404005", "00404041", STATE)
"""What has a value in every finished workitem (UPS-46)."""

_FINAL_SEQUENCES = {
    StepState.COMPLETED: (PERFORMED, ("00404028", "00404050", "00404019", "00404051", "00404033")),
    StepState.CANCELED: (PROGRESS, (CANCELED_AT, DISCONTINUATION_REASON)),
}
"""A sequence that has an item, and what has a value in each of its items (UPS-45, UPS-46)."""


def check_create(dataset: Dataset, *, strict: bool) -> str | None:
    """The first required attribute that is missing altogether, as a message; None if none is (UPS-17).

    Raises `InvalidRequest` for every other defect, and if `strict` for that one, too.
    """
    missing = None
    for rule in requirements():
        element = dataset.get(rule.tag)
        if element is not None:
            _check(rule, element, rule.create, created=True)
        elif rule.create.required:
            if strict:
                raise missing_tag(rule.tag)
            missing = missing or str(missing_tag(rule.tag))
    return missing


def check_update(dataset: Dataset) -> None:
    """Raises `InvalidRequest` (UPS-34)."""
    for rule in requirements():
        element = dataset.get(rule.tag)
        if element is not None:
            _check(rule, element, rule.update, created=False)


def check_final(dataset: Dataset, target: StepState) -> None:
    """Whether a workitem, with its state, can go over to a final state; raises `InvalidRequest` (UPS-45, UPS-46)."""
    for tag in _FINAL:
        require_value(dataset, tag)
    sequence, required = _FINAL_SEQUENCES[target]
    items = items_of(require_value(dataset, sequence))
    if not items:
        raise _without_value(sequence)
    for item in items:
        for tag in required:
            require_value(item, tag)


def require_value(dataset: Dataset, tag: str) -> Element:
    """The element of an attribute that must have a value; raises `InvalidRequest`."""
    element = dataset.get(tag)
    if element is None:
        raise missing_tag(tag)
    _check_value(tag, element)
    return element


def first_value(dataset: Dataset, tag: str) -> Any:
    """The first value of an attribute that must have one, no item and no name; raises `InvalidRequest`."""
    value = (require_value(dataset, tag).get("Value") or [None])[0]
    if value is None or isinstance(value, dict):
        raise _without_value(tag)
    return value


def missing_tag(tag: str) -> InvalidRequest:
    return InvalidRequest(f"The required tag '{_printed(tag)}' is missing.")


def items_of(element: Element) -> Sequence[Dataset]:
    """The items of a sequence; none of what is no sequence."""
    return element.get("Value", ()) if element["vr"] == "SQ" else ()


def _check(rule: Rule, element: Element, code: Code, *, created: bool) -> None:
    if code is Code.FORBIDDEN:
        raise InvalidRequest(f"The attribute with tag '{_printed(rule.tag)}' cannot be present.")
    if code is Code.EMPTY and _has_value(element) and not _is_blank(element):
        raise InvalidRequest(f"The attribute with tag '{_printed(rule.tag)}' must be empty.")
    if code.needs_value:
        if rule.items and not items_of(element):
            raise _without_value(rule.tag)
        _check_value(rule.tag, element)
    if not rule.items:
        return
    for item in items_of(element):
        for inner in rule.items:
            inner_code = inner.create if created else inner.update
            held = item.get(inner.tag)
            if held is not None:
                _check(inner, held, inner_code, created=created)
            elif inner_code.required:
                raise missing_tag(inner.tag)


def _check_value(tag: str, element: Element) -> None:
    if not _has_value(element):
        raise _without_value(tag)
    if _is_blank(element):
        raise InvalidRequest(f"The attribute with tag '{_printed(tag)}' must not be empty.")


def _without_value(tag: str) -> InvalidRequest:
    return InvalidRequest(f"The value for tag '{_printed(tag)}' is missing.")


def _has_value(element: Element) -> bool:
    return "Value" in element or "InlineBinary" in element or "BulkDataURI" in element


def _is_blank(element: Element) -> bool:
    """Whether all values are texts of nothing but blanks. The items of a sequence never are, not even empty ones."""
    values = element.get("Value")
    return bool(values) and element["vr"] != "SQ" and all(map(_is_blank_value, values or ()))


def _is_blank_value(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(group, str) and not group.strip(" \0") for group in value.values())
    return value is None or (isinstance(value, str) and not value.strip(" \t\r\n\0"))


def _printed(tag: str) -> str:
    return f"({tag[:4]},{tag[4:]})".lower()
