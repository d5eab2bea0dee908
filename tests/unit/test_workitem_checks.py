"""What a data set must be like to create, update or finish a workitem: the attribute rules and their texts."""

from typing import Any

import pytest

from shared.dicom.workitem_attributes import StepState
from shared.dicomweb.workitem_datasets import DEEPEST, Dataset
from shared.errors import InvalidRequest
from shared.services.workitem_checks import check_create, check_final, check_update
from shared.services.workitem_requirements import Code, Rule, requirements
from tests.support.worklist import (
    PERFORMED,
    PROGRESS,
    STATE,
    TRANSACTION,
    code,
    complete,
    discontinued,
    name,
    performed,
    reference,
    request,
    short,
    text,
)

pytestmark = pytest.mark.unit


def tags(several: str) -> list[str]:
    return several.split()


def created(dataset: Dataset) -> str:
    """What is wrong with it, whichever the mode, or nothing."""
    defects = set()
    for strict in (False, True):
        try:
            assert check_create(dataset, strict=strict) is None
        except InvalidRequest as error:
            defects.add(str(error))
        else:
            defects.add("")
    assert len(defects) == 1
    return defects.pop()


def updated(dataset: Dataset) -> str:
    try:
        check_update(dataset)
    except InvalidRequest as error:
        return str(error)
    return ""


def finished(dataset: Dataset, target: StepState) -> str:
    try:
        check_final(dataset, target)
    except InvalidRequest as error:
        return str(error)
    return ""


# ---------------------------------------------------------------- create


def test_ups_17_complete() -> None:
    assert created(complete()) == ""


REQUIRED = tags("""
    00081195 00741200 00741204 00741210 00404025 00404026 00404027 00404005 00404018 00400400 00404041 00404021
    00100010 00100021 00100024 00101002 00100030 00100040 00380010 00380014 00081080 00081084 0040A370 00741002
    00741216
""")


@pytest.mark.parametrize("tag", REQUIRED)
def test_ups_17_missing_attributes(tag: str) -> None:
    """UPS-17, UPS-18: strict refuses what lenient only tells."""
    dataset = complete()
    del dataset[tag]
    missing = f"The required tag '({tag[:4].lower()},{tag[4:].lower()})' is missing."
    assert check_create(dataset, strict=False) == missing
    with pytest.raises(InvalidRequest) as refused:
        check_create(dataset, strict=True)
    assert str(refused.value) == missing


def test_ups_17_the_first_that_is_missing() -> None:
    """UPS-17, UPS-20"""
    assert check_create(short(), strict=False) == "The required tag '(0008,1195)' is missing."
    assert (
        check_create(short() | {"00081195": text("UI")}, strict=False) == "The required tag '(0074,1200)' is missing."
    )


def test_ups_17_required_attributes_are_those_of_the_table() -> None:
    assert {rule.tag for rule in requirements() if rule.create.required} == set(REQUIRED)


@pytest.mark.parametrize("tag", ["00741200", "00741204", "00404005", "00404041", "00100030", "00380010", "00081080"])
def test_ups_18_a_value_is_needed(tag: str) -> None:
    """UPS-18, UPS-92"""
    printed = f"({tag[:4].lower()},{tag[4:].lower()})"
    assert created(complete() | {tag: text("LO")}) == f"The value for tag '{printed}' is missing."
    for blank in (["  "], [""], ["", " "]):
        dataset = complete() | {tag: {"vr": "LO", "Value": blank}}
        assert created(dataset) == f"The attribute with tag '{printed}' must not be empty."


