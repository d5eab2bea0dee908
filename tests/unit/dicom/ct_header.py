"""The header of a CT image as scanners write it: 251 elements, 211 of them at the top, sequences and private blocks."""

from struct import pack

from tests.unit.dicom.encoding import CT_IMAGE, Encoded, Items, encode, part10, text, words

_UID = "1.2.826.0.1.3680043.10.1234.20240102.123456"

_TEXTS = f"""
00080005 CS ISO_IR 100
00080008 CS ORIGINAL\\PRIMARY\\AXIAL\\CT_SOM5 SPI
00080012 DA 20240102
00080013 TM 101530.250000
00080016 UI {CT_IMAGE}
00080018 UI {_UID}.3.17
00080020 DA 20240102
00080021 DA 20240102
00080022 DA 20240102
00080023 DA 20240102
00080030 TM 101012.375000
00080031 TM 101211.468000
00080032 TM 101322.750000
00080033 TM 101322.750000
00080050 SH ACC20240102
00080060 CS CT
00080064 CS WSD
00080070 LO SIEMENS
00080080 LO University Hospital
00080081 ST Main Street 1, 12345 Town
00080090 PN Referring^Physician^^Dr.
00081010 SH CTAWP00001
00081030 LO CT Thorax with contrast
0008103E LO Thorax 1.0 B31f
00081040 LO Radiology
00081048 PN Attending^Physician
00081050 PN Performing^Physician
00081060 PN Reading^Physician
00081070 PN Operator^One
00081080 LO Cough
00081090 LO SOMATOM Definition AS
00082111 ST reconstructed from raw data
00100010 PN Held^Out^Patient
00100020 LO PAT-0001234567
00100021 LO HOSPITAL
00100030 DA 19600517
00100032 TM 000000
00100040 CS M
00101000 LO OTHER-1
00101001 PN Other^Name
00101010 AS 063Y
00101020 DS 1.78
00101030 DS 81.5
00101040 LO Somewhere 1
00102000 LO none known
00102110 LO contrast agents
00102150 LO DE
00102160 SH unknown
00102180 SH teacher
001021A0 CS NO
001021B0 LT Known emphysema; control after six months.
001021C0 US 4
00104000 LT No remarks.
00180010 LO Ultravist 370
00180015 CS CHEST
00180022 CS HELICAL MODE
00180050 DS 1
00180060 DS 120
00180088 DS 0.7
00180090 DS 500
00181000 LO 64321
00181020 LO syngo CT 2012B
00181030 LO ThorRoutine
00181040 LO IV
00181041 DS 80
00181042 TM 101300
00181043 TM 101330
00181044 DS 80
00181046 DS 2.5
00181047 DS 30
00181048 CS IODINE
00181049 DS 370
00181050 DS 0.6
00181100 DS 366
00181110 DS 1085.6
00181111 DS 595
00181120 DS 0
00181130 DS 167
00181140 CS CW
00181150 IS 500
00181151 IS 180
00181152 IS 90
00181160 SH FLAT
00181170 IS 32
00181190 DS 1.2
00181200 DA 20240102
00181201 TM 060000
00181210 SH B31f
00185100 CS HFS
00189311 FD 0.6
00200010 SH 1
0020000D UI {_UID}
0020000E UI {_UID}.3
00200011 IS 3
00200012 IS 4
00200013 IS 17
00200020 CS L\\P
00200032 DS -182.642578125\\-354.642578125\\-225.5
00200037 DS 1\\0\\0\\0\\1\\0
00200052 UI {_UID}.9
00200060 CS U
00201040 LO SN
00201041 DS -225.5
00204000 LT Thorax, inspiration
00280004 CS MONOCHROME2
00280030 DS 0.712890625\\0.712890625
00280301 CS NO
00281050 DS 40\\-600
00281051 DS 400\\1200
00281052 DS -1024
00281053 DS 1
00281054 LO HU
00281055 LO WINDOW1\\WINDOW2
00282110 CS 00
00320032 DA 20240101
00320033 TM 090000
00321032 PN Requesting^Physician
00321033 LO Internal Medicine
00321060 LO CT Thorax
00321070 LO iodine
00324000 LT urgent
00380010 LO ADM-1
00380300 LO Ward 3
00380400 LO Ward 3
00400002 DA 20240102
00400003 TM 100000
00400241 AE CTAWP00001
00400242 SH CT 1
00400243 SH Radiology
00400244 DA 20240102
00400245 TM 101012.375000
00400250 DA 20240102
00400251 TM 103000
00400253 SH 12345
00400254 LO CT Thorax
00400255 LO Chest
00400280 ST nothing to add
00401001 SH RP-1
00401400 LT Interpretation follows
00402016 LO PL-77
00402017 LO FL-78
00402400 LT Comment on the request
00403001 LO none
00880140 UI {_UID}.11
"""

