"""Studies, series and instances by URL: negotiation, bytes, transcoding of native files, errors and their order."""

import io
import zlib
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from shared.dicom.instance import parse_instance
from tests.support.made_images import encoded, gradient, made_image
from tests.support.multipart_answers import parts_of
from tests.support.processes import LocalHost
from tests.support.retrieving import (
    ELE,
    IMPLICIT,
    J2KL,
    NOT_ACCEPTABLE,
    NOT_TRANSCODED,
    PARTS,
    get,
    refusal,
)
from tests.support.stow import Triple, new_triple, store, upsert

pytestmark = pytest.mark.integration

BAD_UID = (
    "Dicom element '{}' failed validation for VR 'UI': DICOM Identifier is invalid. Value length should not exceed "
    "the maximum length of 64 characters. Value should contain characters in '0'-'9' and '.'. Each component must "
    "start with non-zero number."
)
SEVERAL = (
    "Accept transfer syntax '{}' is not supported when multiple instances are matched. Matching instances can be "
    "retrieved with their original transfer syntax by specifying 'transfer-syntax=*' in the Accept header."
)
ORIGINAL = "application/dicom; transfer-syntax=*"


def cannot_be_found(level: str) -> tuple[int, str]:
    return 404, f"The specified {level} cannot be found."


def put(base_url: str, *files: bytes) -> None:
    """Stores files that have to be taken."""
    answer = store(base_url, *files)
    assert answer.status in (200, 202), answer.text
    assert not answer.failed


def image(triple: Triple, transfer_syntax: Any = ExplicitVRLittleEndian, **attributes: Any) -> bytes:
    """A small image with these UIDs."""
    dataset = made_image(gradient(40, 36, "<u2", 0, 4000), **attributes)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = triple.study, triple.series
    dataset.SOPInstanceUID = triple.instance
    return encoded(dataset, transfer_syntax)


@pytest.fixture
def v2(base_url: str) -> str:
    return f"{base_url}/v2"


# ------------------------------------------------------------------ one instance


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (ORIGINAL, "single"),
        ("application/dicom", "single"),
        (f"application/dicom; transfer-syntax={ELE}", "single"),
        (PARTS, "parts"),
        (f"{PARTS}; transfer-syntax=*", "parts"),
        ("*/*", "parts"),
        ('multipart/related; type="*/*"', "parts"),
        ("multipart/related; type=application/dicom", "parts"),
    ],
)
def test_one_instance(base_url: str, v2: str, accept: str, kind: str) -> None:
    """RET-11, RET-14, RET-20, RET-21, RET-22, RET-23, RET-24, RET-30"""
    triple = new_triple()
    content = image(triple)
    put(base_url, content)
    answer = get(v2 + triple.path, accept)
    assert answer.status_code == 200
    named = f"application/dicom; transfer-syntax={ELE}"
    if kind == "single":
        assert answer.headers["content-type"] == named
        assert answer.content == content
    else:
        assert answer.headers["content-type"].startswith("multipart/related;")
        assert [(part.content_type, part.content) for part in parts_of(answer)] == [(named, content)]


def test_bytes_stay(base_url: str, v2: str) -> None:
    """RET-24, RET-29, STO-100, STO-101: odd values, private elements, padding and trailing bytes; no pixels needed"""
    triple = new_triple()
    file = triple.file(StudyDate="NotADate", Private=(0x00091001, "UN", b"\1\2\3"), Padding=(0xFFFCFFFC, "OB", b"xx"))
    content = b"PREAMBLE" * 16 + file[128:] + bytes(40)
    put(base_url, content)
    got = get(v2 + triple.path, ORIGINAL).content
    assert got == bytes(128) + content[128:]


def test_study_and_series(base_url: str, v2: str) -> None:
    """RET-01, RET-22, RET-28: one part for each instance in the order in which they were stored, each as it is"""
    one = new_triple()
    two = one.sibling()
    other = Triple(one.study, new_triple().series, new_triple().instance)
    files = [image(one), image(two, ImplicitVRLittleEndian), image(other, ExplicitVRBigEndian)]
    for file in files:
        put(base_url, file)
    study = parts_of(get(f"{v2}/studies/{one.study}", f"{PARTS}; transfer-syntax=*"))
    assert [part.content for part in study] == files
    assert [part.content_type.rpartition("=")[2] for part in study] == [ELE, IMPLICIT, "1.2.840.10008.1.2.2"]
    series = parts_of(get(f"{v2}/studies/{one.study}/series/{one.series}", "*/*"))
    assert [part.content for part in series] == files[:2]


