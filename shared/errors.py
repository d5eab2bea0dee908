"""The one family of exceptions that a request may end with.

    DicomServiceError                  anything unexpected: 500
    ├── InvalidRequest                 malformed or refused input: 400
    │   ├── InvalidIdentifier          a UID that breaks the rule of PS3.5 9.1 as the service applies it
    │   └── InvalidParameter           a query parameter that cannot be bound
    ├── Unauthenticated                no usable token: 401
    ├── Forbidden                      the roles of the caller do not allow the action: 403
    ├── NotFound                       404
    ├── MethodNotAllowed               405, with the methods that the path has
    ├── NotAcceptable                  406
    ├── Conflict                       409
    ├── TooLarge                       413
    ├── UnsupportedMediaType           415
    └── Unavailable                    own storage is unreachable, busy or full: 503

The text of an exception is what the client reads; an empty text gives an empty body. What maps the family to
answers is `shared/dicomweb/error_responses.py`.
"""

from collections.abc import Iterable


class DicomServiceError(Exception):
    """Base of all; by itself it stands for a fault of the service, whose text is never shown to a client."""


class InvalidRequest(DicomServiceError):
    """The request itself is at fault."""


class InvalidIdentifier(InvalidRequest):
    """A UID in a path or body that is no UID.

    `name` is the attribute as the service spells it in paths, for instance `StudyInstanceUid`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Dicom element '{name}' failed validation for VR 'UI': DICOM Identifier is invalid. "
            "Value length should not exceed the maximum length of 64 characters. "
            "Value should contain characters in '0'-'9' and '.'. Each component must start with non-zero number."
        )


class InvalidParameter(InvalidRequest):
    """A query parameter that cannot be bound: `name` as the service prints it, and why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The query parameter '{name}' is invalid. {reason}")


class Unauthenticated(DicomServiceError):
    """Who calls is not known; `challenge` is what `WWW-Authenticate` says (RFC 6750)."""

    def __init__(self, challenge: str) -> None:
        super().__init__("")
        self.challenge = challenge


class Forbidden(DicomServiceError):
    """Who calls is known, and must not do this."""

    def __init__(self) -> None:
        super().__init__("Authorization failed.")


class NotFound(DicomServiceError):
    """What the request names does not exist."""

    @classmethod
    def resource(cls, level: str) -> "NotFound":
        """`level` is study, series, instance or frame: the level of the request."""
        return cls(f"The specified {level} cannot be found.")


class MethodNotAllowed(DicomServiceError):
    """The path exists, the method does not."""

    def __init__(self, allowed: Iterable[str]) -> None:
        super().__init__("")
        self.allowed = tuple(allowed)


class NotAcceptable(DicomServiceError):
    """Nothing that the Accept header names can be given."""


class Conflict(DicomServiceError):
    """The state of a resource forbids the request."""


class TooLarge(DicomServiceError):
    """A file or body above its limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request exceeded the allowed limit of {limit} bytes.")


class UnsupportedMediaType(DicomServiceError):
    """The Content-Type is not served."""


class Unavailable(DicomServiceError):
    """The service's own storage cannot serve the request now."""
