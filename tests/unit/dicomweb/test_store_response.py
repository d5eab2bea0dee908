"""Status and dataset of a store's answer."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from shared.dicomweb.store_response import (
    FailedInstance,
    InstanceResult,
    StoredInstance,
    store_dataset,
    store_status,
)

pytestmark = pytest.mark.unit

GOOD = StoredInstance("1.2.840.10008.5.1.4.1.1.2", "1.2", "1.2.3", "1.2.3.4")
WARNED = StoredInstance("1.2.840.10008.5.1.4.1.1.2", "1.2", "1.2.3", "1.2.3.5", 1, ("DICOM100: a",))
IMPLICIT = StoredInstance("1.2.840.10008.5.1.4.1.1.2", "1.2", "1.2.3", "1.2.3.6", 45063)
UNREADABLE = FailedInstance(43264)
DUPLICATE = FailedInstance(45070, "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")
INVALID = FailedInstance(43264, "1.2.840.10008.5.1.4.1.1.2", "x", ("DICOM100: a", "DICOM100: b"))
FAULT = FailedInstance(272, "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")


@pytest.mark.parametrize(
    ("results", "status", "v1", "duplicates_warn"),
    [
        ([], 204, 204, 204),
        ([GOOD], 200, 200, 200),
        ([GOOD, WARNED], 202, 200, 202),
        ([IMPLICIT], 202, 200, 202),
        ([GOOD, DUPLICATE], 202, 202, 202),
        ([GOOD, UNREADABLE], 202, 202, 202),
        ([DUPLICATE], 409, 409, 202),
        ([DUPLICATE, DUPLICATE], 409, 409, 202),
        ([DUPLICATE, UNREADABLE], 409, 409, 409),
        ([INVALID], 409, 409, 409),
        ([FAULT], 409, 409, 409),
    ],
)
def test_status(results: Sequence[InstanceResult], status: int, v1: int, duplicates_warn: int) -> None:
    """STO-41, STO-161, STO-170"""
    assert store_status(results, warnings_count=True, duplicates_warn=False) == status
    assert store_status(results, warnings_count=False, duplicates_warn=False) == v1
    assert store_status(results, warnings_count=True, duplicates_warn=True) == duplicates_warn


def dataset(*results: InstanceResult, study: str | None = None, details: bool = True) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(store_dataset(results, "http://host/v2", study, details=details))
    return answer


def item(uid: str, **more: Any) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
        "00081155": {"vr": "UI", "Value": [uid]},
        **{name.lstrip("_"): value for name, value in more.items()},
    }


def url(uid: str) -> dict[str, Any]:
    return {"vr": "UR", "Value": [f"http://host/v2/studies/1.2/series/1.2.3/instances/{uid}"]}


def test_stored_items() -> None:
    """STO-90, STO-92: the details are always there, the warning when there is one; keys ascend."""
    answer = dataset(GOOD, WARNED, IMPLICIT)
    assert answer == {
        "00081199": {
            "vr": "SQ",
            "Value": [
                item("1.2.3.4", _00081190=url("1.2.3.4"), _00741048={"vr": "SQ"}),
                item(
                    "1.2.3.5",
                    _00081190=url("1.2.3.5"),
                    _00081196={"vr": "US", "Value": [1]},
                    _00741048={"vr": "SQ", "Value": [{"00000902": {"vr": "LO", "Value": ["DICOM100: a"]}}]},
                ),
                item(
                    "1.2.3.6",
                    _00081190=url("1.2.3.6"),
                    _00081196={"vr": "US", "Value": [45063]},
                    _00741048={"vr": "SQ"},
                ),
            ],
        }
    }
    for stored in answer["00081199"]["Value"]:
        assert list(stored) == sorted(stored)


def test_failed_items() -> None:
    """STO-29, STO-43, STO-44, STO-91"""
    answer = dataset(UNREADABLE, DUPLICATE, INVALID, study="1.2")
    comments = [{"00000902": {"vr": "LO", "Value": [text]}} for text in INVALID.comments]
    assert answer == {
        "00081198": {
            "vr": "SQ",
            "Value": [
                {"00081197": {"vr": "US", "Value": [43264]}},
                item("1.2.3.4", _00081197={"vr": "US", "Value": [45070]}),
                item("x", _00081197={"vr": "US", "Value": [43264]}, _00741048={"vr": "SQ", "Value": comments}),
            ],
        }
    }


def test_both_sequences_and_the_study() -> None:
    """STO-40, STO-42, STO-92: the study's URL only if its path was named and something was stored."""
    answer = dataset(WARNED, UNREADABLE, GOOD, study="1.2")
    assert list(answer) == ["00081190", "00081198", "00081199"]
    assert answer["00081190"] == {"vr": "UR", "Value": ["http://host/v2/studies/1.2"]}
    assert [stored["00081155"]["Value"][0] for stored in answer["00081199"]["Value"]] == ["1.2.3.5", "1.2.3.4"]


def test_version_1_gives_no_details_of_stored_instances() -> None:
    """STO-161"""
    answer = dataset(WARNED, INVALID, details=False)
    assert "00741048" not in answer["00081199"]["Value"][0]
    assert "00741048" in answer["00081198"]["Value"][0]
