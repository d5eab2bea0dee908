"""Accept negotiation: every row of the tables of RET-20, RET-42, RET-60 and RET-80."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dicomweb.accept import (
    FRAMES,
    OBJECTS,
    SINGLE_OBJECT,
    Choice,
    MediaRange,
    Offer,
    covers_dicom_json,
    negotiate,
    parse,
    picture_type,
)
from shared.errors import NotAcceptable

pytestmark = pytest.mark.unit

ELE = "1.2.840.10008.1.2.1"
J2KL = "1.2.840.10008.1.2.4.90"
BASELINE = "1.2.840.10008.1.2.4.50"
IMPLICIT = "1.2.840.10008.1.2"

DICOM = "application/dicom"
OCTETS = "application/octet-stream"
NO = None


def choice(offers: tuple[Offer, ...], *headers: str) -> tuple[str, str, bool] | None:
    try:
        chosen = negotiate(headers, offers)
    except NotAcceptable:
        return None
    return chosen.media_type, chosen.transfer_syntax, chosen.multipart


@pytest.mark.parametrize(
    ("header", "many", "single"),
    [
        # RET-20, row 1
        ('multipart/related; type="application/dicom"', (DICOM, ELE, True), (DICOM, ELE, True)),
        ('multipart/related; type="application/dicom"; transfer-syntax=*', (DICOM, "*", True), (DICOM, "*", True)),
        (f'multipart/related; type="application/dicom"; transfer-syntax={ELE}', (DICOM, ELE, True), (DICOM, ELE, True)),
        (
            f'multipart/related; type="application/dicom"; transfer-syntax={J2KL}',
            (DICOM, J2KL, True),
            (DICOM, J2KL, True),
        ),
        # row 2
        ("application/dicom", NO, (DICOM, ELE, False)),
        ("application/dicom; transfer-syntax=*", NO, (DICOM, "*", False)),
        (f"application/dicom; transfer-syntax={ELE}", NO, (DICOM, ELE, False)),
        (f"application/dicom; transfer-syntax={J2KL}", NO, (DICOM, J2KL, False)),
        # row 3 and RET-14
        ("*/*", (DICOM, "*", True), (DICOM, "*", True)),
        ("*/*; transfer-syntax=*", (DICOM, "*", True), (DICOM, "*", True)),
        (f"*/*; transfer-syntax={ELE}", (DICOM, ELE, True), (DICOM, ELE, True)),
        (f"*/*; transfer-syntax={J2KL}", (DICOM, J2KL, True), (DICOM, J2KL, True)),
        (f"*/*; transfer-syntax={BASELINE}", NO, NO),
        ('multipart/related; type="*/*"', (DICOM, "*", True), (DICOM, "*", True)),
        (f'multipart/related; type="*/*"; transfer-syntax={ELE}', (DICOM, ELE, True), (DICOM, ELE, True)),
        # row 4
        ("application/octet-stream", NO, NO),
        ('multipart/related; type="application/octet-stream"', NO, NO),
        ('multipart/related; type="application/octet-stream"; transfer-syntax=*', NO, NO),
        ("image/jpeg", NO, NO),
        ("image/*", NO, NO),
        # RET-15
        ("multipart/related", NO, NO),
        ("multipart/related; transfer-syntax=*", NO, NO),
        ("application/*", NO, NO),
        ("text/*", NO, NO),
        ("multipart/*", NO, NO),
        # RET-16
        (f"application/dicom; transfer-syntax={IMPLICIT}", NO, NO),
        (f'multipart/related; type="application/dicom"; transfer-syntax={BASELINE}', NO, NO),
        ("application/dicom; transfer-syntax=", NO, NO),
        # RET-17
        ("application/dicom+json", NO, NO),
        ('multipart/related; type="application/dicom+json"', NO, NO),
        # RET-13 and what cannot be read
        ("", NO, NO),
        ("dicom", NO, NO),
        (";;;", NO, NO),
    ],
)
def test_objects(header: str, many: tuple[str, str, bool] | None, single: tuple[str, str, bool] | None) -> None:
    """RET-10, RET-13, RET-14, RET-15, RET-16, RET-17, RET-20, RET-25"""
    assert choice(OBJECTS, header) == many
    assert choice(SINGLE_OBJECT, header) == single


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # row 1
        ('multipart/related; type="application/octet-stream"', (OCTETS, ELE, True)),
        ('multipart/related; type="application/octet-stream"; transfer-syntax=*', (OCTETS, "*", True)),
        (f'multipart/related; type="application/octet-stream"; transfer-syntax={ELE}', (OCTETS, ELE, True)),
        # row 2
        ("application/octet-stream", (OCTETS, ELE, False)),
        ("application/octet-stream; transfer-syntax=*", (OCTETS, "*", False)),
        (f"application/octet-stream; transfer-syntax={ELE}", (OCTETS, ELE, False)),
        # row 3
        ('multipart/related; type="image/jp2"', ("image/jp2", J2KL, True)),
        (f'multipart/related; type="image/jp2"; transfer-syntax={J2KL}', ("image/jp2", J2KL, True)),
        # row 4
        ("*/*", (OCTETS, "*", True)),
        ("*/*; transfer-syntax=*", (OCTETS, "*", True)),
        (f"*/*; transfer-syntax={ELE}", (OCTETS, ELE, True)),
        ('multipart/related; type="*/*"', (OCTETS, "*", True)),
        # everything else
        ("image/jp2", NO),
        (f"image/jp2; transfer-syntax={J2KL}", NO),
        ('multipart/related; type="image/jp2"; transfer-syntax=*', NO),
        (f'multipart/related; type="image/jp2"; transfer-syntax={ELE}', NO),
        ("application/dicom", NO),
        ('multipart/related; type="application/dicom"', NO),
        ("image/jpeg", NO),
        ('multipart/related; type="image/jpeg"', NO),
        ("image/png", NO),
        (f"application/octet-stream; transfer-syntax={J2KL}", NO),
        (f'multipart/related; type="application/octet-stream"; transfer-syntax={J2KL}', NO),
        (f"*/*; transfer-syntax={J2KL}", NO),
        ("multipart/related", NO),
        ("", NO),
    ],
)
def test_frames(header: str, expected: tuple[str, str, bool] | None) -> None:
    """RET-13, RET-14, RET-42"""
    assert choice(FRAMES, header) == expected


def test_no_header_line() -> None:
    """RET-12, RET-13"""
    with pytest.raises(NotAcceptable, match=r"^The request headers are not acceptable$"):
        negotiate([], OBJECTS)
    assert choice(OBJECTS) is NO
    assert choice(SINGLE_OBJECT) is NO
    assert choice(FRAMES) is NO


@pytest.mark.parametrize(
    "header",
    [
        "multipart/related; type=application/octet-stream; transfer-syntax=*",  # OHIF as shipped
        'multipart/related; type="application/octet-stream"; transfer-syntax="*"',  # OHIF with quotation marks
        'MULTIPART/Related;TYPE="Application/Octet-Stream";Transfer-Syntax=*',
        "multipart/related;transfer-syntax=*;q=0.9;type=application/octet-stream",
        'multipart/related ; boundary="a,b;c" ; type = "application/octet-stream" ; transfer-syntax = *',
        # npm dicomweb-client with its list of media types
        'multipart/related; type="image/jls"; transfer-syntax=1.2.840.10008.1.2.4.80, '
        'multipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50, '
        'multipart/related; type="application/octet-stream"; transfer-syntax=*',
    ],
)
def test_spelling(header: str) -> None:
    """RET-10, RET-11"""
    assert choice(FRAMES, header) == (OCTETS, "*", True)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        # quality decides, position among equals; what the resource does not have is skipped
        ([f"application/dicom;q=0.1, */*; transfer-syntax={J2KL};q=0.2"], (DICOM, J2KL, True)),
        (["image/png, application/dicom;q=0.5"], (DICOM, ELE, False)),
        ([f"application/dicom, */*; transfer-syntax={J2KL}"], (DICOM, ELE, False)),
        (["application/dicom;q=0"], (DICOM, ELE, False)),
        (["application/dicom;q=0, */*;q=0.1"], (DICOM, "*", True)),
        # a later literal asterisk of the same quality takes over, a default one and one of lower quality do not
        (["application/dicom, application/dicom; transfer-syntax=*"], (DICOM, "*", False)),
        (
            [
                'multipart/related; type="application/dicom", '
                'multipart/related; type="application/dicom"; transfer-syntax=*'
            ],
            (DICOM, "*", True),
        ),
        (["application/dicom, */*"], (DICOM, ELE, False)),
        (["application/dicom, application/dicom; transfer-syntax=*; q=0.9"], (DICOM, ELE, False)),
        (["application/dicom; q=0.4, */*; transfer-syntax=*; q=0.4"], (DICOM, "*", True)),
        # lines add up as entries do
        (["application/dicom", "*/*; transfer-syntax=*"], (DICOM, "*", True)),
        # a quality that cannot be read counts as none
        ([f"application/dicom; q=high, */*; transfer-syntax={J2KL}; q=0.9"], (DICOM, ELE, False)),
        ([f"application/dicom; q=7, */*; transfer-syntax={J2KL}; q=0.9"], (DICOM, ELE, False)),
    ],
)
def test_several_entries(headers: list[str], expected: tuple[str, str, bool]) -> None:
    """RET-12"""
    assert choice(SINGLE_OBJECT, *headers) == expected


def test_each_entry_is_judged_by_itself() -> None:
    """RET-12"""
    header = f'multipart/related; type="image/jp2"; transfer-syntax={J2KL}, application/octet-stream; transfer-syntax=*'
    assert choice(FRAMES, header) == (OCTETS, "*", False)


@pytest.mark.parametrize(
    ("headers", "covered"),
    [
        (["application/dicom+json"], True),
        (["Application/DICOM+JSON; transfer-syntax=*"], True),
        (["application/dicom+json, application/json"], True),
        (["application/json"], True),
        (["application/*"], True),
        (["*/*"], True),
        (["text/html, */*;q=0"], True),
        (["text/html", "application/json"], True),
        (["application/dicom"], False),
        (["application/data"], False),
        (["application/dicom+xml"], False),
        (['multipart/related; type="application/dicom+json"'], False),
        (['multipart/related; type="application/dicom"'], False),
        (["image/png"], False),
        (["json"], False),
        ([""], False),
        ([], False),
    ],
)
def test_dicom_json(headers: list[str], covered: bool) -> None:
    """RET-60, QRY-03, STO-10, STO-11"""
    assert covers_dicom_json(headers) is covered


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], "image/jpeg"),
        (["image/jpeg"], "image/jpeg"),
        (["image/png"], "image/png"),
        (["IMAGE/Png; q=0.1; transfer-syntax=*"], "image/png"),
    ],
)
def test_picture(headers: list[str], expected: str) -> None:
    """RET-13, RET-80"""
    assert picture_type(headers) == expected


NONE_FITS = "The request headers are not acceptable"
TOO_MANY = "The request contains multiple accept headers, which is not supported."


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        (["*/*"], NONE_FITS),
        (["image/*"], NONE_FITS),
        (["image/gif"], NONE_FITS),
        (["application/jpeg"], NONE_FITS),
        (["jpeg"], NONE_FITS),
        (['multipart/related; type="image/jpeg"'], NONE_FITS),
        (["image/jpeg, image/png"], TOO_MANY),
        (["image/jpeg", "image/jpeg"], TOO_MANY),
        (["image/jxl,image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"], TOO_MANY),
    ],
)
def test_picture_refused(headers: list[str], text: str) -> None:
    """RET-80"""
    with pytest.raises(NotAcceptable) as refusal:
        picture_type(headers)
    assert str(refusal.value) == text


@settings(max_examples=300)
@given(st.lists(st.text(max_size=60), max_size=3))
def test_any_text_is_taken(headers: list[str]) -> None:
    """RET-12: nothing that a client may send ends in another exception; 300 examples"""
    covers_dicom_json(headers)
    for offers in (OBJECTS, SINGLE_OBJECT, FRAMES):
        choice(offers, *headers)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["type", "transfer-syntax", "profile"]), st.text(min_size=1, max_size=20)))
def test_quoted_parameters_come_back(parameters: dict[str, str]) -> None:
    """RET-11: whatever a quoted value holds, commas, semicolons and quotation marks; 200 examples"""
    written = "".join(
        f'; {name}="{value.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
        for name, value in parameters.items()
    )
    stripped = {name: value.strip() for name, value in parameters.items()}
    assert parse([f"a/b{written}, c/d"]) == (MediaRange("a/b", stripped), MediaRange("c/d"))


def test_choice_is_a_value() -> None:
    """RET-12: equal requests, equal choices"""
    assert negotiate(["*/*"], FRAMES) == Choice(OCTETS, "*", True)
