"""Bulk updates of instances that a test has stored, by way of the store that the app runs on."""

import asyncio
import io
import secrets
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword

from shared.clock import wall_clock
from shared.composition import Services, open_services
from shared.dicom.instance import parse_instance
from shared.services.known_tags import KnownTags
from shared.settings import Settings
from shared.storage.records import (
    DEFAULT_PARTITION,
    InstanceKey,
    InstanceRecord,
    NewInstance,
    TagValues,
    UpdatedInstance,
    UpdateOutcome,
)


def bulk_update(
    store_settings: Mapping[str, str], study: str, instances: Collection[str] | None = None, **values: Any
) -> None:
    """Gives all instances of the study, or these, new versions with these values by keyword."""

    async def work() -> None:
        services = await open_services(Settings.model_validate(store_settings))
        try:
            outcomes = await update(services, study, instances, **values)
            assert set(outcomes) == {UpdateOutcome.UPDATED}
        finally:
            await services.close()

    asyncio.run(work())


async def update(
    services: Services, study: str, instances: Collection[str] | None = None, **values: Any
) -> list[UpdateOutcome]:
    """The same by services that are open; what became of each."""
    began, operation = wall_clock(), secrets.token_hex(16)
    known = await services.tags.known()
    found = await services.index.instances(DEFAULT_PARTITION, study)
    items = [
        UpdatedInstance(await _new_version(services, each, values, known), each.file, operation)
        for each in found
        if instances is None or each.key.instance in instances
    ]
    return await services.committer.update((DEFAULT_PARTITION, study), items, began=began)


async def _new_version(
    services: Services, record: InstanceRecord, values: Mapping[str, Any], known: KnownTags
) -> NewInstance:
    dataset = dcmread(io.BytesIO(await services.files.read_whole(record.file, record.size)))
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    written = io.BytesIO()
    dataset.save_as(written)
    new = await of_file(services, record.key, written.getvalue(), known)
    changed = {f"{tag_for_keyword(keyword):08X}" for keyword in values}
    every = new.tag_values
    of_study = {column: element for column, element in every.study.items() if column.partition("_")[0] in changed}
    return replace(
        new,
        study_attributes={tag: element for tag, element in new.study_attributes.items() if tag in changed},
        tag_values=TagValues(study=of_study, columns=every.columns, serial=every.serial),
    )


async def of_file(services: Services, key: InstanceKey, content: bytes, known: KnownTags) -> NewInstance:
    """What a store of the file hands over, which is uploaded."""
    parsed = parse_instance(content, study=None)
    return NewInstance(
        key=key,
        file=await services.files.upload(key, content),
        size=len(content),
        transfer_syntax=parsed.transfer_syntax,
        study_attributes=parsed.study_attributes,
        series_attributes=parsed.series_attributes,
        metadata=parsed.metadata,
        frames=parsed.frames,
        study_details=parsed.study_details,
        tag_values=known.values(parsed.metadata),
    )