_WORDS = {
    0x00280002: (1,), 0x00280010: (512,), 0x00280011: (512,), 0x00280100: (16,), 0x00280101: (12,),
    0x00280102: (11,), 0x00280103: (0,), 0x00280106: (0,), 0x00280107: (2011,), 0x00189361: (),
}  # fmt: skip


def ct_elements() -> list[Encoded]:
    """The elements in ascending order, without pixel data."""
    elements = [*_texts(), *(words(tag, *values) for tag, values in _WORDS.items()), *_sequences(), *_private()]
    elements.append(Encoded(0x00189310, "FD", pack("<d", 37.25)))
    return sorted(elements, key=lambda element: element.tag)


def ct_file(*, implicit: bool = False, pixels: int = 512 * 1024) -> bytes:
    """A whole file; `pixels` bytes of pixel data."""
    data = bytes(range(256)) * (pixels // 256)
    elements = [*ct_elements(), Encoded(0x7FE00010, "OW", data)]
    syntax = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"
    return part10(encode(elements, implicit=implicit), syntax)


def count(elements: Items) -> int:
    """Elements with those inside sequences."""
    return sum(1 + (0 if isinstance(element.value, bytes) else sum(map(count, element.value))) for element in elements)


def _texts() -> list[Encoded]:
    elements = []
    for line in _TEXTS.strip().splitlines():
        tag, vr, value = line.split(" ", 2)
        if vr == "US":
            elements.append(words(int(tag, 16), int(value)))
        elif vr == "FD":
            elements.append(Encoded(int(tag, 16), vr, pack("<d", float(value))))
        else:
            elements.append(text(int(tag, 16), vr, value))
    return elements


def _code(value: str, meaning: str) -> Items:
    return [text(0x00080100, "SH", value), text(0x00080102, "SH", "SRT"), text(0x00080104, "LO", meaning)]


def _reference(number: int) -> Items:
    return [text(0x00081150, "UI", CT_IMAGE), text(0x00081155, "UI", f"{_UID}.7.{number}")]


def _sequences() -> list[Encoded]:
    request = [
        Encoded(0x00321064, "SQ", [_code("36643-5", "XR chest 2V")]),
        text(0x00400007, "LO", "CT Thorax"),
        Encoded(0x00400008, "SQ", [_code("P5-0808E", "CT of chest")]),
        text(0x00400009, "SH", "SPS-1"),
        text(0x00401001, "SH", "RP-1"),
    ]
    return [
        Encoded(0x00081032, "SQ", [_code("P5-0808E", "CT of chest")]),
        Encoded(0x00081110, "SQ", [_reference(1)]),
        Encoded(0x00081111, "SQ", [_reference(2)]),
        Encoded(0x00081140, "SQ", [_reference(3), _reference(4), _reference(5)]),
        Encoded(0x00082112, "SQ", [_reference(6), _reference(7)]),
        Encoded(0x00082218, "SQ", [_code("T-D3000", "Chest"), _code("T-28000", "Lung")]),
        Encoded(0x00321064, "SQ", [_code("36643-5", "CT chest")]),
        Encoded(0x00400260, "SQ", [_code("P5-0808E", "CT of chest")]),
        Encoded(0x00400275, "SQ", [request]),
    ]


def _private() -> list[Encoded]:
    """Blocks of a manufacturer, as CT scanners add them by the dozen."""
    elements = []
    for group, creator, size in (
        (0x0019, "SIEMENS CT VA0  COAD", 16),
        (0x0021, "SIEMENS MED", 16),
        (0x0029, "SIEMENS CSA HEADER", 12),
    ):
        elements.append(text(group << 16 | 0x10, "LO", creator))
        for number in range(size):
            tag = group << 16 | 0x1000 | number
            kinds = (
                text(tag, "DS", f"{number}.5"),
                text(tag, "IS", str(number * 7)),
                text(tag, "LO", f"value {number}"),
                words(tag, number, number + 1),
            )
            elements.append(kinds[number % 4])
    return elements
