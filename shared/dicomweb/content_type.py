"""Content-Type values of requests and parts (RFC 9110 8.3), read as leniently as clients write them (STO-17)."""

import re
from dataclasses import dataclass, field

_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ContentType:
    """`type` in lower case; parameters by their names in lower case."""

    type: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse_content_type(value: str) -> ContentType | None:
    """Reads a value; `None` if it does not begin with a media type.

    Parameters may be bare although their value is no token, as in `type=application/dicom`. Of a parameter given twice
    the last counts: curl appends its boundary to the header that it was told to send.
    """
    head, separator, _ = value.partition(";")
    media_type = head.strip()
    if not _TYPE.fullmatch(media_type):
        return None
    parameters: dict[str, str] = {}
    if separator:
        for name, quoted, bare in _PARAMETER.findall(value, len(head)):
            parameters[name.lower()] = _QUOTED_PAIR.sub(r"\1", quoted) if quoted else bare.strip()
    return ContentType(media_type.lower(), parameters)
