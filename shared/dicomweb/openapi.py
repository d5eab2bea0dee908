"""The OpenAPI document of the service (OpenAPI 3.0.3), put together from descriptions of its operations (PLT-23 to
PLT-25)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .openapi_schemas import SCHEMAS

Schema = Mapping[str, Any]

OPENAPI = "3.0.3"
BEARER = "bearer"

_VERSION = re.compile(r"^/v[0-9][^/]*/")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query, a header or a path."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one status means; `content` holds the schema of each media type, and is empty where the body may be."""

    description: str
    content: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """What is to be said about a route: `body` holds the schema of each media type that a request may have."""

    summary: str
    answers: Mapping[str, Answer] = field(default_factory=dict)
    parameters: Sequence[Parameter] = ()
    body: Mapping[str, Schema] = field(default_factory=dict)
    body_required: bool = True
    details: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    tag: str
    description: Description
    anonymous: bool = False


def document(
    operations: Iterable[Operation], *, version: str, server: str, description: str, secured: bool
) -> dict[str, Any]:
    """The document; `secured` says whether tokens are asked for."""
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, None] = {}
    for operation in operations:
        tags[operation.tag] = None
        item = paths.setdefault(operation.path, {})
        item[operation.method.lower()] = _operation(operation, secured)
    components: dict[str, Any] = {"schemas": dict(SCHEMAS)}
    if secured:
        components["securitySchemes"] = {BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "DICOM service emulator",
            "version": version,
            "description": description,
            "license": {"name": "MIT"},
        },
        "servers": [{"url": server}],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": components,
    }


def with_answers(description: Description, answers: Mapping[str, Answer]) -> Description:
    """The description with further answers, which stand back behind its own."""
    return replace(description, answers={**answers, **description.answers})


def reference(name: str) -> Schema:
    """A schema of `openapi_schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


def array_of(schema: Schema) -> Schema:
    """Any number of them."""
    return {"type": "array", "items": schema}


def operation_id(method: str, path: str) -> str:
    """`GET /v2/studies/{study}/series` becomes `getStudiesByStudySeries`; the version is left out."""
    words = []
    for segment in _VERSION.sub("/", path).split("/"):
        match = _PLACEHOLDER.fullmatch(segment)
        words += ["by", match[1]] if match else re.split(r"[^A-Za-z0-9]+", segment)
    return method.lower() + "".join(word[:1].upper() + word[1:] for word in words)


def _operation(operation: Operation, secured: bool) -> dict[str, Any]:
    described = operation.description
    written: dict[str, Any] = {
        "tags": [operation.tag],
        "operationId": operation_id(operation.method, operation.path),
        "summary": described.summary,
    }
    if described.details:
        written["description"] = described.details
    parameters = [*_path_parameters(operation.path), *map(_parameter, described.parameters)]
    if parameters:
        written["parameters"] = parameters
    if described.body:
        content = {media_type: {"schema": dict(schema)} for media_type, schema in described.body.items()}
        written["requestBody"] = {"required": described.body_required, "content": content}
    written["responses"] = {status: _answer(answer) for status, answer in sorted(described.answers.items())}
    if secured and not operation.anonymous:
        written["security"] = [{BEARER: []}]
    return written


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [_parameter(PATH_PARAMETERS.get(name, Parameter(name, "", place="path"))) for name in _names(path)]


def _names(path: str) -> list[str]:
    return _PLACEHOLDER.findall(path)


def _answer(answer: Answer) -> dict[str, Any]:
    written: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        written["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    if answer.content:
        written["content"] = {media_type: {"schema": dict(schema)} for media_type, schema in answer.content.items()}
    return written


_UID = {"type": "string", "pattern": r"^[0-9.]{0,63}[0-9]$", "example": "1.2.826.0.1.3680043.8.498.1"}

PATH_PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        Parameter("study", "Study Instance UID", _UID, "path"),
        Parameter("series", "Series Instance UID", _UID, "path"),
        Parameter("instance", "SOP Instance UID", _UID, "path"),
        Parameter(
            "workitem",
            "SOP Instance UID of the workitem",
            {"type": "string", "pattern": "^[0-9][0-9A-Za-z._-]{0,63}$", "example": "1.2.3"},
            "path",
        ),
        Parameter(
            "frames",
            "Frame numbers from 1 on, with commas",
            {"type": "string", "pattern": "^[1-9][0-9]{0,3}(,[1-9][0-9]{0,3})*$", "example": "1,2"},
            "path",
        ),
        Parameter("frame", "Frame number, from 1 on", {"type": "integer", "minimum": 1, "example": 1}, "path"),
        Parameter(
            "tag",
            "Tag of eight hex digits, or keyword",
            {"type": "string", "pattern": "^[0-9A-Fa-f]{8}$|^[A-Za-z]+$", "example": "00181030"},
            "path",
        ),
        Parameter("operation", "Id of the operation", {"type": "string", "pattern": "^[0-9a-f]{32}$"}, "path"),
        Parameter(
            "aet",
            "Application entity title of the subscriber",
            {"type": "string", "pattern": "^[!-~]{1,16}$", "example": "SCP"},
            "path",
        ),
        Parameter(
            "partition",
            "Name of the data partition",
            {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "example": "Microsoft.Default"},
            "path",
        ),
        Parameter("tenant", "Tenant, any", {"type": "string", "example": "common"}, "path"),
        Parameter("file", "File of the page", {"type": "string", "pattern": "^[a-z0-9.-]+$"}, "path"),
    )
}
"""By the name of the placeholder; one that is not listed is any text."""
