"""What a handler is given: one request, already routed, with the services that it may call."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from ..authentication.identity import ANYBODY, Identity
from ..dicom.uids import checked_uid
from ..dicomweb.urls import api_url
from ..errors import Forbidden
from ..settings import settings
from ..storage.records import DEFAULT_PARTITION
from .versions import RULES, VersionRules

if TYPE_CHECKING:
    from ..composition import Services


@dataclass(slots=True)
class Call:
    """One request on its way to a handler.

    `version` is the canonical version segment (`v2`, `v1`, `v1.0-prerelease`), `segment` the one that was sent; `path`
    holds the decoded values of the placeholders of the path.

    `services` and `uid` are given only to callers who may do what the route is for (PLT-43). So a handler that first
    reads headers, body and parameters, and then turns to either, answers 403 at the right moment.
    """

    request: Request
    opened: "Services | None"
    version: str
    segment: str
    path: dict[str, str] = field(default_factory=dict)
    partition: str = DEFAULT_PARTITION
    correlation_id: str = ""
    action: str = ""
    identity: Identity = ANYBODY

    @property
    def base_url(self) -> str:
        """What absolute URLs start with: scheme, host, version and, on partitioned paths, the partition (PLT-10),
        without a slash at the end."""
        return api_url(self.request, self.segment, self.path.get("partition"), settings().public_url)

    @property
    def rules(self) -> VersionRules:
        """What differs between the versions of the API."""
        return RULES[self.version]

    @property
    def services(self) -> "Services":
        """What the process shares; raises `Forbidden`."""
        self.authorize()
        if self.opened is None:
            raise RuntimeError("a standalone route has no services")
        return self.opened

    def authorize(self, action: str = "") -> None:
        """Raises `Forbidden` unless the caller may do `action`, by default what the route is for (PLT-42)."""
        needed = action or self.action
        if needed and needed not in self.identity.actions:
            raise Forbidden

    def uid(self, placeholder: str) -> str:
        """A UID of the path without padding: `placeholder` is study, series or instance.

        Raises `Forbidden`, and `InvalidIdentifier` (RET-02, STO-62).
        """
        self.authorize()
        return checked_uid(self.path[placeholder], PATH_NAMES[placeholder])


PATH_NAMES = {"study": "StudyInstanceUid", "series": "SeriesInstanceUid", "instance": "SopInstanceUid"}

Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of a route table: `path` is below the version segment, with `{placeholders}`.

    `audit` is the action's name of PLT-46, empty for what is no action of the API. `action` is the permission that it
    needs (PLT-42), empty for what is open to everybody in every mode (PLT-37). `versions` are the versions of the API
    that have the route, by default all.
    """

    method: str
    path: str
    handler: Handler
    audit: str
    action: str = "read"
    versions: tuple[str, ...] = ()

    def served_in(self, version: str) -> bool:
        """Whether a version of the API has it; `version` is the canonical segment, empty on paths without one."""
        return not self.versions or version in self.versions