@pytest.mark.parametrize(
    ("tag", "element", "defect"),
    [
        ("00081195", text("UI", "1.2.3"), "The attribute with tag '(0008,1195)' must be empty."),
        ("00080005", text("CS"), "The value for tag '(0008,0005)' is missing."),
        ("00100020", text("LO"), "The value for tag '(0010,0020)' is missing."),
        ("0020000D", text("UI", " "), "The attribute with tag '(0020,000d)' must not be empty."),
        ("00404011", text("DT"), "The value for tag '(0040,4011)' is missing."),
        ("00404008", text("DT"), "The value for tag '(0040,4008)' is missing."),
        ("00741224", text("SQ"), "The value for tag '(0074,1224)' is missing."),
        ("00404070", text("SQ"), "The value for tag '(0040,4070)' is missing."),
        ("00102000", text("LO"), "The value for tag '(0010,2000)' is missing."),
        ("001021C0", text("US"), "The value for tag '(0010,21c0)' is missing."),
        ("00380050", text("LO", ""), "The attribute with tag '(0038,0050)' must not be empty."),
        ("00101010", text("AS"), "The value for tag '(0010,1010)' is missing."),
        ("00080090", name(" "), "The attribute with tag '(0008,0090)' must not be empty."),
        ("00380014", text("SQ"), "The value for tag '(0038,0014)' is missing."),
        ("00404018", text("SQ", {}), "The required tag '(0008,0104)' is missing."),
        ("00404018", text("SQ", code(), {"00080100": text("SH", "x")}), "The required tag '(0008,0104)' is missing."),
        ("00404018", text("SQ", code(meaning=" ")), "The attribute with tag '(0008,0104)' must not be empty."),
        ("00404018", text("SQ", code() | {"00080100": text("SH")}), "The value for tag '(0008,0100)' is missing."),
        ("00404021", text("SQ", {"0040E020": text("CS", "DICOM")}), "The required tag '(0008,1199)' is missing."),
        (
            "00404021",
            text("SQ", reference() | {"00081199": text("SQ", {"00081150": text("UI", "1.2")})}),
            "The required tag '(0008,1155)' is missing.",
        ),
        (
            "00404021",
            text("SQ", reference() | {"0040E025": text("SQ", {})}),
            "The required tag '(0008,1190)' is missing.",
        ),
        (
            "00404021",
            text("SQ", reference() | {"0040E022": text("SQ", {"00880140": text("UI", "1.2")})}),
            "The required tag '(0088,0130)' is missing.",
        ),
        ("00404034", text("SQ", {"00404037": text("PN", "x")}), "The required tag '(0040,4009)' is missing."),
        ("0040A370", text("SQ", {}), "The required tag '(0020,000d)' is missing."),
        (
            "0040A370",
            text("SQ", {tag: element for tag, element in request().items() if tag != "00321064"}),
            "The required tag '(0032,1064)' is missing.",
        ),
        (
            "0040A370",
            text("SQ", request() | {"00321064": text("SQ", {"00080100": text("SH", "x")})}),
            "The required tag '(0008,0104)' is missing.",
        ),
        ("00741210", text("SQ", {"0040A040": text("CS", "TEXT")}), "The required tag '(0040,a043)' is missing."),
        ("00101002", text("SQ", {"00100020": text("LO", "x")}), "The required tag '(0010,0021)' is missing."),
        ("00404070", text("SQ", {"00404071": text("SQ", {})}), "The required tag '(2100,0140)' is missing."),
        ("00741224", text("SQ", {"00081150": text("UI", "1")}), "The required tag '(0008,1155)' is missing."),
        (PROGRESS, text("SQ", {"00741004": text("DS")}), "The attribute with tag '(0074,1004)' cannot be present."),
        (PROGRESS, text("SQ", {"00741238": text("LT")}), "The attribute with tag '(0074,1238)' cannot be present."),
        (PERFORMED, text("SQ", {"00404050": text("DT")}), "The attribute with tag '(0040,4050)' cannot be present."),
        (PERFORMED, text("SQ", {"00404033": text("SQ")}), "The attribute with tag '(0040,4033)' cannot be present."),
    ],
)  # fmt: skip
def test_ups_18_ups_19_defects(tag: str, element: dict[str, Any], defect: str) -> None:
    """UPS-18, UPS-19, UPS-90, UPS-91: in both modes, also of a short workitem."""
    assert created(complete() | {tag: element}) == defect
    with pytest.raises(InvalidRequest) as refused:
        check_create(short() | {tag: element}, strict=False)
    assert str(refused.value) == defect


