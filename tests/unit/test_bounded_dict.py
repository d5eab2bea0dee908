"""Dictionaries that forget."""

from shared.bounded_dict import BoundedDict


def test_what_was_added_first_is_forgotten() -> None:
    kept: BoundedDict[str, int] = BoundedDict(3)
    for number, key in enumerate("abca"):
        kept.add(key, number)
    assert dict(kept) == {"a": 3, "b": 1, "c": 2}
    kept.add("d", 4)
    assert dict(kept) == {"b": 1, "c": 2, "d": 4}
