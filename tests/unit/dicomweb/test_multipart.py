"""The reader of multipart/related bodies: whatever the pieces in which a body arrives, no byte is lost or altered."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser as Oracle

from shared.dicomweb.multipart import (
    LONGEST_HEADERS,
    LONGEST_PADDING,
    MultipartError,
    MultipartParser,
    PartEnd,
    PartStart,
    read_multipart,
)

pytestmark = pytest.mark.unit

EXAMPLES = "bodies made up for the multipart reader"


@dataclass
class Part:
    headers: dict[str, str]
    content: bytes = b""
    complete: bool = False


@dataclass
class Reading:
    """What came of a body: its parts, and whether it was well-formed."""

    parts: list[Part] = field(default_factory=list)
    refused: bool = False

    @property
    def complete(self) -> list[bytes]:
        return [part.content for part in self.parts if part.complete]


def read(body: bytes, boundary: bytes, cuts: Iterable[int] = ()) -> Reading:
    """Feeds the body in pieces that end at `cuts`."""
    reading, parser = Reading(), MultipartParser(boundary)
    ends = [0, *sorted(cut for cut in cuts if 0 < cut < len(body)), len(body)]
    try:
        for start, end in pairwise(ends):
            for event in parser.feed(body[start:end]):
                if isinstance(event, PartStart):
                    assert not reading.parts or reading.parts[-1].complete
                    reading.parts.append(Part(event.headers))
                elif isinstance(event, PartEnd):
                    reading.parts[-1].complete = True
                else:
                    assert event
                    assert not reading.parts[-1].complete
                    reading.parts[-1].content += event
        parser.close()
    except MultipartError:
        reading.refused = True
    return reading


def by_oracle(body: bytes, boundary: bytes) -> list[bytes] | None:
    """The parts that python-multipart finds, `None` if it refuses the body or misses its end."""
    parts: list[bytearray] = []
    ended: list[bool] = []
    try:
        parser = Oracle(
            boundary,
            {
                "on_part_begin": lambda: parts.append(bytearray()),
                "on_part_data": lambda data, start, end: parts[-1].extend(data[start:end]),
                "on_end": lambda: ended.append(True),
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError:
        return None
    return [bytes(part) for part in parts] if ended else None


def frame(contents: Sequence[bytes], boundary: bytes, *, preamble: bytes = b"", padding: bytes = b"") -> bytes:
    body = preamble
    for content in contents:
        body += b"--" + boundary + padding + b"\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n"
    return body + b"--" + boundary + b"--"


BOUNDARIES = st.one_of(
    st.sampled_from([b"b", b"-", b"--", b"a'b(c)+_,./:=? d", b"x" * 70, b"x" * 8000]),
    st.text("abcdefghijklmnopqrstuvwxyzABC0123456789'()+_,-./:=?", min_size=1, max_size=70).map(str.encode),
)


@st.composite
def contents(draw: st.DrawFn, boundary: bytes) -> bytes:
    """Content that comes as near to the delimiter as it may: pieces of it, line ends, hyphens, bytes."""
    delimiter = b"\r\n--" + boundary
    pieces = st.one_of(
        st.sampled_from(
            [b"\r\n", b"\r", b"\n", b"--", b"-", b"\r\n\r\n", b"\r\n--", b"--" + boundary + b"--", boundary]
        ),
        st.integers(0, len(delimiter) - 1).map(lambda length: delimiter[:length]),
        st.integers(1, len(delimiter)).map(lambda start: delimiter[start:]),
        st.binary(max_size=40),
    )
    content = b"".join(draw(st.lists(pieces, max_size=12)))
    # The first line of a part follows a line end, and so a delimiter must not begin there either.
    while delimiter in b"\r\n" + content + b"\r\n":
        content = content.replace(delimiter, b"").removeprefix(delimiter[2:])
    return content


@st.composite
def cuts(draw: st.DrawFn, length: int) -> list[int]:
    """Where the pieces of a body end: anywhere, or after every so many bytes."""
    every = draw(st.sampled_from([0, 0, 1, 2, 3, 7, 64, 1000]))
    if every and length / every < 3000:
        return list(range(every, length, every))
    return draw(st.lists(st.integers(1, max(length, 1)), max_size=20))


def checked(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
    )


def test_every_byte_comes_through(size: Callable[[str], int]) -> None:
    """STO-20: random boundaries, contents, pieces, preambles and epilogues; 200 examples, 2,000 with --full."""

    @checked(size(EXAMPLES))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        boundary = data.draw(BOUNDARIES)
        parts = data.draw(st.lists(contents(boundary), max_size=4))
        preamble = data.draw(st.sampled_from([b"", b"\r\n", b"text\r\n", b"--\r\n", b"\r\n--" + boundary + b"x\r\n"]))
        padding = data.draw(st.sampled_from([b"", b" ", b"\t  "]))
        epilogue = data.draw(st.one_of(st.just(b""), st.just(b"\r\n"), st.binary(max_size=50)))
        body = frame(parts, boundary, preamble=preamble, padding=padding) + epilogue
        reading = read(body, boundary, data.draw(cuts(len(body))))
        assert not reading.refused
        assert reading.complete == parts
        if not preamble and not padding:
            expected = by_oracle(body, boundary)
            assert expected is None or expected == parts

    check()


def test_torn_bodies_give_no_torn_part(size: Callable[[str], int]) -> None:
    """STO-28: a body cut off anywhere before its end is refused, and what it gave till then was whole."""

    @checked(size(EXAMPLES))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        boundary = data.draw(BOUNDARIES)
        parts = data.draw(st.lists(contents(boundary), min_size=1, max_size=3))
        body = frame(parts, boundary)
        end = data.draw(st.integers(0, len(body) - 1))
        reading = read(body[:end], boundary, data.draw(cuts(end)))
        assert reading.refused
        assert reading.complete == parts[: len(reading.complete)]
        if not reading.parts[len(reading.complete) :]:
            return
        torn = reading.parts[-1].content
        assert parts[len(reading.complete)].startswith(torn)

    check()


def test_any_bytes_are_read_or_refused_alike_in_all_pieces(size: Callable[[str], int]) -> None:
    """STO-20, STO-27: bodies of hostile pieces; where python-multipart accepts one, too, both find the same parts."""
    boundary = b"bd"
    pieces = st.sampled_from(
        [b"--bd", b"\r\n--bd", b"--", b"\r\n", b"\r", b"\n", b"-", b" ", b"A: b", b":", b"content", b"--bd--", b"\0"]
    )

    @checked(size(EXAMPLES))
    @given(st.lists(pieces, max_size=25).map(b"".join), st.data())
    def check(body: bytes, data: st.DataObject) -> None:
        whole = read(body, boundary)
        pieced = read(body, boundary, data.draw(cuts(len(body))))
        assert pieced.refused == whole.refused
        if whole.refused:
            return
        assert pieced == whole
        # Only here is a delimiter seen that shares its line end with the blank line behind the headers.
        expected = None if b"\r\n\r\n--bd" in body else by_oracle(body, boundary)
        assert expected is None or expected == whole.complete

    check()


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"--b--\r\n", []),
        (b"--b--", []),
        (b"--b\r\n\r\n--b--\r\n", []),
        (b"\r\n--b\r\nA: 1\r\n\r\nx\r\n--b--", [b"x"]),
        (b"ignored\r\n--b\r\nA: 1\r\n\r\nx\r\n--b--\r\n--b\r\nA: 1\r\n\r\nignored\r\n--b--", [b"x"]),
        (b"--b\r\nA: 1\r\n\r\n\r\n--b--", [b""]),
        (b"--b\r\nA: 1\r\n\r\n--b--", [b""]),
        (b"--b\r\n\r\n\r\n--b--", [b""]),
        (b"--b\r\nA: 1\r\n\r\nx\r\n\r\n--b--", [b"x\r\n"]),
        (b"--b\r\nA: 1\r\n\r\n\r\nx\r\n--b--", [b"\r\nx"]),
        (b"--b\r\nA: 1\r\n\r\nx\n--b--\n\r\n--b--", [b"x\n--b--\n"]),
        (b"--b\r\nA: 1\r\n\r\nx\r\n--bc\r\n\r\n--b--", [b"x\r\n--bc\r\n"]),
        (b"--b \t\r\nA: 1\r\n\r\nx\r\n--b  \r\nA: 1\r\n\r\ny\r\n--b--", [b"x", b"y"]),
    ],
)
def test_framing(body: bytes, parts: list[bytes]) -> None:
    """STO-20, STO-26: what is part of the framing and what of the content."""
    for every in (1, 2, 3, len(body)):
        reading = read(body, b"b", range(every, len(body), every))
        assert not reading.refused
        assert reading.complete == parts


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary",
        b"--c--\r\n",
        b"x--b--",
        b"--b",
        b"--b\r\n",
        b"--b\r\nA: 1\r\n\r\nx",
        b"--b\r\nA: 1\r\n\r\nx\r\n--b",
        b"--b\r\nA: 1\r\n\r\nx\r\n--b-",
        b"--b\r\nno header\r\n\r\nx\r\n--b--",
        b"--b\r\n: 1\r\n\r\nx\r\n--b--",
        b"--b\r\nA: " + b"1" * LONGEST_HEADERS + b"\r\n\r\nx\r\n--b--",
        b"--b\r\n" + b"A: 1\r\n" * LONGEST_HEADERS,
        b"--b" + b" " * (LONGEST_PADDING + 2) + b"\r\nA: 1\r\n\r\nx",
    ],
)
def test_malformed_bodies(body: bytes) -> None:
    """STO-27, STO-28: no boundary, no end, no headers."""
    for every in (1, 7, max(len(body), 1)):
        assert read(body, b"b", range(every, len(body), every)).refused


def test_part_headers() -> None:
    """STO-21: names without regard to case, folded lines joined, the first of two counts, other bytes as they are."""
    headers = b"CONTENT-Type:application/dicom\r\nX-Folded: a\r\n b\r\nx-folded: c\r\nX-Name: \xe4:b"
    (part,) = read(b"--b\r\n" + headers + b"\r\n\r\n\r\n--b--", b"b").parts
    assert part.headers == {"content-type": "application/dicom", "x-folded": "a b", "x-name": "ä:b"}


def test_a_long_part_is_never_held() -> None:
    """Content is handed on as it comes: what is kept is shorter than a delimiter."""
    parser = MultipartParser(b"x" * 70)
    parser.feed(b"--" + b"x" * 70 + b"\r\nA: 1\r\n\r\n")
    for piece in (b"\0" * 65536, b"\r\n--" + b"x" * 69, b"\r\n" * 1000):
        given = sum(len(event) for event in parser.feed(piece) if isinstance(event, bytes))
        assert given >= len(piece) - 74


@pytest.mark.parametrize("filler", [b"\r\n--" + b"y" * 60, b"\r", b"\0"])
def test_reading_takes_time_in_proportion_to_the_body(filler: bytes) -> None:
    """Linear, also where the content nearly is the delimiter: four times the bytes take less than ten times as long."""

    def seconds(length: int) -> float:
        content = filler * (length // len(filler))
        body = frame([content], b"y" * 70)
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            reading = read(body, b"y" * 70, range(65536, len(body), 65536))
            best = min(best, time.process_time() - began)
            assert len(reading.complete[0]) == len(content)
        return best

    assert seconds(8_000_000) < 10 * seconds(2_000_000) + 0.02


def test_a_hundred_thousand_parts() -> None:
    """Many small parts take time in proportion to their number."""
    body = frame([b"x"] * 100_000, b"boundary")
    assert len(read(body, b"boundary", range(65536, len(body), 65536)).complete) == 100_000


async def test_events_of_a_stream() -> None:
    """The asynchronous form gives the same events and refuses a body without an end."""

    async def pieces(body: bytes) -> object:
        for byte in body:
            yield bytes([byte])

    body = frame([b"one", b"two"], b"b")
    events = [event async for event in read_multipart(pieces(body), b"b")]  # type: ignore[arg-type]
    assert b"".join(event for event in events if isinstance(event, bytes)) == b"onetwo"
    with pytest.raises(MultipartError):
        async for _ in read_multipart(pieces(body[:-1]), b"b"):  # type: ignore[arg-type]
            pass
