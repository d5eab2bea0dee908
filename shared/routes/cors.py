"""Cross-origin requests (PLT-26 to PLT-28): one policy for all paths."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Who may call from a browser, and how. As it stands by default: every origin, header and method."""

    origins: frozenset[str] = frozenset({"*"})
    exposed: str = "Location, ETag, Warning, Content-Location, api-supported-versions, x-correlation-id"

    def allows(self, origin: str) -> bool:
        return "*" in self.origins or origin in self.origins

    def apply(self, request: Request, response: Response) -> None:
        """Adds what an answer to a request with an allowed `Origin` carries."""
        origin = request.headers.get("origin")
        if origin is None or not self.allows(origin):
            return
        if "*" in self.origins:
            response.headers["Access-Control-Allow-Origin"] = "*"
        else:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers.add_vary_header("Origin")
        response.headers["Access-Control-Expose-Headers"] = self.exposed

    def preflight(self, request: Request) -> Response | None:
        """The answer if the request is a preflight.

        Headers are repeated as they were asked for: by the Fetch standard `*` does not cover `authorization`.
        """
        method = request.headers.get("access-control-request-method")
        if request.method != "OPTIONS" or method is None or "origin" not in request.headers:
            return None
        response = Response(status_code=204)
        if self.allows(request.headers["origin"]):
            response.headers["Access-Control-Allow-Methods"] = method
            asked = request.headers.get("access-control-request-headers")
            if asked is not None:
                response.headers["Access-Control-Allow-Headers"] = asked
        return response
