"""The content rules of each VR, as a table of expected outcomes (STO-71, STO-73)."""

import orjson
import pytest

from shared.dicom.vr_rules import RULES
from tests.unit.dicom.encoding import (
    Encoded,
    text,
)
from tests.unit.dicom.judging import (
    CODE,
    DATE,
    MODALITY,
    content,
    keys,
    parse,
)

pytestmark = pytest.mark.unit


MOMENT = "value does not mach pattern YYYY[MM[DD[HH[MM[SS[.F{1-6}]]]]]]"
HOURS = "value does not mach pattern HH or HHMM or HHMMSS or HHMMSS.F{1-6}"
TOO_LONG = "value exceeds maximum length of {} characters"

FAULTS: list[tuple[str, str, str | None, str | None]] = [
    # VR, value, reason, the single value at fault if it is not the whole
    ("AE", "A" * 16, None, None),
    ("AE", "A" * 17, TOO_LONG.format(16), None),
    ("AE", "A\\\\B", "value may not consist only of spaces", ""),
    ("AE", "A\\  \\B", "value may not consist only of spaces", "  "),
    ("AE", "A\tB", "value contains invalid control character", None),
    ("AE", "A\x1bB", "value contains invalid control character", None),
    ("AE", "A\0\0", None, None),
    ("AE", "A\\B\0", "value contains invalid control character", "A\\B"),
    ("AS", "063Y", None, None),
    ("AS", "003D\\004W\\005M", None, None),
    ("AS", "003D\\\\005M", None, None),
    ("AS", "63Y", "value does not have pattern 000[DWMY]", None),
    ("AS", "063y", "value does not have pattern 000[DWMY]", None),
    ("AS", "063Y\0\0", None, None),
    ("AS", "003D\\4W", "value does not have pattern 000[DWMY]", "4W"),
    ("CS", "A_1 B", None, None),
    ("CS", "A" * 16 + "   ", None, None),
    ("CS", "A" * 17, TOO_LONG.format(16), None),
    ("CS", "a", CODE, None),
    ("CS", "A\\b\\c", CODE, "b"),
    ("CS", "A\\\\B", None, None),
    ("CS", "X\0", None, None),
    ("CS", "X\0Y", CODE, None),
    ("CS", "A\\B\0", CODE, "A\\B"),
    ("DA", "20240231", None, None),
    ("DA", "20240000", None, None),
    ("DA", "20240101-20240102", None, None),
    ("DA", "20240101-", None, None),
    ("DA", "-20240101", None, None),
    ("DA", "20240101 -20240102", None, None),
    ("DA", "20240101-20240102-20240103", "value contains too many range separators '-'", None),
    ("DA", "2024.01.01", DATE, None),
    ("DA", "202401", DATE, None),
    ("DA", "x", DATE, None),
    ("DA", "20241301", "month component exceeds the value 12", None),
    ("DA", "20240132", "day component exceeds the value 31", None),
    ("DA", "20240101\\2024", DATE, "2024"),
    ("DA", "20240101\\\\20240102", None, None),
    ("DA", "20240101\0", DATE, None),
    ("DS", "-1.5e+10", None, None),
    ("DS", " 1 ", None, None),
    ("DS", "1.", None, None),
    ("DS", ".5", None, None),
    ("DS", "1234567890.123456", TOO_LONG.format(16), None),
    ("DS", "1,5", "value is no decimal string", None),
    ("DS", "1e", "value is no decimal string", None),
    ("DS", ".", "value is no decimal string", None),
    ("DS", "nan", "value is no decimal string", None),
    ("DS", "1\\\\2", "value is no decimal string", ""),
    ("DS", "1\\ \\2", "value is no decimal string", " "),
    ("DS", "1\0", "value is no decimal string", None),
    ("DT", "2024", None, None),
    ("DT", "20240131235960.123456+1400", None, None),
    ("DT", "2024-1200", None, None),
    ("DT", "202401-202402", None, None),
    ("DT", "2024-0100-2025-0100", None, None),
    ("DT", "2024-0100-2025", None, None),
    ("DT", "2024-2025-0100", None, None),
    ("DT", "2024-", None, None),
    ("DT", "-2024", None, None),
    ("DT", "20240", MOMENT, None),
    ("DT", "20240131235960.1234567", MOMENT, None),
    ("DT", "x", MOMENT, None),
    ("DT", "20240131235961", "seconds component exceeds 60", None),
    ("DT", "202401312360", "minutes component exceeds 59", None),
    ("DT", "2024013124", "hours component exceeds 23", None),
    ("DT", "20240132", "day component exceeds 31", None),
    ("DT", "20240100", "day component cannot be 0", None),
    ("DT", "202413", "month component exceeds 12", None),
    ("DT", "202400", "month component cannot be 0", None),
    ("DT", "20241332246161", "seconds component exceeds 60", None),
    ("DT", "2024-0000", "negative UTC hours component with value -0000 is not allowed", None),
    ("DT", "2024+1500", "positive UTC hours component exceeds 14 (allowed range is -1200 to +1400)", None),
    ("DT", "2024-1199", "UTC minutes component exceeds 59", None),
    ("DT", "2024+0060", "UTC minutes component exceeds 59", None),
    ("DT", "2024+01", "value does not match the UTC pattern &ZZXX", None),
    ("DT", "x+1500", "positive UTC hours component exceeds 14 (allowed range is -1200 to +1400)", None),
    ("DT", "2024\\x", MOMENT, "x"),
    ("IS", "-2147483648", None, None),
    ("IS", "2147483647", None, None),
    ("IS", " +7 ", None, None),
    ("IS", "0000000000000000007", None, None),
    ("IS", "2147483648", "value too large to fit 32 bit integer", None),
    ("IS", "-2147483649", "value too large to fit 32 bit integer", None),
    ("IS", "9" * 5001, "value too large to fit 32 bit integer", None),
    ("IS", "1.0", "value is not an integer string", None),
    ("IS", "+", "value is not an integer string", None),
    ("IS", "1\\\\2", None, None),
    ("IS", "1\\x", "value is not an integer string", "x"),
    ("LO", "x" * 64, None, None),
    ("LO", "x" * 65, TOO_LONG.format(64), None),
    ("LO", "a\nb", "value contains invalid character", None),
    ("LO", "a\x85b", "value contains invalid character", None),
    ("LO", "a\x1bb", None, None),
    ("LO", "é" * 64, None, None),
    ("LO", "a\0", None, None),
    ("LO", "a\\\\b", None, None),
    ("LO", "a\\b\0", "value contains invalid character", "a\\b"),
    ("LT", "x" * 10240, None, None),
    ("LT", "x\r\n\ty\\z", None, None),
    ("LT", "x" * 10241, TOO_LONG.format(10240), None),
    ("PN", "A^B^C^D^E=A=B", None, None),
    ("PN", "A=B=C=D", "value contains too many groups", None),
    ("PN", "A" * 65, TOO_LONG.format(64), None),
    ("PN", "A=" + "B" * 65, TOO_LONG.format(64), None),
    ("PN", "A\tB", "value contains invalid control character", None),
    ("PN", "A^B^C^D^E^F", "value contains too many components", None),
    ("PN", "A^B\0", None, None),
    ("PN", "A\\B^C^D^E^F^G", "value contains too many components", "B^C^D^E^F^G"),
    ("SH", "x" * 16, None, None),
    ("SH", "x" * 17, TOO_LONG.format(16), None),
    ("SH", "x\t" + "x" * 17, "value contains invalid character", None),
    ("SH", "a\\b\0", "value contains invalid character", "a\\b"),
    ("ST", "x" * 1024, None, None),
    ("ST", "x" * 1025, TOO_LONG.format(1024), None),
    ("TM", "101530.123456", None, None),
    ("TM", "10", None, None),
    ("TM", "1015", None, None),
    ("TM", "10-12", None, None),
    ("TM", "10:15", HOURS, None),
    ("TM", "101", HOURS, None),
    ("TM", "101530.1234567", HOURS, None),
    ("TM", "10-11-12", "value contains too many range separators '-'", None),
    ("TM", "240000", "hour component exceeds 23", None),
    ("TM", "106000", "minutes component exceeds 59", None),
    ("TM", "101560", None, None),
    ("TM", "101561", "seconds component exceeds 60", None),
    ("TM", "10\0", HOURS, None),
    ("UI", "1.2.840.0.3", None, None),
    ("UI", "1." + "2" * 62, None, None),
    ("UI", "1." + "2" * 63, TOO_LONG.format(64), None),
    ("UI", "1.2a", "value contains invalid characters other than '0'-'9' and '.'", None),
    ("UI", "0.1", "components must not have leading zeros", None),
    ("UI", "1.02", "components must not have leading zeros", None),
    ("UI", "1..2", "a component can not be empty", None),
    ("UI", ".1", "a component can not be empty", None),
    ("UI", "1.", "a component can not be empty", None),
    ("UI", "1.2\0", None, None),
    ("UI", "1.2\\1.3\0", None, None),
    ("UI", "1.2   ", None, None),
    ("UI", "1.2\\1.3a\0", "value contains invalid characters other than '0'-'9' and '.'", "1.3a"),
    ("UC", "anything\t" * 100, None, None),
    ("UR", "http://a b\\c", None, None),
    ("UT", "anything\t\0" * 100, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("vr", "value", "reason", "at_fault"), FAULTS)
@pytest.mark.parametrize("nested", [False, True])
def test_content(vr: str, value: str, reason: str | None, at_fault: str | None, nested: bool) -> None:
    """STO-71, STO-73, STO-74, STO-75: in private elements, where only the content counts; at every depth."""
    faulty = Encoded(0x00091001, vr, value.encode("latin-1"))
    element = Encoded(0x00081140, "SQ", [[Encoded(0x00081110, "SQ", [[faulty], [faulty]])]]) if nested else faulty
    parsed = parse(element)
    assert not parsed.failed
    if reason is None:
        assert (parsed.comments, parsed.warning) == ((), None)
    else:
        shown = value.rstrip(" ") if at_fault is None else at_fault
        assert parsed.comments == (content(0x00091001, shown, vr, reason),)
        assert parsed.warning == 1
    assert ("00081140" in keys(parsed)) if nested else (("00091001" in keys(parsed)) == (reason is None))


@pytest.mark.parametrize("vr", sorted(RULES))
@pytest.mark.parametrize("value", [b"", b" ", b"      "])
def test_padding_alone_is_no_fault(vr: str, value: bytes) -> None:
    """STO-70, STO-71"""
    assert parse(Encoded(0x00091001, vr, value)).comments == ()


@pytest.mark.parametrize("vr", ["AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT"])
def test_nul_padding_alone_is_no_fault(vr: str) -> None:
    """STO-73"""
    assert parse(Encoded(0x00091001, vr, b"\0\0")).comments == ()


def test_characters_are_counted_not_bytes() -> None:
    """STO-71"""
    japanese = "田" * 64
    utf_8 = text(0x00080005, "CS", "ISO_IR 192")
    assert parse(utf_8, text(0x00081030, "LO", japanese, "utf-8")).comments == ()
    assert parse(utf_8, text(0x00081030, "LO", japanese + "田", "utf-8")).comments == (
        content(0x00081030, japanese + "田", "LO", TOO_LONG.format(64)),
    )


def test_nul_padded_modality_stays_and_is_indexed() -> None:
    """STO-73, RET-68"""
    parsed = parse(Encoded(MODALITY, "CS", b"X\0"))
    assert (parsed.comments, parsed.warning) == ((), None)
    assert orjson.loads(parsed.metadata)["00080060"] == {"vr": "CS", "Value": ["X\0"]}
    assert parsed.series_attributes == {"00080060": {"vr": "CS", "Value": ["X\0"]}}


@pytest.mark.parametrize(("vr", "value", "reason"), [(vr, value, reason) for vr, value, reason, _ in FAULTS if reason])
def test_no_fault_slips_past_the_pattern(vr: str, value: str, reason: str) -> None:
    """STO-71: the quick check of the encoded value never lets a fault through."""
    assert not RULES[vr].is_plain(value.encode("latin-1"))
