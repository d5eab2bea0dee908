"""Microsoft's own client libraries read what we write, and we what they write."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.data.tables import EdmType, EntityProperty, UpdateMode
from azure.data.tables.aio import TableClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from shared.clock import from_datetime
from shared.storage import names
from shared.storage.azure import AzureStorage
from shared.storage.primitives import (
    And,
    BlobExists,
    Compare,
    Entity,
    EntityChanged,
    EntityExists,
    Insert,
    Merge,
    Replace,
)
from tests.contract.conftest import azure_storage

pytestmark = pytest.mark.integration

_API_VERSION = "2023-11-03"


@pytest.fixture
async def ours(azurite: str) -> AsyncIterator[AzureStorage]:
    engine = azure_storage(azurite)
    await engine.prepare()
    yield engine
    await engine.close()


@pytest.fixture
async def table(azurite: str, ours: AzureStorage) -> AsyncIterator[TableClient]:
    async with TableClient.from_connection_string(azurite, names.INDEX) as client:
        yield client


async def test_entities_that_we_write(ours: AzureStorage, table: TableClient, partition: str) -> None:
    values: dict[str, Any] = {"s": "ü'", "yes": True, "n": 2**40, "small": 5, "f": 2.5, "whole": 2.0, "b": b"\x00\xff"}
    alone = await ours.write(names.INDEX, Insert(Entity(partition, "it's alone", values)))
    [together] = await ours.transact(names.INDEX, [Insert(Entity(partition, "together", values))])
    for row, etag in (("it's alone", alone), ("together", together)):
        found = await table.get_entity(partition, row)
        assert found.metadata["etag"] == etag
        assert dict(found) == {
            "PartitionKey": partition,
            "RowKey": row,
            **values,
            "n": EntityProperty(2**40, EdmType.INT64),
            "small": EntityProperty(5, EdmType.INT64),
        }
        assert (type(found["f"]), type(found["whole"])) == (float, float)


async def test_entities_that_they_write(ours: AzureStorage, table: TableClient, partition: str) -> None:
    values = {"s": "ü'", "yes": False, "n": EntityProperty(5, EdmType.INT64), "f": 0.5, "b": b"\x00\xff"}
    await table.create_entity({"PartitionKey": partition, "RowKey": "alone", **values})
    await table.submit_transaction([("create", {"PartitionKey": partition, "RowKey": "together", **values})])
    for row in ("alone", "together"):
        found = await ours.get(names.INDEX, partition, row)
        assert found is not None
        assert found.values == {"s": "ü'", "yes": False, "n": 5, "f": 0.5, "b": b"\x00\xff"}
        seen = await table.get_entity(partition, row)
        assert found.etag == seen.metadata["etag"]
        written = seen.metadata["timestamp"]
        assert written is not None
        assert found.timestamp // 10 == from_datetime(written) // 10


async def test_etags_are_good_on_both_sides(ours: AzureStorage, table: TableClient, partition: str) -> None:
    first = await ours.write(names.INDEX, Insert(Entity(partition, "row", {"n": 1})))
    entity = {"PartitionKey": partition, "RowKey": "row", "m": "theirs"}
    await table.update_entity(entity, mode=UpdateMode.MERGE, etag=first, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(EntityChanged):
        await ours.write(names.INDEX, Replace(Entity(partition, "row", {}), first))
    second = (await table.get_entity(partition, "row")).metadata["etag"]
    assert second is not None
    await ours.write(names.INDEX, Merge(Entity(partition, "row", {"o": 1.5}), second))
    found = await ours.get(names.INDEX, partition, "row")
    assert found is not None
    assert found.values == {"n": 1, "m": "theirs", "o": 1.5}
    with pytest.raises(EntityExists):
        await ours.write(names.INDEX, Insert(Entity(partition, "row", {})))


async def test_filters_select_the_same(ours: AzureStorage, table: TableClient, partition: str) -> None:
    await ours.transact(
        names.INDEX,
        [Insert(Entity(partition, f"{number:03d}", {"n": number, "s": str(number)})) for number in range(50)],
    )
    theirs = table.query_entities(f"PartitionKey eq '{partition}' and n ge 30L and s lt '4'")
    ours_found = ours.query(names.INDEX, partition, where=And((Compare("n", "ge", 30), Compare("s", "lt", "4"))))
    assert [found.row async for found in ours_found] == [found["RowKey"] async for found in theirs]


@pytest.mark.parametrize("size", [1000, 9 * 1024 * 1024])
async def test_blobs(ours: AzureStorage, azurite: str, partition: str, size: int) -> None:
    content = bytes(range(250)) * (size // 250)
    name = f"{partition.replace('|', '/')}/ü & x.dcm"
    await ours.put_blob(names.DICOM, name, content)
    async with BlobServiceClient.from_connection_string(azurite, api_version=_API_VERSION) as service:
        blob = service.get_blob_client(names.DICOM, name)
        assert await (await blob.download_blob()).readall() == content
        properties = await blob.get_blob_properties()
        assert properties.content_settings.content_type == "application/octet-stream"
        assert properties.size == len(content)
        theirs = service.get_blob_client(names.DICOM, name + "2")
        await theirs.upload_blob(content[:1000])
        assert await ours.get_blob(names.DICOM, name + "2", 7, 100) == content[7:107]
        with pytest.raises(BlobExists):
            await ours.put_blob(names.DICOM, name + "2", b"x")


async def test_messages(ours: AzureStorage, azurite: str) -> None:
    """In base64, as the Functions host reads and writes them with `messageEncoding` base64."""
    while messages := await ours.receive_messages(names.EVENTS_QUEUE, 32, 30):
        for message in messages:
            await ours.delete_message(names.EVENTS_QUEUE, message)
    async with QueueClient.from_connection_string(
        azurite,
        names.EVENTS_QUEUE,
        api_version=_API_VERSION,
        message_encode_policy=TextBase64EncodePolicy(),
        message_decode_policy=TextBase64DecodePolicy(),
    ) as theirs:
        await ours.send_message(names.EVENTS_QUEUE, '{"ü": 1}')
        seen = await theirs.receive_message()
        assert seen is not None
        assert (seen.content, seen.dequeue_count) == ('{"ü": 1}', 1)
        assert seen.expires_on is not None
        assert seen.expires_on.year == 9999
        await theirs.delete_message(seen)
        await theirs.send_message("<from them>")
        [message] = await ours.receive_messages(names.EVENTS_QUEUE, 5, 10)
        assert message.text == "<from them>"
        await ours.delete_message(names.EVENTS_QUEUE, message)
        assert await theirs.receive_message() is None