@pytest.mark.parametrize(("accept", "syntax"), [(PARTS, ELE), (f"{PARTS}; transfer-syntax={J2KL}", J2KL)])
def test_several_instances_in_a_named_syntax(base_url: str, v2: str, accept: str, syntax: str) -> None:
    """RET-25, RET-26: refused even where all of them are stored in it; one instance alone is served"""
    one = new_triple()
    put(base_url, image(one))
    study = f"{v2}/studies/{one.study}"
    for url in (study, f"{study}/series/{one.series}"):
        [part] = parts_of(get(url, accept))
        assert part.content_type == f"application/dicom; transfer-syntax={syntax}"
    put(base_url, image(one.sibling()))
    for url in (study, f"{study}/series/{one.series}"):
        assert refusal(get(url, accept)) == (406, SEVERAL.format(syntax))


# ------------------------------------------------------------------ transcoding of native files


def same_values(got: bytes, content: bytes) -> None:
    """All attributes but the pixel data, which are compared as numbers."""
    before, after = dcmread(io.BytesIO(content)), dcmread(io.BytesIO(got))
    assert after.file_meta.TransferSyntaxUID == ELE
    assert after.file_meta.MediaStorageSOPInstanceUID == before.file_meta.MediaStorageSOPInstanceUID
    assert [element.tag for element in after] == [element.tag for element in before]
    for element in before:
        if element.keyword != "PixelData":
            assert after[element.tag] == element
    assert np.array_equal(after.pixel_array, before.pixel_array)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_native_to_explicit_little_endian(base_url: str, v2: str, syntax: Any) -> None:
    """RET-25, RET-31, RET-32, RET-36, RET-37, RET-38"""
    triple = new_triple()
    nested = Dataset()
    nested.CodeValue, nested.RescaleSlope = "deep", "1.50"
    outer = Dataset()
    outer.ProcedureCodeSequence = [nested, Dataset()]
    content = image(
        triple, syntax, RequestAttributesSequence=[outer], SelectorUSValue=[1, 258, 65535], WindowCenter="01"
    )
    put(base_url, content)
    answer = get(v2 + triple.path, "application/dicom")
    assert answer.headers["content-type"] == f"application/dicom; transfer-syntax={ELE}"
    same_values(answer.content, content)
    assert get(v2 + triple.path, ORIGINAL).content == content


def test_without_pixels(base_url: str, v2: str) -> None:
    """RET-29, RET-36: only the encoding of the attributes changes, whatever the target"""
    triple = new_triple()
    dataset = dcmread(io.BytesIO(triple.file(PatientName="A^B", TextValue="note")))
    content = encoded(dataset, ImplicitVRLittleEndian)
    put(base_url, content)
    for target in (ELE, J2KL):
        answer = get(v2 + triple.path, f"application/dicom; transfer-syntax={target}")
        assert answer.status_code == 200
        after = dcmread(io.BytesIO(answer.content))
        assert after.file_meta.TransferSyntaxUID == target
        assert after == dcmread(io.BytesIO(content))


def test_bare_data_set(base_url: str, v2: str) -> None:
    """RET-24, STO-101: as it was sent, without a preamble; in Explicit VR Little Endian a proper file"""
    triple = new_triple()
    whole = image(triple, ImplicitVRLittleEndian)
    bare = whole[132 + 12 + int.from_bytes(whole[140:144], "little") :]
    put(base_url, bare)
    answer = get(v2 + triple.path, ORIGINAL)
    assert answer.content == bare
    assert answer.headers["content-type"] == f"application/dicom; transfer-syntax={IMPLICIT}"
    again = dcmread(io.BytesIO(get(v2 + triple.path, "application/dicom").content))
    assert again.file_meta.TransferSyntaxUID == ELE
    assert again.file_meta.MediaStorageSOPInstanceUID == triple.instance


def test_incomplete_pixels(base_url: str, v2: str) -> None:
    """RET-34, RET-51: 406 in another transfer syntax, 200 as stored"""
    triple = new_triple()
    content = image(triple, ImplicitVRLittleEndian, NumberOfFrames=2)
    put(base_url, content)
    for target in (ELE, J2KL):
        answer = get(v2 + triple.path, f"{PARTS}; transfer-syntax={target}")
        assert refusal(answer) == (406, NOT_TRANSCODED)
    assert get(v2 + triple.path, ORIGINAL).content == content


