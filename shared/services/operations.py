"""Operations as clients follow them (OPS-01 to OPS-06)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import NotFound
from ..storage.extended_query_tags import ExtendedQueryTags
from ..storage.operations import Operation, Operations
from .reindex import REINDEX, resume_if_stalled

if TYPE_CHECKING:
    from ..composition import Services


@dataclass(frozen=True, slots=True)
class OperationState:
    """An operation, and the paths of those of its extended query tags that there still are."""

    operation: Operation
    tags: list[str]


async def get_operation(services: "Services", id_: str) -> OperationState:
    """Raises `NotFound` with an empty text (OPS-01)."""
    operation = await Operations(services.storage).get(id_)
    if operation is None:
        raise NotFound
    if operation.type != REINDEX:
        return OperationState(operation, [])
    await resume_if_stalled(services, operation)
    columns = set(operation.state.get("tags", ()))
    tags = (await ExtendedQueryTags(services.storage).read()).tags
    return OperationState(operation, [tag.path for tag in tags if tag.column in columns])
