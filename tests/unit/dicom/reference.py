"""DICOM JSON of a file by pydicom, with the differences that the service makes: the oracle of the walk.

Written as plainly as can be. pydicom says which elements there are, of which VR and in which character set.
"""

import warnings
from contextlib import suppress
from io import BytesIO
from typing import Any

import pydicom
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataset import Dataset
from pydicom.valuerep import TEXT_VR_DELIMS

BULK = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
STRINGS = {"AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR"}
TEXTS = {"LO", "LT", "SH", "ST", "UC", "UT"}
UNDIVIDED = {"LT", "ST", "UR", "UT"}


def reference_json(content: bytes) -> dict[str, Any]:
    """The JSON that a file should give; raises whatever pydicom raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _data_set(pydicom.dcmread(BytesIO(content), force=True), ["iso8859"])


def _data_set(data_set: Dataset, around: list[str]) -> dict[str, Any]:
    encodings = around
    raw_values = {tag: getattr(data_set.get_item(tag), "value", None) for tag in data_set.keys()}  # noqa: SIM118
    if data_set.get("SpecificCharacterSet"):
        encodings = convert_encodings(data_set.SpecificCharacterSet)
    result: dict[str, Any] = {}
    for tag in sorted(data_set.keys()):
        element = data_set[tag]
        if element.VR in BULK or tag.element == 0 or tag.group == 2:
            continue
        key = f"{int(tag):08X}"
        if element.VR == "SQ":
            items = [_data_set(item, encodings) for item in element.value]
            result[key] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        elif element.VR in STRINGS | TEXTS | {"DS", "IS"}:
            result[key] = _strings(element.VR, _raw(raw_values[tag]), encodings)
        else:
            result[key] = _without_empty(element.to_json_dict(None, 0))
    return result


def _raw(value: Any) -> bytes:
    """The encoded value. Of Specific Character Set pydicom has only the decoded one."""
    if value is None or isinstance(value, bytes):
        return value or b""
    return (value if isinstance(value, str) else "\\".join(value)).encode("latin-1")


def _strings(vr: str, raw: bytes, encodings: list[str]) -> dict[str, Any]:
    text = decode_bytes(raw, encodings, TEXT_VR_DELIMS) if vr in TEXTS else raw.decode("latin-1")
    text = text.rstrip("\0") if vr == "UI" else text.rstrip(" ")
    if not text:
        return {"vr": vr}
    values: list[Any] = [text] if vr in UNDIVIDED else [value or None for value in text.split("\\")]
    if vr in ("DS", "IS"):
        number = float if vr == "DS" else int
        with suppress(ValueError):
            values = [value and number(value) for value in values]
    return {"vr": vr, "Value": values}


def _without_empty(element: dict[str, Any]) -> dict[str, Any]:
    if "Value" in element:
        values = element["Value"] if isinstance(element["Value"], list) else [element["Value"]]
        values = [value if value not in ({}, "") else None for value in values]
        return {"vr": element["vr"]} if values in ([], [None]) else {"vr": element["vr"], "Value": values}
    return element