def video(triple: Triple, transfer_syntax: str) -> bytes:
    """A file with fragments of something that no codec here knows."""
    dataset = dcmread(io.BytesIO(image(triple)))
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.add_new("PixelData", "OB", encapsulate([b"abcd"]))
    dataset["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def private(triple: Triple, transfer_syntax: str) -> bytes:
    """A file in Explicit VR Little Endian that calls it otherwise."""
    return image(triple).replace(ELE.encode() + b"\0", transfer_syntax.encode())


@pytest.mark.parametrize(
    ("make", "syntax"),
    [
        (video, "1.2.840.10008.1.2.4.100"),
        (video, "1.2.840.10008.1.2.4.102"),
        (private, "1.2.3.4.5.6.7.8.9.10"),
    ],
)
def test_unknown_to_the_codecs(base_url: str, v2: str, make: Callable[[Triple, str], bytes], syntax: str) -> None:
    """RET-16, RET-31, RET-34: video and private encodings are given as they are or not at all"""
    triple = new_triple()
    content = make(triple, syntax)
    put(base_url, content)
    assert refusal(get(v2 + triple.path, "application/dicom")) == (406, NOT_TRANSCODED)
    assert refusal(get(v2 + triple.path, f"application/dicom; transfer-syntax={syntax}")) == (406, NOT_ACCEPTABLE)
    answer = get(v2 + triple.path, ORIGINAL)
    assert answer.content == content
    assert answer.headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"


def test_size_limit(start_host: Callable[..., LocalHost]) -> None:
    """RET-06, RET-35, RET-84: a file at the limit is worked on, one above it is not, as it is it is always given"""
    triple, larger = new_triple(), new_triple()
    content = image(triple, ImplicitVRLittleEndian)
    host = start_host({"DICOM_TRANSCODE_LIMIT_BYTES": str(len(content))})
    v2 = f"{host.url}/v2"
    put(host.url, content, image(larger, ImplicitVRLittleEndian, PatientComments="!"))
    assert get(v2 + triple.path, "application/dicom").status_code == 200
    assert get(f"{v2}{triple.path}/frames/1", "application/octet-stream").status_code == 200
    assert get(f"{v2}{triple.path}/rendered", "image/png").status_code == 200
    too_large = (
        406,
        f"Requested DICOM instance size is above the supported limit of {len(content)}. The entire instance can be "
        "retrieved with the original transfer syntax by specifying 'transfer-syntax=*' in the Accept header.",
    )
    assert refusal(get(v2 + larger.path, "application/dicom")) == too_large
    assert refusal(get(f"{v2}/studies/{larger.study}", PARTS)) == too_large
    assert refusal(get(f"{v2}{larger.path}/frames/1", "application/octet-stream")) == too_large
    assert get(f"{v2}{larger.path}/frames/1", "application/octet-stream; transfer-syntax=*").status_code == 200
    assert get(v2 + larger.path, ORIGINAL).status_code == 200
    assert refusal(get(f"{v2}{larger.path}/frames/2", "application/octet-stream")) == cannot_be_found("frame")
    assert refusal(get(f"{v2}{larger.path}/rendered", "image/png")) == (
        406,
        f"Requested DICOM instance size is above the supported limit of {len(content)} for rendering. Please retrieve "
        "the whole file in the original transfer syntax instead of rendering to image media type.",
    )


def test_deflate_bomb(base_url: str, v2: str) -> None:
    """RET-34: what inflates beyond all measure is refused, or not even stored"""
    triple = new_triple()
    plain = image(triple)
    start = 132 + 12 + int.from_bytes(plain[140:144], "little")
    deflater = zlib.compressobj(9, wbits=-15)
    bomb = deflater.compress(plain[start:]) + b"".join(deflater.compress(bytes(1 << 20)) for _ in range(600))
    meta = encoded(dcmread(io.BytesIO(plain)), DeflatedExplicitVRLittleEndian)
    meta = meta[: 132 + 12 + int.from_bytes(meta[140:144], "little")]
    answer = store(base_url, meta + bomb + deflater.flush())
    assert answer.status in (200, 202, 409)
    if answer.status != 409:
        assert refusal(get(v2 + triple.path, "application/dicom")) == (406, NOT_TRANSCODED)
    assert httpx.get(f"{base_url}/health").status_code == 200


# ------------------------------------------------------------------ what is not there, and the order of checks


def test_not_found(base_url: str, v2: str) -> None:
    """RET-03, RET-04: by the level of the request; all UIDs have to be those of one object"""
    known, unknown = new_triple(), new_triple()
    put(base_url, image(known))
    studies = f"{v2}/studies"
    assert refusal(get(f"{studies}/{unknown.study}", "*/*")) == cannot_be_found("study")
    assert refusal(get(f"{studies}/{known.study}/series/{unknown.series}", "*/*")) == cannot_be_found("series")
    assert refusal(get(f"{studies}/{unknown.study}/series/{known.series}", "*/*")) == cannot_be_found("series")
    for study, series, instance in (
        (unknown.study, known.series, known.instance),
        (known.study, unknown.series, known.instance),
        (known.study, known.series, unknown.instance),
    ):
        path = f"{studies}/{study}/series/{series}/instances/{instance}"
        assert refusal(get(path, "*/*")) == cannot_be_found("instance")
        assert refusal(get(f"{path}/frames/1", "*/*")) == cannot_be_found("instance")
        assert refusal(get(f"{path}/rendered", "image/jpeg")) == cannot_be_found("instance")


@pytest.mark.parametrize("uid", ["x", "1.2.", "1.2.x", "1" * 65, "%20", "1.2%2F3"])
def test_bad_uids(v2: str, uid: str) -> None:
    """RET-02, RET-06, PLT-117: before anything else, Accept included"""
    good = "1.2.3"
    for path, name in (
        (uid, "StudyInstanceUid"),
        (f"{good}/series/{uid}", "SeriesInstanceUid"),
        (f"{good}/series/{good}/instances/{uid}", "SopInstanceUid"),
    ):
        for accept in ("*/*", "image/gif"):
            assert refusal(get(f"{v2}/studies/{path}", accept)) == (400, BAD_UID.format(name))


@pytest.mark.parametrize("uid", ["1..2", "01.002.3", ".5", "7"])
def test_lenient_uids(v2: str, uid: str) -> None:
    """RET-02: leading zeros and doubled dots pass, and the three may be equal"""
    path = f"{v2}/studies/{uid}/series/{uid}/instances/{uid}"
    assert refusal(get(path, "*/*")) == cannot_be_found("instance")


def test_padded_uids(base_url: str, v2: str) -> None:
    """RET-05: trailing spaces do not matter, in the path or in the file, which keeps them"""
    triple = new_triple()
    content = image(triple)
    put(base_url, content)
    path = f"{v2}/studies/{triple.study}%20/series/{triple.series}%20%20/instances/{triple.instance}%20"
    assert get(path, ORIGINAL).content == content
    padded = new_triple()
    stored = image(padded).replace(padded.study.encode() + b"\0", padded.study.encode() + b" ")
    put(base_url, stored)
    for study in (padded.study, f"{padded.study}%20"):
        [part] = parts_of(get(f"{v2}/studies/{study}", "*/*"))
        assert part.content == stored


@pytest.mark.parametrize(
    "accept",
    [(), ("",), ("application/dicom+json",), ("image/jpeg",), ("multipart/related",), ("application/*",)],
)
def test_accept_comes_before_existence(v2: str, accept: tuple[str, ...]) -> None:
    """RET-06, RET-13, RET-15, RET-17"""
    triple = new_triple()
    for path in (f"/studies/{triple.study}", f"/studies/{triple.study}/series/{triple.series}", triple.path):
        assert refusal(get(v2 + path, *accept)) == (406, NOT_ACCEPTABLE)


def test_single_part_is_for_instances(base_url: str, v2: str) -> None:
    """RET-20"""
    triple = new_triple()
    put(base_url, image(triple))
    for path in (f"/studies/{triple.study}", f"/studies/{triple.study}/series/{triple.series}"):
        assert refusal(get(v2 + path, ORIGINAL)) == (406, NOT_ACCEPTABLE)


def test_accept_lines(base_url: str, v2: str) -> None:
    """RET-12: several lines count as one list; a later literal asterisk wins"""
    triple = new_triple()
    content = image(triple, ImplicitVRLittleEndian)
    put(base_url, content)
    [part] = parts_of(get(v2 + triple.path, PARTS, f"{PARTS}; transfer-syntax=*"))
    assert part.content == content
    [part] = parts_of(get(v2 + triple.path, f"{PARTS}, {PARTS}; transfer-syntax=*;q=0.9"))
    assert part.content_type == f"application/dicom; transfer-syntax={ELE}"


def test_range_is_ignored(base_url: str, v2: str) -> None:
    """RET-08"""
    triple = new_triple()
    content = image(triple)
    put(base_url, content)
    answer = get(v2 + triple.path, ORIGINAL, Range="bytes=0-9")
    assert (answer.status_code, answer.content) == (200, content)
    assert "etag" not in answer.headers


def test_head_is_not_offered(base_url: str, v2: str) -> None:
    """RET-08, PLT-06"""
    triple = new_triple()
    put(base_url, image(triple))
    answer = httpx.head(v2 + triple.path, headers={"Accept": ORIGINAL})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, DELETE")


def test_deleted_and_replaced(base_url: str, v2: str) -> None:
    """RET-09, STO-111: gone at once, or the new one at once, in every form that had been served before"""
    triple = new_triple()
    forms = [
        ("", ORIGINAL),
        ("/frames/1", "application/octet-stream"),
        ("/rendered", "image/png"),
        ("/metadata", "application/dicom+json"),
    ]

    def all_forms() -> list[bytes | int]:
        answers = [get(v2 + triple.path + path, accept) for path, accept in forms]
        return [answer.content if answer.status_code == 200 else answer.status_code for answer in answers]

    put(base_url, image(triple, WindowCenter=500, WindowWidth=1000))
    first = all_forms()
    new = made_image(gradient(20, 20, "u1"), WindowCenter=10, WindowWidth=20)
    new.StudyInstanceUID, new.SeriesInstanceUID, new.SOPInstanceUID = triple.study, triple.series, triple.instance
    assert upsert(base_url, encoded(new)).status == 200
    second = all_forms()
    assert all(before != after for before, after in zip(first, second, strict=True))
    assert second[0] == encoded(new)
    assert second[1] == new.PixelData
    assert httpx.delete(v2 + triple.path).status_code == 204
    assert all_forms() == [404] * len(forms)


def test_transfer_syntax_that_is_no_identifier(base_url: str) -> None:
    """RET-22, RET-23, STO-82: it says nothing, and reaches no header; the file keeps it"""
    dataset = made_image(gradient(4, 6))
    content = encoded(dataset)
    untold = b"1.2\r\nX-Header: one\r\n"
    assert len(untold) == len(ELE) + 1
    content = content.replace(f"{ELE}\0".encode(), untold, 1)
    assert untold in content
    put(base_url, content)
    url = f"{base_url}/v2/studies/{dataset.StudyInstanceUID}"
    path = f"/series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"
    for accept in (ORIGINAL, "application/dicom"):
        answer = get(url + path, accept)
        assert (answer.status_code, answer.headers["content-type"]) == (
            200,
            f"application/dicom; transfer-syntax={ELE}",
        )
        assert answer.content == content
    for level in (url, url + path):
        [part] = parts_of(get(level, "*/*"))
        assert (part.content_type, part.content) == (f"application/dicom; transfer-syntax={ELE}", content)


def test_frame_table_that_overflows(base_url: str) -> None:
    """RET-26, RET-31: it lies in a blob of its own, which is read also where the instance was found in a list"""
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (1300, 1280), "u1")
    runs = [b"\x7f" + row[start : start + 128].tobytes() for row in pixels for start in range(0, 1280, 128)]
    frame = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56) + b"".join(runs)
    frame += bytes(len(frame) % 2)
    ends = [
        *accumulate(random.integers(1, 9, len(frame) // 9).tolist(), lambda end, words: end + 2 * words),
        len(frame),
    ]
    fragments = [frame[start:end] for start, end in pairwise([0, *(end for end in ends if end <= len(frame))])]
    items = [b"\xfe\xff\x00\xe0" + len(fragment).to_bytes(4, "little") + fragment for fragment in [b"", *fragments]]
    dataset = made_image(pixels)
    dataset.PixelData = b"".join(items)
    dataset["PixelData"].is_undefined_length = True
    content = encoded(dataset, RLELossless)
    assert len(parse_instance(content, study=None).frames) > 65536
    put(base_url, content)
    url = f"{base_url}/v2/studies/{dataset.StudyInstanceUID}"
    instance = f"{url}/series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"
    for _ in range(2):
        [part] = parts_of(get(url, PARTS))
        assert pixels.tobytes() in part.content
        answer = get(instance, "application/dicom")
        assert (answer.status_code, answer.content) == (200, part.content)
        assert get(f"{instance}/frames/1", "application/octet-stream").content == pixels.tobytes()