@pytest.mark.parametrize(
    ("tag", "element"),
    [
        ("00741200", text("CS", "whenever you like")),
        ("00404005", text("DT", "tomorrow")),
        ("00100020", text("LO", 5)),
        ("00081195", text("UI", "")),
        ("00404034", text("SQ")),
        ("00404018", text("SQ", code() | {"00080121": text("SQ")})),
        ("00404018", {"vr": "LO", "Value": ["no sequence"]}),
        ("00404018", {"vr": "LO", "InlineBinary": "AAAA"}),
        ("00400400", text("LT")),
        (PROGRESS, text("SQ", {})),
        (PROGRESS, text("SQ", {"00091001": text("LO", "private")})),
        ("00741004", text("DS", 50)),
        ("00400100", text("SQ", {"00400002": text("DA", "20260215")})),
        ("00080016", text("UI")),
        (STATE, text("CS", "COMPLETED")),
        ("00741202", text("LO")),
        ("00091001", text("LO")),
    ],
)
def test_ups_93_what_passes(tag: str, element: dict[str, Any]) -> None:
    """UPS-15, UPS-93: values are not held against their VR; what the server sets is not looked at."""
    assert created(complete() | {tag: element}) == ""


# ---------------------------------------------------------------- update


@pytest.mark.parametrize(
    "tag",
    tags("""
    00080016 00080018 00100010 00100020 00100021 00100024 00100030 00100040 00380010 00380014 00081080 00081084
    0040A370 00741224 00741000
    """),
)
def test_ups_34_forbidden(tag: str) -> None:
    defect = f"The attribute with tag '({tag[:4].lower()},{tag[4:].lower()})' cannot be present."
    assert updated({tag: text("LO", "x")}) == defect
    assert updated({tag: text("LO")}) == defect


@pytest.mark.parametrize(
    "tag",
    tags("""
    00080005 00741200 00741204 00741202 00741210 00404025 00404026 00404027 00404034 00404005 00404011 00404008
    00404018 00400400 00404041 00404021 0020000D 00404070 00101002 00741002 00741216 00102000 001021C0 00380050
    00101010 00080090
    """),
)
def test_ups_34_not_empty(tag: str) -> None:
    assert updated({tag: text("SQ")}) == f"The value for tag '({tag[:4].lower()},{tag[4:].lower()})' is missing."


@pytest.mark.parametrize(
    ("dataset", "defect"),
    [
        ({}, ""),
        (short() | {"00100010": name("x")}, "The attribute with tag '(0010,0010)' cannot be present."),
        ({TRANSACTION: text("UI", "1.2.3")}, ""),
        ({"00404010": text("DT")}, ""),
        ({"00400100": text("SQ", {"00400002": text("DA", "20260215")})}, ""),
        ({"00091001": text("LO")}, ""),
        (performed(), ""),
        (discontinued(), ""),
        ({PROGRESS: text("SQ", {})}, ""),
        ({PROGRESS: text("SQ", {"00741004": text("DS")})}, "The value for tag '(0074,1004)' is missing."),
        (
            {PROGRESS: text("SQ", {"00741008": text("SQ", {"0074100C": text("LO", "Ward")})})},
            "The required tag '(0074,100a)' is missing.",
        ),
        ({PROGRESS: text("SQ", {"0074100E": text("SQ", {})})}, "The required tag '(0008,0104)' is missing."),
        ({PERFORMED: text("SQ", {})}, "The required tag '(0040,4033)' is missing."),
        ({PERFORMED: text("SQ", {"00404033": text("SQ")})}, ""),
        ({PERFORMED: text("SQ", {"00404033": text("SQ", {})})}, "The required tag '(0040,e020)' is missing."),
        ({"00101002": text("SQ", {"00100020": text("LO", "x")})}, ""),
        (
            {"00101002": text("SQ", {"00100020": text("LO", "x"), "00100021": text("LO")})},
            "The attribute with tag '(0010,0021)' cannot be present.",
        ),
        ({"00404018": text("SQ", {})}, "The required tag '(0008,0104)' is missing."),
    ],
)
def test_ups_34_updates(dataset: Dataset, defect: str) -> None:
    assert updated(dataset) == defect


