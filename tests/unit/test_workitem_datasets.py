"""Bodies of worklist requests: both forms, what is borne with, what is refused, and the one form that comes out."""

import contextlib
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dicomweb.workitem_datasets import DEEPEST, read_dataset
from shared.errors import InvalidRequest
from shared.services import workitem_contents as contents
from tests.support.worklist import Dataset, code, complete, text

pytestmark = pytest.mark.unit

SHORT = '{"00100020":{"vr":"LO","Value":["P1"]}}'


@pytest.mark.parametrize(
    "body",
    [
        SHORT,
        f"[{SHORT}]",
        f'[{SHORT},{{"00100020":{{"vr":"LO","Value":["other"]}}}}]',
        f"[{SHORT}, 5]",
        f"\ufeff{SHORT}",
        f" \n{SHORT}\r\n",
        '{"00100020":{"vr":"LO","Value":["P1",],},}',
        '[{"00100020": /* the patient */ {"vr":"LO", // text\n"Value":["P1"]}},]',
        '{"00100020":{"Value":["P1"],"vr":"LO"}}',
    ],
)
def test_ups_02_bodies(body: str) -> None:
    """UPS-02, UPS-09"""
    dataset = read_dataset(body.encode())
    assert dataset == {"00100020": {"vr": "LO", "Value": ["P1"]}}
    assert list(dataset["00100020"]) == ["vr", "Value"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"[null]",
        b"[[]]",
        b"5",
        b'"00100020"',
        b"true",
        b"{",
        b"nonsense",
        b"/* nothing */",
        b'{"00100020":{"vr":"LO"}',
        b'{"PatientID":{"vr":"LO"}}',
        b'{"0010002":{"vr":"LO"}}',
        b'{"0010,0020":{"vr":"LO"}}',
        b'{"00100020":null}',
        b'{"00100020":"P1"}',
        b'{"00100020":{}}',
        b'{"00100020":{"vr":"lo"}}',
        b'{"00100020":{"vr":"LOO"}}',
        b'{"00100020":{"vr":5}}',
        b'{"00100020":{"vr":"LO","Value":"P1"}}',
        b'{"00100020":{"vr":"LO","Value":{"a":1}}}',
        b'{"00100020":{"vr":"LO","Value":[["P1"]]}}',
        b'{"00100020":{"vr":"LO","Value":[{"a":1}]}}',
        b'{"00100010":{"vr":"PN","Value":[{"Alphabetic":5}]}}',
        b'{"00100010":{"vr":"PN","Value":[["a"]]}}',
        b'{"00404018":{"vr":"SQ","Value":["x"]}}',
        b'{"00404018":{"vr":"SQ","Value":[{"x":{"vr":"LO"}}]}}',
        b'{"00404018":{"vr":"SQ","Value":[{"00080100":5}]}}',
        b'{"00100020":{"vr":"LO","Value":["\\ud800"]}}',
        b'{"00100020":{"vr":"LO","Value":["\xff"]}}',
        b'{"00100020":{"vr":"DS","Value":[NaN]}}',
    ],
)
def test_ups_02_no_dataset(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_dataset(body)
    assert str(refused.value) == "The syntax of the request body is invalid."


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ({"vr": "LO"}, {"vr": "LO"}),
        ({"vr": "LO", "Value": []}, {"vr": "LO"}),
        ({"vr": "LO", "Value": None}, {"vr": "LO"}),
        ({"vr": "LO", "Value": [None]}, {"vr": "LO"}),
        ({"vr": "LO", "Value": ["a", None]}, {"vr": "LO", "Value": ["a", None]}),
        ({"vr": "SQ", "Value": []}, {"vr": "SQ"}),
        ({"vr": "SQ", "Value": [{}, None]}, {"vr": "SQ", "Value": [{}, {}]}),
        ({"vr": "US", "Value": ["512"]}, {"vr": "US", "Value": [512]}),
        ({"vr": "IS", "Value": [" +007 ", 3]}, {"vr": "IS", "Value": [7, 3]}),
        ({"vr": "DS", "Value": ["1.50", "-2", "1e3", 0.1]}, {"vr": "DS", "Value": [1.5, -2, 1000.0, 0.1]}),
        ({"vr": "FD", "Value": ["0.25"]}, {"vr": "FD", "Value": [0.25]}),
        ({"vr": "IS", "Value": ["many"]}, {"vr": "IS", "Value": ["many"]}),
        ({"vr": "DS", "Value": ["1e999"]}, {"vr": "DS", "Value": ["1e999"]}),
        ({"vr": "IS", "Value": ["1" * 40]}, {"vr": "IS", "Value": ["1" * 40]}),
        ({"vr": "LO", "Value": ["007"]}, {"vr": "LO", "Value": ["007"]}),
        ({"vr": "PN", "Value": ["Doe^John"]}, {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]}),
        (
            {"vr": "PN", "Value": ["Yamada^Tarou=山田^太郎"]},
            {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]},
        ),
        (
            {"vr": "PN", "Value": [{"Phonetic": "p", "Alphabetic": "a", "Ideographic": None}]},
            {"vr": "PN", "Value": [{"Alphabetic": "a", "Phonetic": "p"}]},
        ),
        ({"vr": "UN", "InlineBinary": "AAE="}, {"vr": "UN", "InlineBinary": "AAE="}),
        ({"vr": "OB", "BulkDataURI": "http://x/y"}, {"vr": "OB", "BulkDataURI": "http://x/y"}),
    ],
)
def test_ups_09_elements(element: dict[str, Any], expected: dict[str, Any]) -> None:
    dataset = read_dataset(json.dumps({"00091001": element}).encode())
    assert json.dumps(dataset) == json.dumps({"00091001": expected})


