"""What study items show of the newest instance of their study (QRY-54), kept where search reads anyway.

The attributes of a study have it under a name of its own in place of a tag, so that it goes into `studies` with the
others, and only when it differs from what is there. The study row also names the instance, for attributes that are
not kept. Both go when that instance is deleted, until the next store: which one is the newest then is not known here.
"""

from collections.abc import Iterable

from .records import Attributes, InstanceKey

COLUMN = "newest"


def naming(series: str, instance: str) -> str:
    """How a study row names its newest instance."""
    return f"{series}|{instance}"


def named(partition: str, study: str, name: str) -> InstanceKey | None:
    """The instance that the row names, if it names one."""
    series, _, instance = name.partition("|")
    return InstanceKey(partition, study, series, instance) if name else None


def with_details(attributes: Attributes, details: Attributes | None) -> Attributes:
    """The attributes of a study whose newest instance has changed; None: its details are not kept."""
    others = without_details(attributes)
    return others if details is None else others | {COLUMN: {"vr": "SQ", "elements": details}}


def without_details(attributes: Attributes) -> Attributes:
    return {tag: element for tag, element in attributes.items() if tag != COLUMN}


def details_of(attributes: Attributes) -> Attributes | None:
    """The details, all of them; None if they are not known."""
    column = attributes.get(COLUMN)
    return None if column is None else column["elements"]


def goes(name: str, deleted: Iterable[tuple[str, str]]) -> bool:
    """Whether the newest instance is among those that are deleted, given by series and instance."""
    return name in {naming(series, instance) for series, instance in deleted}
