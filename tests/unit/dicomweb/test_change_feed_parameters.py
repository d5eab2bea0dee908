"""Parameters of the change feed and the form of its times."""

import json

import pytest

from shared.clock import SECOND
from shared.dicomweb.change_feed_entries import entry_json, timestamp
from shared.dicomweb.change_feed_parameters import include_metadata, sequence_window, time_window
from shared.errors import InvalidParameter
from shared.storage.records import Action, FeedEntry, InstanceKey, State

pytestmark = pytest.mark.unit

MAY_FIRST_TEN = 1_714_557_600 * SECOND
"""2024-05-01T10:00:00Z"""


def test_defaults() -> None:
    """CHG-07, CHG-31"""
    window = time_window([])
    assert (window.end, window.offset, window.limit, window.include_metadata) == (None, 0, 100, True)
    assert window.start < -62_000_000_000 * SECOND
    old = sequence_window([])
    assert (old.after, old.limit, old.include_metadata) == (0, 10, True)


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("2024-05-01T10:00:00Z", MAY_FIRST_TEN),
        ("2024-05-01t10:00:00z", MAY_FIRST_TEN),
        ("2024-05-01T10:00Z", MAY_FIRST_TEN),
        ("2024-05-01T12:00:00+02:00", MAY_FIRST_TEN),
        ("2024-05-01T04:30:00-05:30", MAY_FIRST_TEN),
        ("2024-05-01T10:00:00.1234567+00:00", MAY_FIRST_TEN + 1_234_567),
        ("2024-05-01T10:00:00.5Z", MAY_FIRST_TEN + 5_000_000),
        ("Wed, 01 May 2024 10:00:00 GMT", MAY_FIRST_TEN),
        (" 2024-05-01T10:00:00Z ", MAY_FIRST_TEN),
        ("0001-01-01T00:00:00Z", time_window([]).start),
        ("", time_window([]).start),
        ("  ", time_window([]).start),
    ],
)
def test_date_times(text: str, ticks: int) -> None:
    """CHG-09"""
    assert time_window([("startTime", text)]).start == ticks
    if ticks > 0:
        assert time_window([("ENDTIME", text)]).end == ticks


@pytest.mark.parametrize("text", ["2024-05-01T10:00:00", "2024-05-01", "2024-05-01T10:00:00.5"])
def test_without_zone(text: str) -> None:
    """CHG-10"""
    for name in ("StartTime", "EndTime"):
        with pytest.raises(InvalidParameter) as refused:
            time_window([(name.lower(), text)])
        message = f"The query parameter '{name}' is invalid. Date and time value must specify a time zone."
        assert str(refused.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2024-13-01T10:00:00Z",
        "2023-02-29T10:00:00Z",
        "2024-05-01T25:00:00Z",
        "2024-05-01T10:00:00+25:00",
        "2024-05-01T10:00:00 02:00",
        "2024-05-01T10:00:00.12345678Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "0000-01-01T00:00:00Z",
        "2024-05-01T10:00:00Z\n2024",
        "Wed, 99 May 2024 10:00:00 GMT",
        "1714557600",
        "٢٠٢٤-05-01T10:00:00Z",
    ],
)
def test_no_date_times(text: str) -> None:
    """CHG-10"""
    with pytest.raises(InvalidParameter, match=r"The query parameter 'StartTime' is invalid\. "):
        time_window([("startTime", text)])


