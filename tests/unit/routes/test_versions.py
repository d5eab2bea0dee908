"""What differs between the versions of the API, in one table."""

import pytest

from shared.routes.versions import RULES, VersionRules, served_version

pytestmark = pytest.mark.unit


def test_both_names_of_version_1_are_the_same() -> None:
    """PLT-01, CHG-31, STO-160, OPS-03: version 2 is the default, the others agree and differ from it in everything."""
    assert RULES["v2"] == VersionRules()
    assert RULES["v1"] == RULES["v1.0-prerelease"]
    for rule in VersionRules.__slots__:
        assert getattr(RULES["v1"], rule) is not getattr(RULES["v2"], rule)


@pytest.mark.parametrize("segment", ["v1", "v1.0", "V2", "v2.0", "v1.0-PRERELEASE"])
def test_every_served_version_has_rules(segment: str) -> None:
    """PLT-01"""
    assert served_version(segment) in RULES
