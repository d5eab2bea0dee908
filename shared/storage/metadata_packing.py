"""DICOM JSON as it lies in a row: compressed where rows should be small, as it is where time counts more.

The first byte tells the form, so that rows written by either engine, or by an older version, stay readable.
"""

import zlib

PLAIN = b"\x00"
DEFLATED = b"\x01"

_LEVEL = 3

_COMMON = (
    ("7FE00010", "OW"), ("00209157", "UL"), ("52009230", "SQ"), ("52009229", "SQ"), ("00400275", "SQ"),
    ("00400254", "LO"), ("00400253", "SH"), ("00400245", "TM"), ("00400244", "DA"), ("00082218", "SQ"),
    ("00089215", "SQ"), ("00321060", "LO"), ("00280002", "US"), ("00281052", "DS"), ("00281053", "DS"),
    ("00281054", "LO"), ("00281055", "LO"), ("00281050", "DS"), ("00281051", "DS"), ("00280106", "US"),
    ("00280107", "US"), ("00280120", "SS"), ("00282110", "CS"), ("00280030", "DS"), ("00280034", "IS"),
    ("00280006", "US"), ("00280008", "IS"), ("00201041", "DS"), ("00201040", "LO"), ("00200060", "CS"),
    ("00200100", "IS"), ("00201002", "IS"), ("00185100", "CS"), ("00181210", "SH"), ("00181190", "DS"),
    ("00181170", "IS"), ("00181160", "SH"), ("00181152", "IS"), ("00181151", "IS"), ("00181150", "IS"),
    ("00181140", "CS"), ("00181130", "DS"), ("00181120", "DS"), ("00181111", "DS"), ("00181110", "DS"),
    ("00181100", "DS"), ("00181030", "LO"), ("00181020", "LO"), ("00181000", "LO"), ("00180090", "DS"),
    ("00180060", "DS"), ("00180050", "DS"), ("00180022", "CS"), ("00180015", "CS"), ("00180010", "LO"),
    ("00101030", "DS"), ("00101020", "DS"), ("001021B0", "LT"), ("00081155", "UI"), ("00081150", "UI"),
    ("00081140", "SQ"), ("00081115", "SQ"), ("00081111", "SQ"), ("00081110", "SQ"), ("00081070", "PN"),
    ("00081060", "PN"), ("00081050", "PN"), ("00081048", "PN"), ("00081010", "SH"), ("00080080", "LO"),
    ("00080081", "ST"), ("00080012", "DA"), ("00080013", "TM"), ("00080102", "SH"), ("00080104", "LO"),
)  # fmt: skip

_TYPICAL = (
    '{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00080005":{"vr":"CS","Value":["ISO_IR 100"]},'
    '"00080008":{"vr":"CS","Value":["DERIVED","SECONDARY","ORIGINAL","PRIMARY","AXIAL"]},'
    '"00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.7.3"]},'
    '"00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.4"]},'
    '"00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.2"]},"00080018":{"vr":"UI","Value":["1.2.826.0.1.'
    '"]},"00080020":{"vr":"DA","Value":["20260"]},"00080021":{"vr":"DA","Value":["20250'
    '"]},"00080022":{"vr":"DA","Value":["20240"]},"00080023":{"vr":"DA","Value":["2023'
    '"]},"00080030":{"vr":"TM","Value":["1"]},"00080031":{"vr":"TM","Value":["0"]},"00080032":{"vr":"TM","Value":["'
    '"]},"00080033":{"vr":"TM","Value":["1"]},"00080050":{"vr":"SH","Value":["A"]},'
    '"00080060":{"vr":"CS","Value":["MR"]},"00080060":{"vr":"CS","Value":["CT"]},"00080070":{"vr":"LO","Value":["'
    '"]},"00080090":{"vr":"PN","Value":[{"Alphabetic":"'
    '"}]},"00081030":{"vr":"LO","Value":["CT "]},"0008103E":{"vr":"LO","Value":["'
    '"]},"00081090":{"vr":"LO","Value":["'
    '"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"'
    '"}]},"00100020":{"vr":"LO","Value":["'
    '"]},"00100030":{"vr":"DA","Value":["19'
    '"]},"00100040":{"vr":"CS","Value":["M"]},"00101010":{"vr":"AS","Value":["0'
    'Y"]},"0020000D":{"vr":"UI","Value":["2.25.'
    '"]},"0020000E":{"vr":"UI","Value":["1.3.'
    '"]},"00200010":{"vr":"SH","Value":["1"]},"00200011":{"vr":"IS","Value":[1]},"00200012":{"vr":"IS","Value":[1]},'
    '"00200013":{"vr":"IS","Value":[1]},"00200032":{"vr":"DS","Value":[-250.0,-'
    ']},"00200037":{"vr":"DS","Value":[1.0,0.0,0.0,0.0,1.0,0.0]},"00200052":{"vr":"UI","Value":["'
    '"]},"00280002":{"vr":"US","Value":[1]},"00280004":{"vr":"CS","Value":["RGB"]},'
    '"00280004":{"vr":"CS","Value":["MONOCHROME2"]},"00280010":{"vr":"US","Value":[512]},'
    '"00280011":{"vr":"US","Value":[512]},"00280030":{"vr":"DS","Value":[0.'
    ']},"00280100":{"vr":"US","Value":[16]},"00280101":{"vr":"US","Value":[16]},"00280102":{"vr":"US","Value":[15]},'
    '"00280103":{"vr":"US","Value":[0]},"00281050":{"vr":"DS","Value":[40.0]},"00281051":{"vr":"DS","Value":[400.0]},'
    '"00281052":{"vr":"DS","Value":[-1024.0]},"00281053":{"vr":"DS","Value":[1.0]}}'
)

DICTIONARY = ("".join(f'"]}},"{tag}":{{"vr":"{vr}","Value":["' for tag, vr in _COMMON) + _TYPICAL).encode()
"""Preset dictionary: what most frequent metadata look like. It is part of the form of stored rows: a change of it
needs a new form byte."""


def pack(metadata: bytes, *, compact: bool) -> bytes:
    """`metadata` is a DICOM JSON object; `compact` asks for the smallest form."""
    if not compact:
        return PLAIN + metadata
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=DICTIONARY)
    return DEFLATED + deflate.compress(metadata) + deflate.flush()


def unpack(packed: bytes) -> bytes:
    """The DICOM JSON object; an empty one for an empty value."""
    if packed[:1] == DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS, zdict=DICTIONARY).decompress(packed[1:])
    return packed[1:] or b"{}"
