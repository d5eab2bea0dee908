"""Queues of an Azure Storage account, or of Azurite."""

import contextlib
import logging
import os
from collections.abc import Mapping
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from .errors import HostError
from .queue_source import ReceivedMessage

API_VERSION = "2021-12-02"
"""Old enough for every Azurite in use."""

RETRIES = {"retry_total": 3, "initial_backoff": 0, "increment_base": 1, "random_jitter_range": 0.5}
"""A second or so between two attempts. The SDK waits 15 before its second one: a host that starts beside its Azurite
would read no message before that."""

logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)


class AzureQueue:
    """One queue through the Azure SDK; the texts of its messages pass as they are."""

    def __init__(self, client: QueueClient, credential: Any = None) -> None:
        self._client = client
        self._credential = credential

    @property
    def url(self) -> str:
        """Where the queue is, without any signature."""
        return self._client.url.partition("?")[0]

    async def receive(self, count: int, visibility: float) -> list[ReceivedMessage]:
        """Up to `count` messages."""
        pages = self._client.receive_messages(
            messages_per_page=count, max_messages=count, visibility_timeout=int(visibility)
        )
        try:
            return [received(message) async for message in pages]
        except ResourceNotFoundError:
            return []

    async def hide(self, message: ReceivedMessage, visibility: float) -> ReceivedMessage | None:
        """Change when a message is seen again."""
        try:
            updated = await self._client.update_message(
                message.id, pop_receipt=message.receipt, visibility_timeout=round(visibility)
            )
        except HttpResponseError as error:
            if lost(error):
                return None
            raise
        return ReceivedMessage(
            message.id,
            str(updated.pop_receipt),
            message.text,
            message.dequeue_count,
            message.inserted,
            message.expires,
            updated.next_visible_on,
        )

    async def delete(self, message: ReceivedMessage) -> None:
        """Remove a message."""
        try:
            await self._client.delete_message(message.id, pop_receipt=message.receipt)
        except HttpResponseError as error:
            if not lost(error):
                raise

    async def send(self, text: str) -> None:
        """Add a message."""
        try:
            await self._client.send_message(text)
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):
                await self._client.create_queue()
            await self._client.send_message(text)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
        if self._credential is not None:
            await self._credential.close()


def lost(error: HttpResponseError) -> bool:
    """Whether a message is gone, or held by someone else."""
    mismatch = error.status_code == 400 and getattr(error, "error_code", "") == "PopReceiptMismatch"
    return mismatch or error.status_code in (404, 409)


def received(message: Any) -> ReceivedMessage:
    """A message of the SDK."""
    return ReceivedMessage(
        id=message.id,
        receipt=message.pop_receipt,
        text=message.content,
        dequeue_count=message.dequeue_count,
        inserted=message.inserted_on,
        expires=message.expires_on,
        next_visible=message.next_visible_on,
    )


def open_azure_queue(connection: str, queue: str) -> AzureQueue:
    """The queue of a connection setting: a connection string, or the settings of an identity-based connection."""
    return azure_queue(connection, queue, os.environ)


def azure_queue(connection: str, queue: str, settings: Mapping[str, str]) -> AzureQueue:
    """As `open_azure_queue`, with the settings to look into."""
    connection = connection or "Storage"
    options: dict[str, Any] = {
        "api_version": API_VERSION,
        "message_encode_policy": None,
        "message_decode_policy": None,
        **RETRIES,
    }
    for name in (f"AzureWebJobs{connection}", connection):
        text = settings.get(name, "")
        if text:
            try:
                return AzureQueue(QueueClient.from_connection_string(text, queue, **options))
            except ValueError as error:
                raise HostError(f"The setting {name} is no connection string: {error}") from None
        endpoint = settings.get(f"{name}__queueServiceUri", "")
        account = settings.get(f"{name}__accountName", "")
        if account and not endpoint:
            endpoint = f"https://{account}.queue.core.windows.net"
        if endpoint:
            credential = identity(name, settings)
            return AzureQueue(QueueClient(endpoint, queue, credential=credential, **options), credential)
    raise HostError(f"The setting {connection} is missing: it names the storage of a queue trigger.")


def identity(name: str, settings: Mapping[str, str]) -> Any:
    """The credential of an identity-based connection."""
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

    client = settings.get(f"{name}__clientId")
    if settings.get(f"{name}__credential", "").lower() == "managedidentity":
        return ManagedIdentityCredential(client_id=client) if client else ManagedIdentityCredential()
    return DefaultAzureCredential()