def test_ups_09_order_at_every_level() -> None:
    """UPS-09: digits become capitals."""
    body = b'{"0040a370":{"vr":"SQ","Value":[{"00401001":{"vr":"SH"},"0008005f":{"vr":"UN"}}]},"00080005":{"vr":"CS"}}'
    dataset = read_dataset(body)
    assert list(dataset) == ["00080005", "0040A370"]
    assert list(dataset["0040A370"]["Value"][0]) == ["0008005F", "00401001"]


def test_ups_23_no_transaction_uid_inside_items() -> None:
    """UPS-23: what is read keeps the one of the payload itself, which says who asks."""
    item = code() | {"00081195": text("UI", "1.2.3")}
    deep = {"00091001": text("SQ", {"00091002": text("SQ", item)}), "00081195": text("UI", "1.2.3")}
    dataset = read_dataset(json.dumps(deep).encode())
    assert dataset == {"00081195": text("UI", "1.2.3"), "00091001": text("SQ", {"00091002": text("SQ", code())})}


def nested(levels: int) -> bytes:
    return b'{"00091001":{"vr":"SQ","Value":[' * levels + b"{}" + b"]}}" * levels


def test_ups_02_deep_nesting() -> None:
    """UPS-02: whatever is taken can be written again; what is too deep is refused, at any depth."""
    stored = contents.created(read_dataset(nested(DEEPEST)), "1.2", 0)
    assert orjson.dumps([contents.read(stored.document, "SCHEDULED")]).count(b"00091001") == DEEPEST
    for levels in (DEEPEST + 1, 200, 300, 100_000):
        with pytest.raises(InvalidRequest):
            read_dataset(nested(levels))


values: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(["12", "1.5", "a=b", "20240101"]),
)
names = st.dictionaries(st.sampled_from(["Alphabetic", "Ideographic", "x"]), st.text(max_size=4) | st.none())
tags = st.sampled_from(["00100010", "00100020", "0040A370", "0040a370", "00091001", "00081195", "00080018"])
any_tags = tags | st.text(alphabet="0123456789abcdefABCDEF", min_size=7, max_size=8)


def element(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An element as PS3.18 F.2.2 has it."""
    vr = st.sampled_from(["LO", "DS", "IS", "UI", "US", "UN", "DT"])
    value: st.SearchStrategy[Any] = st.lists(values, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"vr": vr}, optional={"Value": value}),
        st.fixed_dictionaries({"vr": st.just("PN"), "Value": st.lists(names | st.text(max_size=9), max_size=2)}),
        st.fixed_dictionaries({"vr": st.just("SQ"), "Value": st.lists(items, max_size=3)}),
        st.fixed_dictionaries({"vr": st.just("OB"), "InlineBinary": st.text(max_size=4)}),
    )


def faulty_element(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    vr = st.sampled_from(["LO", "PN", "SQ", "DS", "lo", ""])
    value = st.lists(values | names | items, max_size=3) | values
    return st.fixed_dictionaries({}, optional={"vr": vr, "Value": value, "InlineBinary": values})


def trees(leaf: st.SearchStrategy[Any], any_element: Any, some_tags: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaf, lambda items: st.dictionaries(some_tags, any_element(items), min_size=1, max_size=4), max_leaves=12
    )


empty: st.SearchStrategy[Any] = st.builds(dict)


@settings(max_examples=300, deadline=None)
@given(trees(empty, element, tags))
def test_ups_02_ups_09_any_dataset(document: Any) -> None:
    """UPS-02, UPS-09, UPS-23 (300 examples): it is taken; its form is final, in order, can be stored and searched."""
    dataset = read_dataset(orjson.dumps(document))
    assert len(dataset) == len({tag.upper() for tag in document})
    assert read_dataset(orjson.dumps(dataset)) == dataset
    assert list(dataset) == sorted(dataset)
    stored = contents.created(dataset, "1.2", 0)
    shown = contents.read(stored.document, "SCHEDULED")
    assert set(shown) >= set(dataset) - {"00081195"}
    assert "00081195" not in keys(shown)


@settings(max_examples=300, deadline=None)
@given(trees(values | empty, faulty_element, any_tags))
def test_ups_02_any_json(document: Any) -> None:
    """UPS-02 (300 examples): taken or refused, and nothing else."""
    try:
        body = orjson.dumps(document)
    except TypeError:
        return
    with contextlib.suppress(InvalidRequest):
        assert contents.created(read_dataset(body), "1.2", 0).document


def keys(dataset: Dataset) -> list[str]:
    inner = [item for element in dataset.values() if element["vr"] == "SQ" for item in element.get("Value", [])]
    return [*dataset, *(key for item in inner for key in keys(item))]


def test_what_is_searched_for() -> None:
    """UPS-60, UPS-63: first values, and of sequences those of all items."""
    dataset = complete()
    dataset["00100020"] = text("LO", " P1 ", "P2")
    dataset["00404025"] = text("SQ", code("B"), code("a"), code("b"), {}, {"00080100": text("SH")})
    dataset["00404026"] = {"vr": "LO", "Value": ["no sequence"]}
    dataset["00404005"] = text("DT", "20240501100000+0200")
    dataset["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": "Müller^Zoé", "Ideographic": "山田"}]}
    assert contents.search_forms(read_dataset(json.dumps(dataset).encode())) == {
        "00100010": ("muller^zoe=山田",),
        "00100020": ("p1",),
        "00404005": ("20240501100000000000",),
        "0040A37000080050": ("acc1",),
        "0040A37000401001": ("rp1",),
        "0040402500080100": ("b", "a"),
        "0040402700080100": ("place1",),
    }
