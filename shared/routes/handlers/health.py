"""Health in two forms, and the start page (PLT-11, PLT-20, PLT-21)."""

from html import escape

import orjson
from starlette.responses import Response

from ... import __version__
from ...composition import services
from ...services.health import Health, HealthProbe, Status
from ..call import Call

JSON = "application/json"

_probe = HealthProbe(services)

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>DICOM service emulator</title></head>
<body>
<h1>DICOM service emulator {version}</h1>
<p>Local emulator of the Azure Health Data Services DICOM service.</p>
<ul>
<li>API: <code>{base}/v2</code> (also <code>{base}/v1</code>)</li>
<li><a href="docs">The API as a page</a> (<a href="openapi.json">OpenAPI</a>)</li>
<li><a href="health">Health</a></li>
</ul>
</body>
</html>
"""


async def health_status(call: Call) -> Response:
    """`{"status": "healthy"}`; 503 when nothing can be served."""
    health = await _probe.look()
    body = {"status": health.status.value, "version": __version__}
    if health.reason:
        body["reason"] = health.reason
    return Response(orjson.dumps(body), _http_status(health), media_type=JSON)


async def health_check(call: Call) -> Response:
    """The same in the service's own form, blobs and tables apart."""
    health = await _probe.look()
    status = health.status.value.capitalize()
    details: list[dict[str, object]] = [
        {"name": name, "status": status, "description": health.reason or "Successfully connected.", "data": {}}
        for name in ("DicomBlobHealthCheck", "DicomTableHealthCheck")
    ]
    body = orjson.dumps({"overallStatus": status, "details": details})
    return Response(body, _http_status(health), media_type=JSON)


async def health_home_page(call: Call) -> Response:
    """Says what this is and where things are."""
    page = _PAGE.format(version=escape(__version__), base=escape(call.base_url.rstrip("/")))
    return Response(page, media_type="text/html; charset=utf-8")


def _http_status(health: Health) -> int:
    return 503 if health.status is Status.UNHEALTHY else 200
