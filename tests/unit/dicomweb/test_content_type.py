"""Content-Type values as clients write them (STO-17)."""

import pytest

from shared.dicomweb.content_type import ContentType, parse_content_type

pytestmark = pytest.mark.unit

DICOM = "application/dicom"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("application/dicom", ContentType("application/dicom")),
        (" Application/DICOM ;", ContentType("application/dicom")),
        ("multipart/related; type=application/dicom; boundary=abc", {"type": DICOM, "boundary": "abc"}),
        ('multipart/related; type="application/dicom"; boundary="a b;c"', {"type": DICOM, "boundary": "a b;c"}),
        ("MULTIPART/RELATED;TYPE=application/dicom;Boundary=ABC", {"type": DICOM, "boundary": "ABC"}),
        ("multipart/related; boundary=----=_Part_1=x", {"boundary": "----=_Part_1=x"}),
        ("multipart/related; boundary = abc ; x", {"boundary": "abc"}),
        (r'multipart/related; boundary="a\"b\\c"', {"boundary": 'a"b\\c'}),
        ("multipart/related; boundary=a'b(c)+_,./:?", {"boundary": "a'b(c)+_,./:?"}),
        ("multipart/related; boundary=first; boundary=appended", {"boundary": "appended"}),
        ('multipart/related; boundary=""', {"boundary": ""}),
        ("multipart/related; boundary=", {"boundary": ""}),
        ("multipart/related", {}),
        ("", None),
        ("dicom", None),
        ("application/", None),
        ("/dicom", None),
        ("text plain/x", None),
    ],
)
def test_values(value: str, expected: ContentType | dict[str, str] | None) -> None:
    """STO-17: quoted or bare, any letter case, the last of two."""
    if isinstance(expected, dict):
        expected = ContentType("multipart/related", expected)
    assert parse_content_type(value) == expected
