"""The version segment with which paths of the API begin (PLT-01 to PLT-04)."""

import re

SUPPORTED = "1.0-prerelease, 1, 2"
"""What `api-supported-versions` says (PLT-02)."""

_VERSION = re.compile(r"v(\d{1,9})(?:\.(\d{1,9}))?(?:-([a-z][a-z0-9]*))?", re.IGNORECASE | re.ASCII)
_SERVED = {(1, 0, "prerelease"): "v1.0-prerelease", (1, 0, ""): "v1", (2, 0, ""): "v2"}


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
