"""Specific Character Set (RET-69)."""

import pytest

from shared.dicom.charsets import DEFAULT, character_set

pytestmark = pytest.mark.unit

NAMES = {
    "ISO_IR 100": ("latin-1", "Äneas^Rüdiger"),
    "ISO_IR 101": ("iso8859-2", "Wałęsa"),
    "ISO_IR 109": ("iso8859-3", "ħĝ"),
    "ISO_IR 110": ("iso8859-4", "ģķ"),
    "ISO_IR 144": ("iso8859-5", "Люкceмбypг"),
    "ISO_IR 127": ("iso8859-6", "قباني^لنزار"),
    "ISO_IR 126": ("iso8859-7", "Διονυσιος"),
    "ISO_IR 138": ("iso8859-8", "שרון^דבורה"),
    "ISO_IR 148": ("iso8859-9", "Çavuşoğlu"),
    "ISO_IR 203": ("iso8859-15", "Œuvre €"),
    "ISO_IR 166": ("iso8859-11", "นามสกุล"),
    "ISO_IR 13": ("shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    "ISO_IR 192": ("utf-8", "Wang^XiaoDong=王^小东"),
    "GB18030": ("gb18030", "Wang^XiaoDong=王^小东"),
    "GBK": ("gbk", "王^小东"),
}


@pytest.mark.parametrize("term", NAMES)
@pytest.mark.parametrize("padding", ["", " "])
def test_single_terms(term: str, padding: str) -> None:
    codec, name = NAMES[term]
    characters = character_set((term + padding).encode())
    assert characters.text(name.encode(codec)) == characters.name(name.encode(codec)) == name


@pytest.mark.parametrize("term", ["ISO IR 126", "ISO-IR 126"])
def test_common_slips(term: str) -> None:
    assert character_set(term.encode()).text("Διονυσιος".encode("iso8859-7")) == "Διονυσιος"


@pytest.mark.parametrize("value", [b"", b"  ", b"FOO", b"ISO_IR 999", b"iso_ir 126", b"\xff\xff", b"\\"])
def test_what_is_unknown_counts_as_absent(value: bytes) -> None:
    """The enclosing data set's character set holds on."""
    greek = character_set(b"ISO_IR 126")
    assert character_set(value) is DEFAULT
    assert character_set(value, greek) is greek


def test_no_character_set_is_read_as_latin_1() -> None:
    assert DEFAULT.text(bytes(range(256))) == bytes(range(256)).decode("latin-1")


def test_what_cannot_be_decoded_is_replaced() -> None:
    assert character_set(b"ISO_IR 192").text(b"a\xffb") == "a\ufffdb"
    assert character_set(b"ISO_IR 126").text(b"a\xffb") == "a\ufffdb"
    assert character_set(b"\\ISO 2022 IR 87").text(b"\x1b$B\xff\xff\x1b(Bx").endswith("x")


@pytest.mark.parametrize("codec", ["gb18030", "gbk"])
def test_byte_5c_in_a_character_is_no_separator(codec: str) -> None:
    name = "誠\\乗"
    encoded = name.encode(codec)
    assert encoded.count(b"\\") > 1
    assert character_set(codec.upper().encode()).text(encoded) == name


def test_byte_5c_in_a_japanese_character_is_no_separator() -> None:
    encoded = "構造".encode("iso2022_jp")
    inside = encoded[3:-3]
    assert len(inside) == 4
    for second in (0x5C, 0x3D, 0x5E):
        # Any character of JIS X 0208 whose second byte is a delimiter in ASCII.
        value = b"A\x1b$B" + bytes((0x30, second)) + b"\x1b(B\\B"
        text = character_set(b"\\ISO 2022 IR 87").name(value)
        assert text.count("\\") == 1
        assert len(text) == 4


def test_code_extensions() -> None:
    """PS3.5 annexes H, I and K: the examples of the standard."""
    japanese = character_set(b"\\ISO 2022 IR 87")
    kanji = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
    assert japanese.name(kanji) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    katakana = character_set(b"ISO 2022 IR 13\\ISO 2022 IR 87")
    name = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"
    assert katakana.name(name) == "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"
    korean = character_set(b"\\ISO 2022 IR 149")
    name = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
    assert korean.name(name) == "Hong^Gildong=洪^吉洞=홍^길동"
    chinese = character_set(b"\\ISO 2022 IR 58")
    assert chinese.name(b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=") == "Zhang^XiaoDong=张^小东="


def test_delimiters_end_an_escape_sequence() -> None:
    """PS3.5 6.1.2.5.3: carets and equals signs only in person names."""
    mixed = character_set(b"ISO 2022 IR 100\\ISO 2022 IR 126")
    value = b"\x1b-F\xe1^\xe4"
    assert mixed.name(value) == "α^ä"
    assert mixed.text(value) == "α^δ"
    assert mixed.text(b"\x1b-F\xe1\\\xe4") == "α\\ä"
    assert mixed.text(b"\x1b-F\xe1\r\n\xe4") == "α\r\nä"


def test_unknown_escape_sequences_stay() -> None:
    assert character_set(b"\\ISO 2022 IR 87").text(b"a\x1b%Gb") == "a\x1b%Gb"
    assert character_set(b"ISO_IR 100").text(b"a\x1b$Bb") == "a\x1b$Bb"


def test_sets_that_stand_alone() -> None:
    """PS3.3 C.12.1.1.2: what is beside them is passed over, or they are where they are not first."""
    assert character_set(b"ISO_IR 192\\ISO 2022 IR 87").text("é".encode()) == "é"
    assert character_set(b"ISO_IR 100\\ISO_IR 192").text(b"\xe9") == "é"
