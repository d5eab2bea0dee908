"""The arrays of metadata that are kept."""

import pytest

from shared.services import retrieve_metadata
from shared.services.retrieve_metadata import CHUNK_SIZE, Metadata, MetadataArrays
from shared.storage import metadata_packing
from shared.storage.records import InstanceKey, InstanceRecord
from shared.storage.rows import OVERFLOWED_METADATA


def record(number: int, size: int = 100, overflow: int = 0) -> InstanceRecord:
    return InstanceRecord(
        key=InstanceKey("p", "1.2", "1.3", f"1.4.{number}"),
        version=number,
        file="",
        size=0,
        transfer_syntax="",
        frames=b"",
        packed_metadata=metadata_packing.pack(b'{"x":"' + b"y" * size + b'"}', compact=number % 2 == 0),
        overflow=overflow,
    )


def metadata(series: str, *records: InstanceRecord, etag: str = "1-1") -> Metadata:
    return Metadata(("p", "1.2", series, ""), etag, records)


def test_arrays() -> None:
    """RET-61: objects one behind the other; by its ETag another state is another array"""
    arrays = MetadataArrays()
    one = b'{"x":"' + b"y" * 100 + b'"}'
    for count in (1, 2, 3):
        found = metadata("1.3", *map(record, range(count)), etag=f"{count}")
        assert arrays.of(found) == b"[" + b",".join([one] * count) + b"]"
        assert arrays.of(found) is arrays.of(found)


def test_one_state_of_each_is_kept() -> None:
    """RET-75: of a study that changes again and again"""
    arrays = MetadataArrays()
    for number in range(5):
        arrays.of(metadata("1.3", record(number), etag=f"{number}"))
    assert len(arrays._kept) == 1


def test_what_is_sent_in_pieces() -> None:
    """RET-61: what is long, or has to be read, is not put together here"""
    arrays = MetadataArrays()
    assert arrays.of(metadata("1", record(1, CHUNK_SIZE))) is None
    assert arrays.of(metadata("1", *(record(number, CHUNK_SIZE // 4) for number in range(4)))) is None
    assert arrays.of(metadata("1", record(1), record(2, overflow=OVERFLOWED_METADATA))) is None


def test_limited_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ones that were asked for last stay"""
    monkeypatch.setattr(retrieve_metadata, "MOST_KEPT_BYTES", 1000)
    arrays = MetadataArrays()
    first = metadata("0", record(1))
    kept = arrays.of(first)
    for series in range(1, 30):
        arrays.of(metadata(f"{series}", record(1)))
        assert arrays.of(first) is kept
        assert arrays._size == sum(len(array) for _, array in arrays._kept.values()) <= 1000
    assert 5 < len(arrays._kept) < 10
    arrays.clear()
    assert arrays.of(first) is not kept
