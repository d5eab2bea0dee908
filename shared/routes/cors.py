"""Cross-origin requests (PLT-26 to PLT-28): one policy for all paths."""

from dataclasses import dataclass
from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from ..settings import Settings, listed, settings

EXPOSED = (
    "Location, ETag, Warning, Content-Location, api-supported-versions, x-correlation-id, WWW-Authenticate, "
    "erroneous-dicom-attributes"
)
"""What scripts of other origins may read besides what they always may."""


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Who may call from a browser, and how; `None` stands for every origin, header or method."""

    origins: frozenset[str] | None = None
    headers: str | None = None
    methods: str | None = None
    max_age: str = ""
    credentials: bool = False

    def apply(self, request: Request, response: Response) -> None:
        """Adds what an answer to a request with an allowed `Origin` carries."""
        if self.origins is not None:
            response.headers.add_vary_header("Origin")
        origin = request.headers.get("origin")
        if origin is None or not self._allows(origin):
            return
        response.headers["Access-Control-Allow-Origin"] = "*" if self.origins is None else origin
        if self.credentials:
            response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Expose-Headers"] = EXPOSED

    def preflight(self, request: Request) -> Response | None:
        """The answer if the request is a preflight.

        Where every header is allowed they are repeated as they were asked for: by the Fetch standard `*` does not
        cover `authorization`.
        """
        if request.method != "OPTIONS":
            return None
        method = request.headers.get("access-control-request-method")
        if method is None or "origin" not in request.headers:
            return None
        response = Response(status_code=204)
        if self._allows(request.headers["origin"]):
            response.headers["Access-Control-Allow-Methods"] = self.methods or method
            allowed = self.headers or request.headers.get("access-control-request-headers")
            if allowed:
                response.headers["Access-Control-Allow-Headers"] = allowed
            if self.max_age:
                response.headers["Access-Control-Max-Age"] = self.max_age
        return response

    def _allows(self, origin: str) -> bool:
        return self.origins is None or origin.lower() in self.origins


def policy_of(settings_: Settings) -> CorsPolicy:
    """What the settings say."""
    origins = listed(settings_.cors_origins)
    return CorsPolicy(
        origins=None if "*" in origins else frozenset(origin.lower().rstrip("/") for origin in origins),
        headers=_all_or(settings_.cors_headers),
        methods=_all_or(settings_.cors_methods),
        max_age=settings_.cors_max_age,
        credentials=settings_.cors_credentials,
    )


def _all_or(text: str) -> str | None:
    entries = listed(text)
    return None if not entries or "*" in entries else ", ".join(entries)


@cache
def cors_policy() -> CorsPolicy:
    """The policy of this process."""
    return policy_of(settings())
