"""Operations as clients follow them (OPS-01 to OPS-06)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import NotFound
from ..storage.extended_query_tags import ExtendedQueryTags
from ..storage.operations import Operation, Operations
from .bulk_update import update_results
from .operation_progress import resume_if_stalled
from .reindex import REINDEX
from .update_progress import UPDATE

if TYPE_CHECKING:
    from ..composition import Services


@dataclass(frozen=True, slots=True)
class OperationState:
    """An operation, the paths of those of its extended query tags that there still are, and what it has to tell."""

    operation: Operation
    tags: Sequence[str] = ()
    results: Mapping[str, Any] | None = None


async def get_operation(services: "Services", id_: str) -> OperationState:
    """Raises `NotFound` with an empty text (OPS-01)."""
    operation = await Operations(services.storage).get(id_)
    if operation is None:
        raise NotFound
    await resume_if_stalled(services, operation)
    if operation.type == UPDATE:
        return OperationState(operation, results=update_results(operation))
    if operation.type != REINDEX:
        return OperationState(operation)
    columns = set(operation.state.get("tags", ()))
    tags = (await ExtendedQueryTags(services.storage).read()).tags
    return OperationState(operation, [tag.path for tag in tags if tag.column in columns])
