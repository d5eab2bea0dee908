"""Files that were damaged on purpose: an answer or `UnreadableFile`, never anything else, and soon (STO-69)."""

from collections.abc import Callable
from datetime import timedelta

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.dicom.frames import FrameTable
from shared.dicom.instance import ParsedInstance, UnreadableFile, parse_instance, parse_short_instance
from shared.dicom.json_values import BULK, EMPTY
from shared.dicom.vr_rules import RULES
from tests.unit.dicom.bundled import UNREADABLE, bundled_files
from tests.unit.dicom.ct_header import ct_file
from tests.unit.dicom.encoding import BIG_ENDIAN, EXPLICIT, IMPLICIT, Encoded, encode, instance, part10

pytestmark = pytest.mark.unit

CASE = "mutations of real files"
SOON = timedelta(seconds=5)

FILES = [
    path.read_bytes() for path in bundled_files() if path.name not in UNREADABLE and 1500 < path.stat().st_size < 60_000
]
FILES += [ct_file(pixels=1024), ct_file(implicit=True, pixels=1024)]

Mutation = Callable[[bytearray], None]

# Hypothesis likes small numbers. Scattered, they hit all of a file and not only its beginning, without which nothing
# is left to read.
numbers = st.integers(0, 0xFFFF).map(lambda number: number * 40503 % 0x10000)
places = st.one_of(numbers, numbers.map(lambda number: 132 + number % 4000))


def _overwrite(place: int, value: bytes) -> Mutation:
    def mutate(content: bytearray) -> None:
        start = place % max(1, len(content))
        content[start : start + len(value)] = value

    return mutate


def _insert(place: int, value: bytes) -> Mutation:
    def mutate(content: bytearray) -> None:
        start = place % max(1, len(content))
        content[start:start] = value

    return mutate


def _remove(place: int, length: int) -> Mutation:
    def mutate(content: bytearray) -> None:
        start = place % max(1, len(content))
        del content[start : start + length]

    return mutate


telling = st.sampled_from(
    [
        b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0",
        b"\xfe\xff\xdd\xe0\0\0\0\0", b"SQ\0\0\xff\xff\xff\xff", b"UN\0\0\xff\xff\xff\xff", b"OB\0\0\xff\xff\xff\xff",
        b"UN", b"SQ", b"PN", b"ZZ", b"\\", b"\x1b$B", b"\x1b", b"\xe0\x7f\x10\x00", b"\x08\x00\x05\x00",
        b"\x02\x00\x10\x00", b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2\0", b"1.2.840.10008.1.2\0\0",
    ]
)  # fmt: skip
mutations = st.one_of(
    st.builds(_overwrite, places, st.binary(min_size=1, max_size=1)),
    st.builds(_overwrite, places, st.binary(min_size=1, max_size=4)),
    st.builds(_overwrite, places, telling),
    st.builds(_insert, places, st.one_of(st.binary(min_size=1, max_size=8), telling)),
    st.builds(_remove, places, st.integers(1, 16)),
)


def check(content: bytes, parsed: ParsedInstance) -> None:
    """What holds for every outcome: it can be stored and answered with."""
    metadata = orjson.loads(parsed.metadata)
    assert list(metadata) == sorted(metadata)
    "\n".join([*parsed.comments, parsed.sop_class or "", parsed.sop_instance_echo or ""]).encode()
    assert parsed.failed or (parsed.study and parsed.series and parsed.instance)
    assert (parsed.warning is not None) >= (bool(parsed.comments) and not parsed.failed)
    orjson.dumps([parsed.study_attributes, parsed.series_attributes])
    if parsed.frames:
        table = FrameTable.unpack(parsed.frames)
        for frame in {1, table.present} if table.present and table.deflated_at is None else ():
            try:
                pieces = table.pieces(frame)
            except IndexError:
                continue
            assert all(length > 0 and start + length <= len(content) for start, length in pieces)


def read(content: bytes, *, lenient: bool = True) -> None:
    short = parse_short_instance(content, study=None, lenient=lenient)
    try:
        parsed = parse_instance(content, study=None, lenient=lenient)
    except UnreadableFile:
        assert short is None
        return
    assert short in (None, parsed)
    if lenient:
        check(content, parsed)


def test_damaged_files(size: Callable[[str], int]) -> None:
    """STO-69, STO-29: 200 examples, 2,000 with --full."""

    @settings(max_examples=size(CASE), deadline=SOON, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(FILES), st.lists(mutations, min_size=1, max_size=6), st.none() | places, st.booleans())
    def damaged(content: bytes, damages: list[Mutation], end: int | None, lenient: bool) -> None:
        changed = bytearray(content[:end])
        for damage in damages:
            damage(changed)
        read(bytes(changed), lenient=lenient)

    damaged()


def test_arbitrary_values(size: Callable[[str], int]) -> None:
    """STO-69, STO-71: any bytes in an element of any VR, in each encoding; 200 examples, 2,000 with --full."""
    vrs = [*sorted(RULES), *sorted(EMPTY.keys() - RULES.keys()), *sorted(BULK)]
    tags = st.one_of(
        st.sampled_from([0x00080005, 0x00080016, 0x00080018, 0x00080020, 0x00080060, 0x00100010, 0x00100020]),
        st.sampled_from([0x0020000D, 0x0020000E, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280103]),
        st.sampled_from([0x00281101, 0x00283006, 0x00090010, 0x00091001, 0x7FE00010, 0x00081140, 0x60000010]),
        st.integers(0, 0xFFFFFFFF),
    )
    values = st.one_of(
        st.binary(max_size=40), st.text(max_size=20).map(str.encode), st.sampled_from([b"\\", b"-", b"="])
    )
    elements = st.lists(st.builds(Encoded, tags, st.sampled_from(vrs), values), min_size=1, max_size=20)

    @settings(max_examples=size(CASE), deadline=SOON, database=None, suppress_health_check=list(HealthCheck))
    @given(elements, st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN]))
    def arbitrary(some: list[Encoded], syntax: str) -> None:
        order = ">" if syntax == BIG_ENDIAN else "<"
        for elements in (some, instance(*some), instance(Encoded(0x00081140, "SQ", [some]))):
            data = encode(elements, implicit=syntax == IMPLICIT, order=order)
            read(part10(data + bytes(8 * (len(data) < 100)), syntax))

    arbitrary()


def test_arbitrary_bytes(size: Callable[[str], int]) -> None:
    """STO-29: 200 examples, 2,000 with --full."""

    @settings(max_examples=size(CASE), deadline=SOON, database=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=2000), st.booleans())
    def arbitrary(content: bytes, announced: bool) -> None:
        read(part10(content) if announced else content)

    arbitrary()
