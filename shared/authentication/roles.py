"""Roles and the actions that they allow (PLT-41)."""

from collections.abc import Iterable

ACTIONS = frozenset({"read", "write", "delete", "manageExtendedQueryTags", "export"})
"""Everything that can be allowed; which request needs which stands in the route tables (PLT-42)."""

_READ = frozenset({"read"})

ROLES = {
    "dicom data owner": ACTIONS,
    "dicom data reader": _READ,
    "globaladmin": ACTIONS,
    "globalreader": _READ,
}
"""By name in lower case; the last two are the names of the open-source server."""


def actions_of(roles: Iterable[str]) -> frozenset[str]:
    """What the roles allow together; unknown ones allow nothing."""
    return frozenset().union(*(ROLES.get(role.strip().lower(), frozenset()) for role in roles))
