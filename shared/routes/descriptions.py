"""What the OpenAPI document says about each route. A route that is not listed is described by its handler.

Keys are method and path as in the route tables, without version and data partition.
"""

from collections.abc import Mapping

from ..dicom.attributes import SEARCHABLE, Level
from ..dicomweb.openapi import Answer, Description, Parameter, Schema, array_of, reference
from ..dicomweb.search_parameters import (
    INSTANCES,
    INSTANCES_OF_SERIES,
    INSTANCES_OF_STUDY,
    SERIES,
    SERIES_OF_STUDY,
    STUDIES,
    Resource,
)

JSON = "application/json"
DICOM_JSON = "application/dicom+json"
DICOM = "application/dicom"
OCTETS = "application/octet-stream"
RELATED = "multipart/related"
TEXT = "text/plain"
FORM = "application/x-www-form-urlencoded"

_BYTES: Schema = {"type": "string", "format": "binary"}
_STRING: Schema = {"type": "string"}
_BOOLEAN: Schema = {"type": "boolean"}
_DATASET = reference("DicomDataset")
_DATASETS = array_of(_DATASET)

_NO_CONTENT = Answer("Nothing.")
_BAD = Answer("The request is at fault; the text says how.", {TEXT: _STRING})
_NOT_FOUND = Answer("There is none.")
_NOT_ACCEPTABLE = Answer("No type that Accept names can be given.")
_REFUSED = Answer(
    "The request is at fault: the text says how, or a data set has a comment on each attribute that is refused.",
    {TEXT: _STRING, JSON: _DATASET},
)
_CONFLICT = Answer("The state of the resource forbids it.", {TEXT: _STRING})
_TOO_LARGE = Answer("Larger than the limit.")
_UNSUPPORTED = Answer("The Content-Type is not served.")

COMMON = {
    "400": _BAD,
    "401": Answer("No usable token.", headers={"WWW-Authenticate": "Where to get one."}),
    "403": Answer("The roles of the caller do not allow it.", {TEXT: _STRING}),
    "503": Answer("Storage cannot be reached, or is busy.", {TEXT: _STRING}, {"Retry-After": "Seconds to wait."}),
}
"""What every route of the API may answer besides its own."""

ANONYMOUS = {"400": _BAD}
"""The same for routes outside of it."""

# -- store

_EXPIRY = (
    Parameter(
        "msdicom-expiry-time-milliseconds",
        "Delete the studies after so many milliseconds.",
        {"type": "integer", "minimum": 1},
        "header",
    ),
    Parameter("msdicom-expiry-option", "RelativeToNow", {"type": "string", "enum": ["RelativeToNow"]}, "header"),
    Parameter("msdicom-expiry-level", "Study", {"type": "string", "enum": ["Study"]}, "header"),
)
_STORE_ANSWER = {DICOM_JSON: _DATASET}


def _store(summary: str, details: str = "") -> Description:
    return Description(
        summary,
        {
            "200": Answer("All instances are stored.", _STORE_ANSWER, {"Warning": "What was left out."}),
            "202": Answer("Some are stored, or stored with warnings.", _STORE_ANSWER),
            "204": Answer("The body held no instance."),
            "406": _NOT_ACCEPTABLE,
            "409": Answer("None is stored.", _STORE_ANSWER),
            "413": _TOO_LARGE,
            "415": _UNSUPPORTED,
        },
        _EXPIRY,
        {DICOM: _BYTES, RELATED: _BYTES},
        details=details,
    )


_MULTIPART = "One instance as `application/dicom`, or any number of them as parts of `multipart/related`."
_REPLACES = f"{_MULTIPART} Instances that are stored already are replaced."

# -- search

_PAGE = (
    Parameter("limit", "At most so many", {"type": "integer", "minimum": 1, "maximum": 200, "default": 100}),
    Parameter("offset", "How many to skip", {"type": "integer", "minimum": 0, "default": 0}),
)


def _search(summary: str, resource: Resource) -> Description:
    filters = [
        Parameter(attribute.keyword, f"{attribute.tag}, {attribute.vr}, {level.value}")
        for level in Level
        if level in resource.levels
        for attribute in SEARCHABLE.values()
        if attribute.level is level
    ]
    own = (
        *_PAGE,
        Parameter("fuzzymatching", "Match person names word by word", {**_BOOLEAN, "default": False}),
        Parameter("includefield", "Further attributes to return, with commas, or `all`"),
    )
    answers = {
        "200": Answer("What was found, newest first.", {DICOM_JSON: _DATASETS}),
        "204": Answer("Nothing was found."),
        "406": _NOT_ACCEPTABLE,
    }
    details = "Filters may also be named by tag, and extended query tags are filters too. Wildcards: `*`, `?`."
    return Description(summary, answers, (*own, *filters), details=details)


