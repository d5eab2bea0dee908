"""The attributes that searches filter on and return by default, by level (QRY-13, QRY-50, QRY-55).

Tags are eight upper-case hex digits, as in DICOM JSON (PS3.18 F.2.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """The levels of the query information model (PS3.4 C.6), from top to bottom."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"

    __hash__ = object.__hash__
    """Each is there once; `Enum` hashes names, in Python."""


@dataclass(frozen=True, slots=True)
class SearchableAttribute:
    """An attribute that can be searched without an extended query tag."""

    tag: str
    keyword: str
    vr: str
    level: Level


MODALITY = "00080060"
MODALITIES_IN_STUDY = "00080061"

SEARCHABLE: Mapping[str, SearchableAttribute] = {
    tag: SearchableAttribute(tag, keyword, vr, level)
    for tag, keyword, vr, level in (
        ("0020000D", "StudyInstanceUID", "UI", Level.STUDY),
        ("00080020", "StudyDate", "DA", Level.STUDY),
        ("00081030", "StudyDescription", "LO", Level.STUDY),
        ("00080050", "AccessionNumber", "SH", Level.STUDY),
        ("00100020", "PatientID", "LO", Level.STUDY),
        ("00100010", "PatientName", "PN", Level.STUDY),
        ("00100030", "PatientBirthDate", "DA", Level.STUDY),
        ("00080090", "ReferringPhysicianName", "PN", Level.STUDY),
        (MODALITIES_IN_STUDY, "ModalitiesInStudy", "CS", Level.STUDY),
        ("0020000E", "SeriesInstanceUID", "UI", Level.SERIES),
        (MODALITY, "Modality", "CS", Level.SERIES),
        ("00400244", "PerformedProcedureStepStartDate", "DA", Level.SERIES),
        ("00081090", "ManufacturerModelName", "LO", Level.SERIES),
        ("00080018", "SOPInstanceUID", "UI", Level.INSTANCE),
    )
}
"""By tag (QRY-13). Modalities in Study is worked out from the series, never stored (QRY-36, QRY-58)."""

UID_TAGS: Mapping[Level, str] = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.INSTANCE: "00080018"}
"""The attribute that identifies an entity of a level."""

INDEXED: Mapping[Level, tuple[SearchableAttribute, ...]] = {
    level: tuple(
        attribute
        for attribute in SEARCHABLE.values()
        if attribute.level is level and attribute.tag not in (MODALITIES_IN_STUDY, *UID_TAGS.values())
    )
    for level in Level
}
"""What an instance contributes to the row of its study and of its series (STO-103, QRY-60)."""

DEFAULT_RESULT: Mapping[Level, frozenset[str]] = {
    Level.STUDY: frozenset(
        ("00080020", "00080050", "00080090", "00081030", "00100010", "00100020", "00100030", "0020000D")
    ),
    Level.SERIES: frozenset((MODALITY, "00081090", "0020000E", "00400244")),
    Level.INSTANCE: frozenset(("00080018",)),
}
"""What an item shows without being asked (QRY-50)."""

ALL_RESULT: Mapping[Level, frozenset[str]] = {
    Level.STUDY: frozenset(
        (
            "00080005", "00080030", "00080056", "00080063", "00080201", "00081032", "00081060", "00081080",
            "00081110", "00100040", "00101010", "00101020", "00101030", "00102180", "001021B0", "00200010",
        )
    ),
    Level.SERIES: frozenset(
        (
            "00080005", "00080021", "00080031", "00080201", "0008103E", "00200011", "00200060", "00400245",
            "00400275",
        )
    ),
    Level.INSTANCE: frozenset(
        (
            "00080005", "00080016", "00080056", "00080201", "00200013", "00280008", "00280010", "00280011",
            "00280100",
        )
    ),
}  # fmt: skip
"""What `includefield=all` adds to the default (QRY-55)."""

STUDY_DETAILS = ALL_RESULT[Level.STUDY] | {MODALITY}
"""What lists of studies are most often asked to show of the newest instance of a study (QRY-54)."""
