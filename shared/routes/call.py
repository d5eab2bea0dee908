"""What a handler is given: one request, already routed, with the services that it may call."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from ..dicom.uids import checked_uid
from ..storage.records import DEFAULT_PARTITION

if TYPE_CHECKING:
    from ..composition import Services


@dataclass(slots=True)
class Call:
    """One request on its way to a handler.

    `version` is the canonical version segment (`v2`, `v1`, `v1.0-prerelease`); `base_url` is what absolute URLs start
    with: scheme, host, version and, on partitioned paths, the partition (PLT-10), without a slash at the end; `path`
    holds the decoded values of the placeholders of the path.
    """

    request: Request
    services: "Services"
    version: str
    base_url: str
    path: dict[str, str] = field(default_factory=dict)
    partition: str = DEFAULT_PARTITION
    correlation_id: str = ""

    def uid(self, placeholder: str) -> str:
        """A UID of the path without padding: `placeholder` is study, series or instance.

        Raises `InvalidIdentifier` (RET-02, STO-62).
        """
        return checked_uid(self.path[placeholder], PATH_NAMES[placeholder])


PATH_NAMES = {"study": "StudyInstanceUid", "series": "SeriesInstanceUid", "instance": "SopInstanceUid"}

Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of a route table: `path` is below the version segment, with `{placeholders}`.

    `audit` is the action's name of PLT-46, `action` the permission that it needs (PLT-42).
    """

    method: str
    path: str
    handler: Handler
    audit: str
    action: str = "read"