# -- retrieve


_FIRST_VERSION = Parameter(
    "msdicom-request-original",
    "`true`: of instances that a bulk update has changed, the version that was stored",
    place="header",
)


def _retrieve(summary: str, *types: str, versions: bool = True) -> Description:
    answers = {
        "200": Answer("Here it is.", dict.fromkeys(types, _BYTES)),
        "404": _NOT_FOUND,
        "406": Answer("No type that Accept names can be given, or the pixels cannot be converted."),
    }
    return Description(summary, answers, (_FIRST_VERSION,) if versions else (), details=_ORIGINAL)


_PARTS_OF_DICOM = f'{RELATED}; type="{DICOM}"; transfer-syntax=*'
_PARTS_OF_OCTETS = f'{RELATED}; type="{OCTETS}"; transfer-syntax=*'
_ORIGINAL = "`transfer-syntax=*` gives what was stored; without it Explicit VR Little Endian is meant."


def _metadata(summary: str) -> Description:
    answers = {
        "200": Answer("One data set for each instance.", {DICOM_JSON: _DATASETS}, {"ETag": "For If-None-Match."}),
        "304": Answer("Nothing has changed."),
        "404": _NOT_FOUND,
        "406": _NOT_ACCEPTABLE,
    }
    known = Parameter("If-None-Match", "The ETag of an earlier answer", place="header")
    return Description(summary, answers, (known, _FIRST_VERSION))


def _picture(summary: str) -> Description:
    quality = Parameter("quality", "Of JPEG", {"type": "integer", "minimum": 1, "maximum": 100, "default": 100})
    answers = {
        "200": Answer("The picture.", {"image/jpeg": _BYTES, "image/png": _BYTES}),
        "404": _NOT_FOUND,
        "406": Answer("No picture can be made, or not of this type."),
    }
    return Description(summary, answers, (quality,))


def _delete(summary: str) -> Description:
    return Description(summary, {"204": Answer("It is gone."), "404": _NOT_FOUND})


# -- change feed, extended query tags, operations

_FEED = (
    Parameter("startTime", "From this time on (v2)", {"type": "string", "example": "2024-01-02T03:04:05Z"}),
    Parameter("endTime", "Before this time (v2)"),
    Parameter("limit", "At most so many", {"type": "integer", "minimum": 1, "maximum": 200, "default": 100}),
    Parameter("offset", "How many to skip; in v1 the sequence to begin after", {"type": "integer", "minimum": 0}),
    Parameter("includeMetadata", "With the metadata of each instance", {**_BOOLEAN, "default": True}),
)
_OPERATION_STARTED = Answer(
    "An operation does it.", {JSON: reference("OperationReference")}, {"Location": "URL of the operation."}
)


def _json(description: str, schema: Schema, **further: Answer) -> dict[str, Answer]:
    return {"200": Answer(description, {JSON: schema}), **{name[1:]: answer for name, answer in further.items()}}


# -- worklist

_TRANSACTION = Parameter("Transaction-UID", "The transaction UID with which the workitem was claimed", place="header")
_MESSAGE = {DICOM_JSON: {"type": "string"}, TEXT: _STRING}
_WORKITEM_BODY = {DICOM_JSON: _DATASETS}


def _workitem(summary: str, status: str, answer: Answer, *parameters: Parameter, body: bool = True) -> Description:
    answers = {
        status: answer,
        "400": Answer("The request is at fault; the text says how.", _MESSAGE),
        "404": Answer("There is no such workitem."),
        "406": _NOT_ACCEPTABLE,
        "409": Answer("The state of the workitem forbids it.", _MESSAGE),
        "413": _TOO_LARGE,
        "415": _UNSUPPORTED,
    }
    return Description(summary, answers, parameters, _WORKITEM_BODY if body else {})


_NOT_THERE = Description("Subscriptions are not implemented", {"501": Answer("Not implemented.", {TEXT: _STRING})})
_TOKEN = Description(
    "A token for any client",
    {"200": Answer("The token.", {JSON: reference("Token")}), "413": _TOO_LARGE},
    body={FORM: {"type": "object", "additionalProperties": _STRING}},
)
_OPENID = Description("What client libraries read first", _json("The configuration.", {"type": "object"}))
_DOCUMENT = Answer("The document.", {JSON: {"type": "object"}})

