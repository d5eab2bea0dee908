"""What the walk declines, read by pydicom: it knows many ways in which files break the rules.

pydicom only finds the elements; the values become DICOM JSON by the converters of the walk, so that both ways of
reading agree. Whatever pydicom raises means that the file is unreadable (STO-69).
"""

import logging
import threading
import warnings
from dataclasses import replace
from io import BytesIO
from typing import Any

from .charsets import DEFAULT, CharacterSet, character_set
from .coding import coding, first_unsigned, known_vr
from .data_set import PIXELS, DataSet
from .elements import read_elements
from .file_meta import EncodedDataSet
from .json_values import BULK, Element
from .scan import UNDEFINED
from .unreadable import MAX_DEPTH, Declined, UnreadableFile

MAX_UNUSUAL_BYTES = 8 * 1024 * 1024
"""Bytes before the pixel data of a file that pydicom has to read: it is slow, and takes much memory."""

_CHARACTER_SET = 0x00080005
_PIXEL_REPRESENTATION = 0x00280103

_one_at_a_time = threading.Lock()
"""Filters of warnings belong to the process, not to the thread."""


def read_with_pydicom(encoded: EncodedDataSet) -> DataSet:
    """The data set of a file up to its pixel data; raises `UnreadableFile`."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    try:
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(encoded)
    except (UnreadableFile, MemoryError):
        raise
    except Exception as error:
        raise UnreadableFile("pydicom cannot read it") from error


def _read(encoded: EncodedDataSet) -> DataSet:
    from pydicom.filereader import read_dataset

    def begins_pixels(tag: int, vr: str | None, length: int) -> bool:
        return tag in PIXELS

    window = BytesIO(encoded.content[encoded.start : encoded.start + MAX_UNUSUAL_BYTES])
    found = read_dataset(window, encoded.implicit, encoded.order == "<", stop_when=begins_pixels)
    position = encoded.start + window.tell()
    if position >= encoded.start + MAX_UNUSUAL_BYTES:
        raise UnreadableFile(f"unusual, and more than {MAX_UNUSUAL_BYTES} bytes before the pixel data")
    data_set = DataSet()
    _convert(found, data_set)
    if position < len(encoded.content):
        implicit, _ = found.original_encoding
        _take_rest(replace(encoded, start=position, implicit=bool(implicit)), data_set)
    return data_set


def _take_rest(encoded: EncodedDataSet, data_set: DataSet) -> None:
    """The pixel data and what is behind them, which pydicom has not looked at."""
    try:
        rest = read_elements(encoded)
    except Declined as error:
        raise UnreadableFile("neither the walk nor pydicom reads it to its end") from error
    data_set.elements = dict(sorted({**data_set.elements, **rest.elements}.items()))
    data_set.top += rest.top
    data_set.nested += rest.nested
    data_set.bulk.update(rest.bulk)


def _convert(found: Any, data_set: DataSet) -> None:
    """Turns a pydicom data set into ours. What is left to do lies on a stack: sequences may nest deeply."""
    left: list[tuple[Any, dict[str, Element], CharacterSet, bool, int]] = [
        (found, data_set.elements, DEFAULT, False, 0)
    ]
    while left:
        source, elements, characters, signed, depth = left.pop()
        if depth > MAX_DEPTH:
            raise UnreadableFile(f"more than {MAX_DEPTH} levels of sequences")
        notes = data_set.nested if depth else data_set.top
        # Before a sequence is asked for: pydicom then decodes some values in place.
        raws = {int(tag): source.get_item(tag, keep_deferred=True) for tag in sorted(source.keys())}
        characters = character_set(_raw_value(raws, _CHARACTER_SET), characters)
        signed = any(_raw_value(raws, _PIXEL_REPRESENTATION)) if _PIXEL_REPRESENTATION in raws else signed
        for tag, raw in raws.items():
            if tag & 0xFFFF == 0 or tag >> 16 == 2:
                continue
            vr = _vr(tag, raw.VR, elements, signed)
            value = b"" if vr in BULK or vr == "SQ" else _value(tag, raw)
            notes.append((tag, vr, value, characters))
            if vr == "SQ":
                items = elements[f"{tag:08X}"] = {"vr": "SQ"}
                for item in source[tag].value:
                    converted: dict[str, Element] = {}
                    items.setdefault("Value", []).append(converted)
                    left.append((item, converted, characters, signed, depth + 1))
            elif vr not in BULK:
                convert = coding(False, "<" if raw.is_little_endian else ">").convert[vr]
                elements[f"{tag:08X}"] = element = convert(value, characters)
                first_unsigned(tag, element)


def _vr(tag: int, vr: str | None, elements: dict[str, Element], signed: bool) -> str:
    """The VR by which an element is read, given that in the file."""
    if vr is None or vr == "UN":
        vr = known_vr(tag, elements)
    if vr == "US or SS":
        return "SS" if signed else "US"
    return vr if vr in BULK or vr == "SQ" or vr in coding(False, "<").convert else "OW"


def _value(tag: int, raw: Any) -> bytes:
    value = raw.value or b""
    if raw.length not in (UNDEFINED, len(value)):
        raise UnreadableFile(f"{tag:08X} is cut off")
    return bytes(value)


def _raw_value(raws: dict[int, Any], tag: int) -> bytes:
    value = getattr(raws.get(tag), "value", None)
    if isinstance(value, str):  # pydicom reads the character set of items at once
        return value.encode("latin-1")
    return value if isinstance(value, bytes) else b""
