"""Values of extended query tags in the rows of studies and series: elements like the others, under a column in place
of a tag, each with the version of the instance that it comes from (TAG-25)."""

from .records import Attributes, TagValues


def column_of(path: str, serial: int) -> str:
    """What values of a tag are called in rows, in place of a tag. `serial` tells the lives of a tag apart."""
    return f"{path}_{serial}"


def without_removed(attributes: Attributes, known: TagValues) -> Attributes:
    """The attributes without values of tags that had been removed when the tags were looked at."""

    def removed(column: str) -> bool:
        _, joint, serial = column.partition("_")
        return bool(joint) and int(serial) <= known.serial and column not in known.columns

    return {column: element for column, element in attributes.items() if not removed(column)}


def stamped(elements: Attributes, version: int) -> Attributes:
    """The elements with the version of the instance that they come from."""
    return {column: {**element, "version": version} for column, element in elements.items()}


def newer(before: Attributes, values: Attributes) -> Attributes:
    """`before` with those values that are newer than the ones there."""
    return before | {
        column: element
        for column, element in values.items()
        if column not in before or before[column].get("version", 0) < element["version"]
    }


def differ(one: Attributes, other: Attributes) -> bool:
    """Whether search can tell them apart: versions do not show."""
    return one != other and _without_versions(one) != _without_versions(other)


def _without_versions(attributes: Attributes) -> Attributes:
    return {
        tag: {name: value for name, value in element.items() if name != "version"}
        for tag, element in attributes.items()
    }