# ---------------------------------------------------------------- the end


def stored(*changes: Dataset) -> Dataset:
    dataset = complete() | {STATE: text("CS", "x"), "00080016": text("UI", "1"), "00080018": text("UI", "1")}
    dataset["00404010"] = text("DT", "2024")
    for change in changes:
        dataset |= change
    return dataset


def without(changes: Dataset, sequence: str, tag: str) -> Dataset:
    item = {key: element for key, element in changes[sequence]["Value"][0].items() if key != tag}
    return {sequence: text("SQ", item)}


def test_ups_45_completed() -> None:
    assert finished(stored(performed()), StepState.COMPLETED) == ""
    assert finished(stored(), StepState.COMPLETED) == "The value for tag '(0074,1216)' is missing."
    bare = stored()
    del bare[PERFORMED]
    assert finished(bare, StepState.COMPLETED) == "The required tag '(0074,1216)' is missing."
    for tag in ("00404028", "00404050", "00404019", "00404051", "00404033"):
        printed = f"'({tag[:4]},{tag[4:]})'"
        dataset = stored(without(performed(), PERFORMED, tag))
        assert finished(dataset, StepState.COMPLETED) == f"The required tag {printed} is missing."
        dataset[PERFORMED]["Value"][0][tag] = text("SQ")
        assert finished(dataset, StepState.COMPLETED) == f"The value for tag {printed} is missing."
        dataset[PERFORMED]["Value"][0][tag] = text("SQ", {})
        assert finished(dataset, StepState.COMPLETED) == "", "an empty item counts (UPS-46)"
    second = performed()[PERFORMED]["Value"][0]
    both = {PERFORMED: text("SQ", second, {})}
    assert finished(stored(both), StepState.COMPLETED) == "The required tag '(0040,4028)' is missing."


def test_ups_46_canceled() -> None:
    assert finished(stored(discontinued()), StepState.CANCELED) == ""
    assert finished(stored(), StepState.CANCELED) == "The value for tag '(0074,1002)' is missing."
    for tag in ("00404052", "0074100E"):
        dataset = stored(without(discontinued(), PROGRESS, tag))
        printed = f"'({tag[:4]},{tag[4:].lower()})'"
        assert finished(dataset, StepState.CANCELED) == f"The required tag {printed} is missing."
        dataset[PROGRESS]["Value"][0][tag] = text("SQ", {})
        assert finished(dataset, StepState.CANCELED) == "", "an empty item counts"


@pytest.mark.parametrize("tag", ["00080016", "00080018", "00741200", "00404010", "00404005", "00404041", "00741000"])
def test_ups_46_both(tag: str) -> None:
    for target, changes in ((StepState.COMPLETED, performed()), (StepState.CANCELED, discontinued())):
        dataset = stored(changes)
        del dataset[tag]
        assert finished(dataset, target) == f"The required tag '({tag[:4]},{tag[4:]})' is missing."
        dataset[tag] = text("CS", "")
        assert finished(dataset, target) == f"The attribute with tag '({tag[:4]},{tag[4:]})' must not be empty."


def test_rules_are_not_nested_deeper_than_data_sets_may_be() -> None:
    def depth(rule: Rule) -> int:
        return 1 + max(map(depth, rule.items), default=0)

    assert max(map(depth, requirements())) < DEEPEST


def test_every_attribute_has_one_rule() -> None:
    """And every requirement of the table is used by some rule."""
    tags = [rule.tag for rule in requirements()]
    assert len(tags) == len(set(tags))

    def codes(rule: Rule) -> set[Code]:
        return {rule.create, rule.update}.union(*map(codes, rule.items))

    assert set().union(*map(codes, requirements())) == set(Code)
