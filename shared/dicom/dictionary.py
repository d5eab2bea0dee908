"""The data dictionaries (PS3.6, and the private ones that are known): VR, multiplicity and name of a tag.

The tables are pydicom's generated ones. They are executed by themselves, because importing the package costs fifty
times as long and brings numpy with it.
"""

import importlib.util
import re
import sys
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

Entry = tuple[str, str, str, str, str]
"""VR (`US or SS` if it depends on other attributes), multiplicity, name, `Retired` or nothing, keyword."""


class Multiplicity(NamedTuple):
    """How many values an attribute may have: from `least` to `most` (PS3.5 6.4). Steps as in 2-2n are not told."""

    least: int
    most: float
    text: str


@cache
def public() -> Mapping[int, Entry]:
    """Every attribute of PS3.6 but the repeating groups, by tag."""
    entries: Mapping[int, Entry] = _table("_dicom_dict").DicomDictionary
    return entries


@lru_cache(maxsize=4096)
def entry(tag: int) -> Entry | None:
    """What PS3.6 says of `tag`, repeating groups such as (60xx,0010) included."""
    found = public().get(tag)
    if found is None and not tag >> 16 & 1:
        for mask, pattern, repeated in _repeaters():
            if tag & mask == pattern:
                return repeated
    return found


def vr(tag: int) -> str | None:
    """The VR of a public attribute, None if there is no such."""
    found = entry(tag)
    return found[0] if found else None


@lru_cache(maxsize=4096)
def private_vr(tag: int, creator: str) -> str | None:
    """The VR of a private attribute in the block of `creator`, None if no dictionary knows it."""
    block: Mapping[str, tuple[str, str, str, str]] = _table("_private_dict").private_dictionaries.get(creator, {})
    group, number = f"{tag >> 16:04X}", f"{tag & 0xFFFF:04X}"
    for key in (f"{group}{number}", f"{group}xx{number[2:]}", f"{group[:2]}xxxx{number[2:]}"):
        if key in block:
            return block[key][0]
    return None


@lru_cache(maxsize=256)
def multiplicity(text: str) -> Multiplicity:
    """Reads a multiplicity as the dictionary writes it: `1`, `1-n`, `2-2n`, `4-5`."""
    least, _, most = text.partition("-")
    return Multiplicity(int(least), _number(most or least), text)


@cache
def multiplicities() -> Mapping[int, Multiplicity]:
    """The multiplicity of every attribute of `public`, by tag."""
    return {tag: multiplicity(found[1]) for tag, found in public().items()}


def _number(text: str) -> float:
    return float("inf") if text.endswith("n") else int(text)


@cache
def _repeaters() -> tuple[tuple[int, int, Entry], ...]:
    entries: Mapping[str, Entry] = _table("_dicom_dict").RepeatersDictionary
    return tuple(
        (int(re.sub("[^x]", "F", tag).replace("x", "0"), 16), int(tag.replace("x", "0"), 16), found)
        for tag, found in entries.items()
    )


@cache
def _table(name: str) -> ModuleType:
    if "pydicom" not in sys.modules:
        package = importlib.util.find_spec("pydicom")
        places = (package.submodule_search_locations or ()) if package else ()
        for path in (Path(place) / f"{name}.py" for place in places):
            if path.is_file():
                return _executed(f"{__name__}.{name}", path)
    return importlib.import_module(f"pydicom.{name}")


def _executed(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