INSTANCE = "/studies/{study}/series/{series}/instances/{instance}"

DESCRIPTIONS: Mapping[str, Description] = {
    "POST /studies": _store("Store instances", _MULTIPART),
    "POST /studies/{study}": _store("Store instances of one study", _MULTIPART),
    "POST /studies/$bulkUpdate": Description(
        "Update attributes of all instances of studies",
        {"202": _OPERATION_STARTED, "400": _REFUSED, "409": _CONFLICT, "413": _TOO_LARGE, "415": _UNSUPPORTED},
        body={JSON: reference("BulkUpdate")},
        details="At most 50 studies. Patient and study attributes outside of sequences may be changed.",
    ),
    "PUT /studies": _store("Store or replace instances", _REPLACES),
    "PUT /studies/{study}": _store("Store or replace instances of one study", _REPLACES),
    "GET /studies": _search("Search for studies", STUDIES),
    "GET /series": _search("Search for series", SERIES),
    "GET /instances": _search("Search for instances", INSTANCES),
    "GET /studies/{study}/series": _search("Search for series of a study", SERIES_OF_STUDY),
    "GET /studies/{study}/instances": _search("Search for instances of a study", INSTANCES_OF_STUDY),
    "GET /studies/{study}/series/{series}/instances": _search("Search for instances of a series", INSTANCES_OF_SERIES),
    "GET /studies/{study}": _retrieve("Retrieve a study", _PARTS_OF_DICOM),
    "GET /studies/{study}/series/{series}": _retrieve("Retrieve a series", _PARTS_OF_DICOM),
    f"GET {INSTANCE}": _retrieve("Retrieve an instance", f"{DICOM}; transfer-syntax=*", _PARTS_OF_DICOM),
    f"GET {INSTANCE}/frames/{{frames}}": _retrieve(
        "Retrieve frames", _PARTS_OF_OCTETS, f"{OCTETS}; transfer-syntax=*", versions=False
    ),
    "GET /studies/{study}/metadata": _metadata("Retrieve the metadata of a study"),
    "GET /studies/{study}/series/{series}/metadata": _metadata("Retrieve the metadata of a series"),
    f"GET {INSTANCE}/metadata": _metadata("Retrieve the metadata of an instance"),
    f"GET {INSTANCE}/rendered": _picture("Retrieve the picture of the first frame"),
    f"GET {INSTANCE}/frames/{{frame}}/rendered": _picture("Retrieve the picture of a frame"),
    "DELETE /studies/{study}": _delete("Delete a study"),
    "DELETE /studies/{study}/series/{series}": _delete("Delete a series"),
    f"DELETE {INSTANCE}": _delete("Delete an instance"),
    "GET /changefeed": Description(
        "Read the change feed", _json("Entries, oldest first.", array_of(reference("ChangeFeedEntry"))), _FEED
    ),
    "GET /changefeed/latest": Description(
        "Read the last entry of the change feed",
        _json("The entry.", reference("ChangeFeedEntry"), _204=Answer("There is none yet.")),
        (_FEED[-1],),
    ),
    "POST /extendedquerytags": Description(
        "Add extended query tags",
        {"202": _OPERATION_STARTED, "409": _CONFLICT, "413": _TOO_LARGE, "415": _UNSUPPORTED},
        body={JSON: array_of(reference("NewExtendedQueryTag"))},
    ),
    "GET /extendedquerytags": Description(
        "List extended query tags", _json("The tags.", array_of(reference("ExtendedQueryTag"))), _PAGE
    ),
    "GET /extendedquerytags/{tag}": Description(
        "Read an extended query tag", _json("The tag.", reference("ExtendedQueryTag"), _404=_NOT_FOUND)
    ),
    "PATCH /extendedquerytags/{tag}": Description(
        "Switch searching by an extended query tag on or off",
        _json(
            "The tag.",
            reference("ExtendedQueryTag"),
            _404=_NOT_FOUND,
            _409=_CONFLICT,
            _413=_TOO_LARGE,
            _415=_UNSUPPORTED,
        ),
        body={JSON: reference("ExtendedQueryTagStatus")},
    ),
    "DELETE /extendedquerytags/{tag}": Description(
        "Delete an extended query tag", {"204": Answer("It is gone."), "404": _NOT_FOUND, "409": _CONFLICT}
    ),
    "GET /extendedquerytags/{tag}/errors": Description(
        "List what could not be indexed",
        _json("The errors, oldest first.", array_of(reference("ExtendedQueryTagError")), _404=_NOT_FOUND),
        _PAGE,
    ),
    "GET /operations/{operation}": Description(
        "Read an operation",
        _json(
            "It has ended.",
            reference("Operation"),
            _202=Answer("It runs.", {JSON: reference("Operation")}, {"Location": "URL of the operation."}),
            _404=_NOT_FOUND,
        ),
    ),
    "GET /partitions": Description("List data partitions", _json("The partitions.", array_of(reference("Partition")))),
    "POST /workitems": _workitem(
        "Create a workitem",
        "201",
        Answer("It is created.", headers={"Location": "URL of the workitem."}),
    ),
    "GET /workitems": Description(
        "Search for workitems",
        {
            "200": Answer("What was found.", {DICOM_JSON: _DATASETS}),
            "204": Answer("Nothing was found."),
            "206": Answer("Some of what was found.", {DICOM_JSON: _DATASETS}),
            "406": _NOT_ACCEPTABLE,
        },
        (*_PAGE, Parameter("includefield", "Further attributes to return, with commas, or `all`")),
    ),
    "GET /workitems/{workitem}": _workitem(
        "Retrieve a workitem", "200", Answer("The workitem.", {DICOM_JSON: _DATASET}), body=False
    ),
    "POST /workitems/{workitem}": _workitem("Update a workitem", "200", Answer("It is updated."), _TRANSACTION),
    "PUT /workitems/{workitem}": _workitem("Update a workitem", "200", Answer("It is updated."), _TRANSACTION),
    "PUT /workitems/{workitem}/state": _workitem(
        "Change the state of a workitem", "200", Answer("It has the state.", headers={"Warning": "It had it before."})
    ),
    "POST /workitems/{workitem}/cancelrequest": _workitem(
        "Request the cancellation of a workitem", "202", Answer("It is cancelled.", _MESSAGE)
    ),
    "GET /workitems/subscriptions": _NOT_THERE,
    "POST /workitems/{workitem}/subscribers/{aet}": _NOT_THERE,
    "DELETE /workitems/{workitem}/subscribers/{aet}": _NOT_THERE,
    "GET /": Description("The start page", {"200": Answer("The page.", {"text/html": _STRING})}),
    "GET /health": Description(
        "Health",
        _json("It serves.", reference("Health"), _503=Answer("It does not serve.", {JSON: reference("Health")})),
    ),
    "GET /health/check": Description(
        "Health in the form of the service",
        _json(
            "It serves.",
            reference("HealthCheck"),
            _503=Answer("It does not serve.", {JSON: reference("HealthCheck")}),
        ),
    ),
    "GET /docs": Description("This API as a page", {"200": Answer("The page.", {"text/html": _STRING})}),
    "GET /docs/{file}": Description("Files of that page", {"200": Answer("The file."), "404": _NOT_FOUND}),
    "GET /openapi.json": Description("This API as OpenAPI, current version", {"200": _DOCUMENT}),
    "GET /{api_version}/api.json": Description("This API as OpenAPI", {"200": _DOCUMENT, "404": _NOT_FOUND}),
    "GET /{api_version}/api.yaml": Description(
        "This API as OpenAPI in YAML", {"200": Answer("The document.", {"application/yaml": {"type": "object"}})}
    ),
    "POST /_emulator/reset": Description(
        "Empty the store", {"204": Answer("It is empty."), "404": Answer("Switched off.")}
    ),
    "POST /{tenant}/oauth2/v2.0/token": _TOKEN,
    "POST /{tenant}/oauth2/token": _TOKEN,
    "GET /{tenant}/v2.0/.well-known/openid-configuration": _OPENID,
    "GET /{tenant}/.well-known/openid-configuration": _OPENID,
    "GET /{tenant}/discovery/v2.0/keys": Description(
        "The keys of the tokens: none, since nobody verifies them", _json("An empty set.", {"type": "object"})
    ),
    "GET /msi/token": Description(
        "A token for a managed identity",
        _json("The token.", reference("Token")),
        (Parameter("resource", "What the token is for"), Parameter("client_id", "Which identity")),
    ),
}
"""A test holds this table to the route tables."""
