"""The API documents: OpenAPI of every version, and a page that shows it (PLT-22 to PLT-25).

They are made from the route tables. No function of their own takes their paths: they come to the catch-all.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import orjson
from starlette.responses import Response

from ..dicomweb import openapi
from ..dicomweb.openapi import Description, Operation
from ..dicomweb.urls import origin
from ..dicomweb.yaml_text import yaml_text
from ..errors import NotFound
from ..settings import settings
from .call import Call, Route
from .descriptions import ANONYMOUS, COMMON, DESCRIPTIONS
from .groups import GROUPS
from .request_log import raw_path
from .route_table import RouteGroup
from .versions import served_version

CURRENT = "v2"
PARTITION = "/partitions/{partition}"

_FILES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
"""Those files of Swagger UI that the page needs."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>DICOM service emulator</title>
<link rel="icon" type="image/png" href="{files}favicon-32x32.png">
<link rel="stylesheet" href="{files}swagger-ui.css">
<style>
body {{ margin: 0; background: #fafafa; }}
.swagger-ui .info {{ margin: 30px 0 20px; }}
.swagger-ui .scheme-container {{ margin: 0 0 10px; padding: 15px 0; }}
.swagger-ui .opblock .opblock-summary-path {{ max-width: none; flex: 1; }}
</style>
</head>
<body>
<div id="api"></div>
<script src="{files}swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({{
  url: "{document}",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  requestSnippetsEnabled: true,
  validatorUrl: null,
}});
</script>
</body>
</html>
"""

_TAGS = {
    "store": "Store",
    "query": "Search",
    "retrieve": "Retrieve",
    "retrieve-metadata": "Retrieve",
    "retrieve-rendered": "Retrieve",
    "delete": "Delete",
    "change-feed": "Change feed",
    "partition": "Data partitions",
    "export": "Export",
    "operation": "Operations",
    "update-study": "Bulk update",
}
"""Headings by the audit name of a route; worklist and extended query tags are told by the end of it."""


async def openapi_json(call: Call) -> Response:
    """The current version."""
    return _json(call, CURRENT)


async def api_json(call: Call) -> Response:
    """The version of the path."""
    return _json(call, _version(call))


async def api_yaml(call: Call) -> Response:
    """The same as YAML."""
    return Response(yaml_text(_document(call, _version(call))), media_type="application/yaml")


async def api_page(call: Call) -> Response:
    """Swagger UI. Its files are named relative to the page, which may stand behind proxies."""
    below = raw_path(call.request).endswith(b"/")
    page = _PAGE.format(files="" if below else "docs/", document="../openapi.json" if below else "openapi.json")
    return Response(page, media_type="text/html; charset=utf-8")


async def api_page_file(call: Call) -> Response:
    """A file of Swagger UI, out of the package that brings it."""
    name = call.path["file"]
    if name not in _FILES:
        raise NotFound
    return Response(_file(name), headers={"Cache-Control": "max-age=86400"}, media_type=_FILES[name])


VERSION = "/{api_version}"

GROUP = RouteGroup(
    "documents",
    (
        Route("GET", "/docs", api_page, "", ""),
        Route("GET", "/docs/{file}", api_page_file, "", ""),
        Route("GET", "/openapi.json", openapi_json, "", ""),
        Route("GET", f"{VERSION}/api.json", api_json, "", ""),
        Route("GET", f"{VERSION}/api.yaml", api_yaml, "", ""),
    ),
    versioned=False,
    standalone=True,
)


def operations(version: str) -> Iterator[Operation]:
    """Every operation that this version of the API has, as its route table has it."""
    for group in (*GROUPS, GROUP):
        for route in group.routes:
            if not route.served_in(version):
                continue
            yield Operation(
                method=route.method,
                path=f"/{version}{route.path}" if group.versioned else route.path.replace(VERSION, f"/{version}"),
                tag=_tag(route),
                description=_description(route),
                anonymous=not route.action,
            )


def _version(call: Call) -> str:
    """Raises `NotFound` for a version that is not served (PLT-24)."""
    version = served_version(call.path["api_version"])
    if version is None:
        raise NotFound
    return version


def _json(call: Call, version: str) -> Response:
    return Response(orjson.dumps(_document(call, version)), media_type="application/json")


def _document(call: Call, version: str) -> dict[str, object]:
    document = _document_of(version)
    return {**document, "servers": [{"url": origin(call.request, settings().public_url)}]}


@cache
def _document_of(version: str) -> dict[str, object]:
    return openapi.document(
        operations(version),
        version=version.removeprefix("v"),
        server="/",
        description="Local emulator of the DICOM service of Azure Health Data Services.",
        secured=settings().auth_mode != "off",
    )


def _description(route: Route) -> Description:
    told = DESCRIPTIONS.get(f"{route.method} {route.path.removeprefix(PARTITION)}")
    if told is None:
        told = Description(_first_sentence(route), {"default": openapi.Answer("The answer.")})
    return openapi.with_answers(told, COMMON if route.action else ANONYMOUS)


def _first_sentence(route: Route) -> str:
    text = (route.handler.__doc__ or route.handler.__name__.replace("_", " ")).strip().splitlines()[0]
    return re.sub(r"\s*\([A-Z]{3}-[^)]*\)", "", text).rstrip(".")


def _tag(route: Route) -> str:
    if route.path.startswith(PARTITION):
        return "Data partitions"
    if "workitem" in route.path:
        return "Worklist"
    if route.audit.partition("-")[2].startswith(("extended", "all-extended")):
        return "Extended query tags"
    if "/{tenant}" in route.path or route.path == "/msi/token":
        return "Tokens"
    return _TAGS.get(route.audit, "Emulator")


@cache
def _file(name: str) -> bytes:
    package = find_spec("flask_swagger_ui")
    if package is None or not package.submodule_search_locations:
        raise NotFound
    return Path(package.submodule_search_locations[0], "dist", name).read_bytes()