def test_end_before_start() -> None:
    """CHG-11: both are printed with seven digits and the zone that they came with."""
    query = [("startTime", "2024-05-01T10:00:00Z"), ("endTime", "2024-05-01T10:00:00Z")]
    with pytest.raises(InvalidParameter) as refused:
        time_window(query)
    assert str(refused.value) == (
        "The query parameter '' is invalid. The start time '2024-05-01T10:00:00.0000000+00:00' must occur strictly "
        "before the end time '2024-05-01T10:00:00.0000000+00:00'."
    )
    with pytest.raises(InvalidParameter, match=r"'0001-01-01T00:00:00\.0000000\+00:00' must"):
        time_window([("endTime", "0001-01-01T00:00:00Z")])
    with pytest.raises(InvalidParameter, match=r"'2024-05-01T10:00:00\.5000000-02:00' must .*'2024-05-01T10:00:"):
        time_window([("startTime", "2024-05-01T10:00:00.5-02:00"), ("endTime", "2024-05-01T10:00Z")])
    with pytest.raises(InvalidParameter, match=r"'9999-12-31T23:59:59\.9999999\+00:00' must"):
        time_window([("startTime", "9999-12-31T23:59:59.9999999Z"), ("starttime", "x")])
    assert time_window([("startTime", "2024-05-01T10:00:00Z"), ("endTime", "2024-05-01T12:00:00.0000001+02:00")])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("limit", "0", "The field Limit must be between 1 and 200."),
        ("LIMIT", "201", "The field Limit must be between 1 and 200."),
        ("limit", "-1", "The field Limit must be between 1 and 200."),
        ("limit", "x", "The value 'x' is not valid for Limit."),
        ("limit", "", "The value '' is not valid for Limit."),
        ("limit", "1.5", "The value '1.5' is not valid for Limit."),
        ("limit", "١", "The value '١' is not valid for Limit."),
        ("offset", "-1", "The field Offset must be between 0 and 9223372036854775807."),
        ("offset", str(2**63), "The field Offset must be between 0 and 9223372036854775807."),
        ("offset", "9" * 5000, f"The value '{'9' * 5000}' is not valid for Offset."),
        ("offset", "", "The value '' is not valid for Offset."),
        ("includeMetadata", "1", "The value '1' is not valid for IncludeMetadata."),
        ("includemetadata", "yes", "The value 'yes' is not valid for IncludeMetadata."),
        ("includeMetadata", "", "The value '' is not valid for IncludeMetadata."),
    ],
)
def test_refused_values(name: str, value: str, reason: str) -> None:
    """CHG-12, CHG-18"""
    parameter = reason.partition(" must")[0].rpartition(" ")[2] if " must" in reason else reason.rstrip(".").split()[-1]
    with pytest.raises(InvalidParameter) as refused:
        time_window([(name, value)])
    assert str(refused.value) == f"The query parameter '{parameter}' is invalid. {reason}"
    if name.lower() == "includemetadata":
        with pytest.raises(InvalidParameter):
            include_metadata([(name, value)])


def test_accepted_values() -> None:
    """CHG-07, CHG-12: edges, letter case, the first of two, unknown ones."""
    query = [("LIMIT", "200"), ("limit", "0"), ("Offset", str(2**63 - 1)), ("includemetadata", "FALSE"), ("x", "y")]
    window = time_window(query)
    assert (window.limit, window.offset, window.include_metadata) == (200, 2**63 - 1, False)
    assert include_metadata([("IncludeMetadata", "True"), ("limit", "0")])


def test_version_1() -> None:
    """CHG-31: times mean nothing, the limit is lower, names are lower case in texts."""
    window = sequence_window([("startTime", "x"), ("endTime", "y"), ("limit", "100"), ("offset", "7")])
    assert (window.after, window.limit) == (7, 100)
    with pytest.raises(InvalidParameter, match=r"'limit' is invalid\. The field limit must be between 1 and 100\."):
        sequence_window([("Limit", "101")])


@pytest.mark.parametrize(
    ("fraction", "printed"),
    [
        (0, "2024-05-01T10:00:00+00:00"),
        (1, "2024-05-01T10:00:00.0000001+00:00"),
        (1_230_000, "2024-05-01T10:00:00.123+00:00"),
        (9_999_999, "2024-05-01T10:00:00.9999999+00:00"),
    ],
)
def test_printed_times_are_read_back(fraction: int, printed: str) -> None:
    """CHG-06: zeros at the end are dropped; as a parameter the text is that very instant again."""
    assert timestamp(MAY_FIRST_TEN + fraction) == printed
    assert time_window([("startTime", printed)]).start == MAY_FIRST_TEN + fraction


def test_entries() -> None:
    """CHG-03, CHG-04: the members in this order; metadata only if there is any."""
    key = InstanceKey("Microsoft.Default", "1.2", "1.2.3", "1.2.3.4")
    entry = FeedEntry(7, key, Action.CREATE, 9, MAY_FIRST_TEN)
    text = entry_json(entry, State.CURRENT, b'{"00080005":{"vr":"CS","Value":["ISO_IR 192"]}}')
    assert text.decode() == (
        '{"sequence":7,"partitionName":"Microsoft.Default","studyInstanceUid":"1.2","seriesInstanceUid":"1.2.3",'
        '"sopInstanceUid":"1.2.3.4","action":"Create","timestamp":"2024-05-01T10:00:00+00:00","state":"Current",'
        '"metadata":{"00080005":{"vr":"CS","Value":["ISO_IR 192"]}}}'
    )
    assert "metadata" not in json.loads(entry_json(entry, State.DELETED, None))
