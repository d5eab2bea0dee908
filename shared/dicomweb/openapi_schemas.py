"""Schemas of bodies, as the OpenAPI document refers to them."""

from typing import Any

_TEXT: dict[str, Any] = {"type": "string"}
_UID: dict[str, Any] = {"type": "string"}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


SCHEMAS: dict[str, dict[str, Any]] = {
    "DicomAttribute": {
        **_object(
            "vr",
            vr={"type": "string", "pattern": "^[A-Z]{2}$"},
            Value={"type": "array", "items": {}},
            InlineBinary=_TEXT,
            BulkDataURI=_TEXT,
        ),
        "description": "An attribute in the DICOM JSON model (PS3.18 F.2.2).",
    },
    "DicomDataset": {
        "type": "object",
        "additionalProperties": {"$ref": "#/components/schemas/DicomAttribute"},
        "description": "A data set in the DICOM JSON model (PS3.18 F.2), by tags of eight hex digits.",
        "example": {"00100020": {"vr": "LO", "Value": ["1CT1"]}},
    },
    "ChangeFeedEntry": _object(
        "sequence partitionName studyInstanceUid seriesInstanceUid sopInstanceUid action timestamp state",
        sequence={"type": "integer", "minimum": 1},
        partitionName=_TEXT,
        studyInstanceUid=_UID,
        seriesInstanceUid=_UID,
        sopInstanceUid=_UID,
        action={"type": "string", "enum": ["Create", "Update", "Delete"]},
        timestamp=_TIME,
        state={"type": "string", "enum": ["Current", "Replaced", "Deleted"]},
        metadata={"$ref": "#/components/schemas/DicomDataset"},
    ),
    "NewExtendedQueryTag": {
        **_object(
            "path level",
            path={"type": "string", "pattern": "^[0-9A-Fa-f]{8}$"},
            vr={"type": "string", "pattern": "^[A-Z]{2}$"},
            privateCreator=_TEXT,
            level={"type": "string", "enum": ["Study", "Series", "Instance"]},
        ),
        "example": {"path": "00181030", "vr": "LO", "level": "Series"},
    },
    "ExtendedQueryTag": _object(
        "path vr level status queryStatus",
        path=_TEXT,
        vr=_TEXT,
        privateCreator=_TEXT,
        level=_TEXT,
        status=_TEXT,
        errors=_object("count href", count={"type": "integer"}, href=_TEXT),
        queryStatus=_TEXT,
        operation={"$ref": "#/components/schemas/OperationReference"},
    ),
    "ExtendedQueryTagStatus": {
        **_object("queryStatus", queryStatus={"type": "string", "enum": ["enabled", "disabled"]}),
        "example": {"queryStatus": "disabled"},
    },
    "ExtendedQueryTagError": _object(
        "studyInstanceUid seriesInstanceUid sopInstanceUid createdTime errorMessage",
        studyInstanceUid=_UID,
        seriesInstanceUid=_UID,
        sopInstanceUid=_UID,
        partitionName=_TEXT,
        createdTime=_TIME,
        errorMessage=_TEXT,
    ),
    "OperationReference": _object("id href", id=_TEXT, href=_TEXT),
    "Operation": _object(
        "operationId type status createdTime lastUpdatedTime",
        operationId=_TEXT,
        type=_TEXT,
        status=_TEXT,
        percentComplete={"type": "integer", "minimum": 0, "maximum": 100},
        createdTime=_TIME,
        lastUpdatedTime=_TIME,
        resources={"type": "array", "items": _TEXT},
        results={"type": "object"},
    ),
    "Partition": _object(
        "partitionKey partitionName createdDate",
        partitionKey={"type": "integer"},
        partitionName=_TEXT,
        createdDate=_TIME,
    ),
    "BulkUpdate": _object(
        "studyInstanceUids changeDataset",
        studyInstanceUids={"type": "array", "items": _UID},
        changeDataset={"$ref": "#/components/schemas/DicomDataset"},
    ),
    "Export": _object(
        "source destination",
        source=_object("type settings", type=_TEXT, settings={"type": "object"}),
        destination=_object("type settings", type=_TEXT, settings={"type": "object"}),
    ),
    "Health": _object("status", status={"type": "string", "enum": ["healthy", "degraded", "unhealthy"]}),
    "HealthCheck": _object(
        "overallStatus details",
        overallStatus=_TEXT,
        details={"type": "array", "items": {"type": "object"}},
    ),
    "Token": _object(
        "token_type access_token",
        token_type=_TEXT,
        access_token=_TEXT,
        expires_in={"type": "integer"},
        ext_expires_in={"type": "integer"},
        expires_on=_TEXT,
        resource=_TEXT,
    ),
}
"""By name."""
