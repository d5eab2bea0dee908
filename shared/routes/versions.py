"""The versions of the API: the segment with which paths begin, and what differs behind it (PLT-01 to PLT-04)."""

import re
from dataclasses import dataclass

SUPPORTED = "1.0-prerelease, 1, 2"
"""What `api-supported-versions` says (PLT-02)."""

_VERSION = re.compile(r"v(\d{1,9})(?:\.(\d{1,9}))?(?:-([a-z][a-z0-9]*))?", re.IGNORECASE | re.ASCII)
_SERVED = {(1, 0, "prerelease"): "v1.0-prerelease", (1, 0, ""): "v1", (2, 0, ""): "v2"}


@dataclass(frozen=True, slots=True)
class VersionRules:
    """What a version does in its own way; the defaults are those of version 2."""

    lenient_store: bool = True
    """Faulty attributes are left out with a warning; else they refuse the instance (STO-160, STO-161)."""
    feed_by_time: bool = True
    """The change feed is read by time; else by sequence (CHG-31)."""
    small_result_sets: bool = True
    """Searches show few attributes without being asked (QRY-50); else more."""
    succeeded: bool = True
    """Operations that went well are `succeeded`; else `completed` (OPS-03)."""


_VERSION_1 = VersionRules(lenient_store=False, feed_by_time=False, small_result_sets=False, succeeded=False)

RULES = {"v2": VersionRules(), "v1": _VERSION_1, "v1.0-prerelease": _VERSION_1}
"""By canonical segment."""


def is_version(segment: str) -> bool:
    """Whether the segment is written like a version, served or not."""
    return _VERSION.fullmatch(segment) is not None


def served_version(segment: str) -> str | None:
    """The canonical segment (`v2`, `v1`, `v1.0-prerelease`) that `segment` stands for, if it is served."""
    match = _VERSION.fullmatch(segment)
    if match is None:
        return None
    major, minor, status = match.groups()
    return _SERVED.get((int(major), int(minor or 0), (status or "").lower()))
