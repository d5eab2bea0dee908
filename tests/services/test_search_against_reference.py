"""Searches on a real storage against a plain reference: lists, loops and sorting over everything that was stored.

Each query runs as it is, without conditions given to storage, and with so few descents and look-ups allowed that the
other plan is taken: plans are an optimisation and never change a result.
"""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import pytest_asyncio

from shared.clock import wall_clock
from shared.composition import Services, open_services
from shared.dicom.attributes import (
    ALL_RESULT,
    DEFAULT_RESULT,
    INDEXED,
    SEARCHABLE,
    STUDY_DETAILS,
    UID_TAGS,
    Level,
)
from shared.dicom.normal_form import normal_form
from shared.dicomweb import search_parameters as parameters
from shared.dicomweb.query_string import query_pairs, requested_fuzzy_matching, requested_page
from shared.dicomweb.search_parameters import Resource, Search
from shared.services import search_reading, search_values
from shared.settings import Settings
from shared.storage.records import InstanceKey, NewInstance
from tests.support.searching import found_items

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PARTITION = "Search.Reference"
STORES = ("azurite", "embedded")
WITH_VALUE_ROWS = "azurite with value rows"

RESOURCES: dict[str, Resource] = {
    "studies": parameters.STUDIES,
    "series": parameters.SERIES,
    "instances": parameters.INSTANCES,
    "study series": parameters.SERIES_OF_STUDY,
    "study instances": parameters.INSTANCES_OF_STUDY,
    "series instances": parameters.INSTANCES_OF_SERIES,
}

VALUES: dict[str, list[str]] = {
    "PatientName": ["Doe^John", "Doe^Jane", "Müller^Zoé", "MULLER^ZOE", "Yamada^Tarou=山田^太郎", "O'Neil^Ann Mary"],
    "PatientID": ["P1", "p1", "P2", "PAT-3%", "a_b"],
    "StudyDate": ["20240101", "20240102", "20231231", "20240231"],
    "StudyDescription": ["Head", "head ct", "Tête", 'CT\'s "x"', "100% #?|"],
    "AccessionNumber": ["A1", "A2", "A10"],
    "PatientBirthDate": ["19500101", "19991231"],
    "ReferringPhysicianName": ["Who^Doctor"],
    "Modality": ["CT", "MR", "US", "SEG"],
    "PerformedProcedureStepStartDate": ["20240101", "20240103"],
    "ManufacturerModelName": ["Model X", "model y"],
    "SeriesDescription": ["one", "two"],
    "Rows": ["64"],
}
PATTERNS = {
    "PatientName": ["doe^john", "Doe*", "*^Z?E", "muller^zoé", "*", "?*", "Do* Jo", "yamada*", "*山*", "o'neil*", "x"],
    "PatientID": ["p1", "P*", "?1", "*", "PAT-3%", "a_b", "axb", "a*_*b"],
    "StudyDate": ["20240101", "20240101-20240102", "20240102-", "-20231231", "19000101-29991231"],
    "StudyDescription": ["head", "HEAD*", "Tete", "tête", "*ct*", 'CT\'s "x"', "100% #?|", "*|"],
    "AccessionNumber": ["a1", "A1*", "A?", "*0"],
    "PatientBirthDate": ["19500101", "-19500102"],
    "ReferringPhysicianName": ["who^doctor", "*", "doc"],
    "ModalitiesInStudy": ["CT", "CT,MR", "S*", "*", "NO", "ct\\us"],
    "Modality": ["CT", "m?", "*", "NO"],
    "PerformedProcedureStepStartDate": ["20240101", "20240102-"],
    "ManufacturerModelName": ["model x", "Model*"],
}
FIELDS = ["all", "Modality", "SeriesDescription", "Rows", "PatientName", "ModalitiesInStudy", "StudyTime", "12051003"]
FIELDS += ["NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances", "StudyInstanceUID", "SOPInstanceUID"]

TAG_OF = {attribute.keyword: attribute.tag for attribute in SEARCHABLE.values()} | {
    "SeriesDescription": "0008103E",
    "Rows": "00280010",
}
VR_OF = {attribute.keyword: attribute.vr for attribute in SEARCHABLE.values()} | {
    "SeriesDescription": "LO",
    "Rows": "US",
}

Elements = dict[str, dict[str, Any]]


def element(keyword: str, text: str) -> dict[str, Any]:
    vr = VR_OF[keyword]
    value: Any = text
    if vr == "PN":
        groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
        value = {name: group for name, group in groups if group}
    elif vr == "US":
        value = int(text)
    return {"vr": vr, "Value": [value]}


@dataclass
class Instance:
    key: InstanceKey
    number: int
    elements: Elements


@dataclass
class Entity:
    """A study or series as the service should see it: when it began, its row, its instances."""

    began: int
    row: Elements = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)


class Reference:
    """What was stored, in plain lists."""

    def __init__(self) -> None:
        self.instances: list[Instance] = []
        self.studies: dict[str, Entity] = {}
        self.series: dict[tuple[str, str], Entity] = {}

    def store(self, key: InstanceKey, number: int, elements: Elements) -> None:
        stored = Instance(key, number, elements)
        self.instances.append(stored)
        study = self.studies.setdefault(key.study, Entity(number))
        series = self.series.setdefault((key.study, key.series), Entity(number))
        for entity, level in ((study, Level.STUDY), (series, Level.SERIES)):
            entity.instances.append(stored)
            entity.row |= indexed(elements, level)

    def delete(self, key: InstanceKey) -> None:
        """One of several of its series."""
        self.instances = [each for each in self.instances if each.key != key]
        for entity in (self.studies[key.study], self.series[key.study, key.series]):
            entity.instances = [each for each in entity.instances if each.key != key]

    def delete_series(self, study: str, series: str) -> None:
        """One of several of its study."""
        for each in list(self.series[study, series].instances):
            self.delete(each.key)
        del self.series[study, series]

    def delete_study(self, study: str) -> None:
        self.instances = [each for each in self.instances if each.key.study != study]
        del self.studies[study]
        self.series = {key: entity for key, entity in self.series.items() if key[0] != study}

    def find(self, search: Search) -> list[Elements]:
        level = search.resource.item
        found: list[tuple[int, Elements]] = []
        if level is Level.STUDY:
            for study, entity in self.studies.items():
                if self._study_fits(search, study):
                    found.append((entity.began, self._item(search, entity, study, None)))
        elif level is Level.SERIES:
            for (study, series), entity in self.series.items():
                if self._study_fits(search, study) and self._series_fits(search, study, series):
                    found.append((entity.began, self._item(search, entity, study, series)))
        else:
            for each in self.instances:
                study, series, uid = each.key.study, each.key.series, each.key.instance
                fits = self._study_fits(search, study) and self._series_fits(search, study, series)
                if fits and all(f.matcher.matches(uid) for f in search.filters if f.level is Level.INSTANCE):
                    found.append((each.number, self._instance_item(search, each)))
        found.sort(key=lambda pair: -pair[0])
        return [item for _, item in found][search.page.offset : search.page.offset + search.page.limit]

    def _study_fits(self, search: Search, study: str) -> bool:
        if search.study not in (None, study):
            return False
        modalities = [self._form(e.row, "00080060") for (uid, _), e in self.series.items() if uid == study]
        for each in search.filters:
            if each.level is not Level.STUDY:
                continue
            if each.tag == "00080061":
                fits = any(map(each.matcher.matches, modalities))
            elif each.tag == "0020000D":
                fits = each.matcher.matches(study)
            else:
                fits = each.matcher.matches(self._form(self.studies[study].row, each.tag))
            if not fits:
                return False
        return True

    def _series_fits(self, search: Search, study: str, series: str) -> bool:
        row = self.series[study, series].row
        return search.series in (None, series) and all(
            each.matcher.matches(series if each.tag == "0020000E" else self._form(row, each.tag))
            for each in search.filters
            if each.level is Level.SERIES
        )

    @staticmethod
    def _form(row: Elements, tag: str) -> str | None:
        return normal_form(row[tag]["vr"], row[tag]) if tag in row else None

    def _wanted(self, search: Search) -> set[str]:
        wanted = set(search.fields.tags) | {each.tag for each in search.filters}
        for level in search.resource.levels:
            wanted |= DEFAULT_RESULT[level] | (ALL_RESULT[level] if search.fields.all else set())
        wanted |= {"0020000D"} if search.study else set()
        return wanted | ({"0020000E"} if search.series else set())

    def _item(self, search: Search, entity: Entity, study: str, series: str | None) -> Elements:
        wanted = self._wanted(search)
        newest = max(entity.instances, key=lambda each: each.number).elements
        searchable = {a.tag for a in INDEXED[Level.STUDY]} | (
            {a.tag for a in INDEXED[Level.SERIES]} if series else set()
        )
        item = {tag: value for tag, value in newest.items() if tag in wanted - searchable}
        item |= {tag: value for tag, value in self.studies[study].row.items() if tag in wanted}
        if series:
            item |= {tag: value for tag, value in entity.row.items() if tag in wanted}
        mine = [e for (uid, _), e in self.series.items() if uid == study]
        modalities = list(dict.fromkeys(e.row["00080060"]["Value"][0] for e in mine if "00080060" in e.row))
        if "00080061" in wanted and modalities:
            item["00080061"] = {"vr": "CS", "Value": modalities}
        if "00201208" in wanted:
            item["00201208"] = {"vr": "IS", "Value": [len(self.studies[study].instances)]}
        if "00201209" in wanted and series:
            item["00201209"] = {"vr": "IS", "Value": [len(entity.instances)]}
        return dict(sorted(item.items()))

    def _instance_item(self, search: Search, instance: Instance) -> Elements:
        wanted = self._wanted(search)
        return {tag: value for tag, value in sorted(instance.elements.items()) if tag in wanted}


def indexed(elements: Elements, level: Level) -> Elements:
    """What the store hands over: values that are there, dates that the calendar has."""
    tags = {attribute.tag for attribute in INDEXED[level]}
    return {
        tag: value
        for tag, value in elements.items()
        if tag in tags and "Value" in value and value["Value"] != ["20240231"]
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[*STORES, WITH_VALUE_ROWS])
async def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    if request.param == "embedded":
        settings = Settings(store="embedded", store_path=str(tmp_path_factory.mktemp("store")))
    elif request.param == "azurite":
        settings = Settings(storage_connection=request.getfixturevalue("azurite"))
    else:
        settings = Settings(storage_connection=request.getfixturevalue("azurite_with_value_rows"), value_rows="on")
    opened = await open_services(settings)
    if request.param == WITH_VALUE_ROWS:
        await opened.reset()
        assert await opened.value_lookup.usable()
    yield opened
    await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reference(services: Services) -> Reference:
    """30 studies in mixed order, changed by later instances, some deleted and stored again, or in part."""
    chance = random.Random(7)
    filled = Reference()
    keys = [
        (f"1.2.{study}", f"1.2.{study % 7}.{series}", f"1.2.3.{study}.{series}.{instance}")
        for study in range(30)
        for series in range(chance.randint(1, 3))
        for instance in range(chance.randint(1, 3))
    ]
    chance.shuffle(keys)
    for number, (study, series, instance) in enumerate(keys):
        await _store(services, filled, InstanceKey(PARTITION, study, series, instance), number, chance)
    for study in ("1.2.3", "1.2.11"):
        await services.committer.delete(PARTITION, study)
        filled.delete_study(study)
    for entity in [*filled.series.values()][::4]:
        newest = entity.instances[-1].key
        if len(entity.instances) > 1:
            await services.committer.delete(PARTITION, newest.study, newest.series, newest.instance)
            filled.delete(newest)
    for study, entity in [*filled.studies.items()][::4]:
        newest = entity.instances[-1].key
        if any(each.key.series != newest.series for each in entity.instances):
            await services.committer.delete(PARTITION, study, newest.series)
            filled.delete_series(study, newest.series)
    again = InstanceKey(PARTITION, "1.2.3", "1.2.3.0", "1.2.3.3.0.0")
    await _store(services, filled, again, len(keys), chance)
    return filled


async def _store(
    services: Services, reference: Reference, key: InstanceKey, number: int, chance: random.Random
) -> None:
    elements: Elements = {
        UID_TAGS[Level.STUDY]: {"vr": "UI", "Value": [key.study]},
        UID_TAGS[Level.SERIES]: {"vr": "UI", "Value": [key.series]},
        UID_TAGS[Level.INSTANCE]: {"vr": "UI", "Value": [key.instance]},
        "00080030": {"vr": "TM", "Value": ["10"]},
        "12051003": {"vr": "LO", "Value": ["private"]},
    }
    for keyword, values in VALUES.items():
        if (kind := chance.random()) < 0.8:
            elements[TAG_OF[keyword]] = element(keyword, chance.choice(values))
        elif kind < 0.9:
            elements[TAG_OF[keyword]] = {"vr": VR_OF[keyword]}
    details = {tag: value for tag, value in elements.items() if tag in STUDY_DETAILS} if number % 5 else None
    new = NewInstance(
        key=key,
        file=f"{key.partition}/{key.study}/{key.series}/{key.instance}/{number}.dcm",
        size=1,
        transfer_syntax="1.2.840.10008.1.2.1",
        study_attributes=indexed(elements, Level.STUDY),
        series_attributes=indexed(elements, Level.SERIES),
        metadata=orjson.dumps(elements),
        study_details=details,
    )
    await services.committer.store([new], replace=False, expires=None, began=wall_clock())
    reference.store(key, number, elements)


def random_search(chance: random.Random, reference: Reference) -> tuple[str, Search]:
    name = chance.choice(list(RESOURCES))
    resource = RESOURCES[name]
    some = chance.choice(reference.instances).key
    study = some.study if name.startswith(("study", "series ")) else None
    series = some.series if name.startswith("series ") else None
    query: list[tuple[str, str]] = []
    for attribute in chance.sample(list(SEARCHABLE.values()), chance.choice([0, 1, 1, 2, 3, 14])):
        if attribute.level not in resource.levels or chance.random() < 0.3:
            continue
        if attribute.vr == "UI":
            keys = [getattr(chance.choice(reference.instances).key, attribute.level.value) for _ in range(4)]
            keys.append(getattr(some, attribute.level.value))
            value = ",".join([*chance.sample(keys, chance.randint(1, 5)), *chance.choice([[], ["1.9"]])])
        else:
            value = chance.choice(PATTERNS[attribute.keyword])
        query.append((chance.choice([attribute.keyword, attribute.tag]), value))
    if chance.random() < 0.3:
        query.append(("fuzzymatching", "true"))
    if chance.random() < 0.5:
        chosen = chance.sample(FIELDS[1:], chance.randint(1, 3)) if chance.random() < 0.8 else ["all"]
        query.append(("includefield", ",".join(chosen)))
    query += [("limit", str(chance.choice([1, 3, 100]))), ("offset", str(chance.choice([0, 0, 1, 4])))]
    return f"{name} {study} {series} {query}", checked(resource, query, study, series)


def checked(resource: Resource, pairs: list[tuple[str, str]], study: str | None, series: str | None) -> Search:
    parameters.refuse_repeated_keys(pairs)
    fuzzy = requested_fuzzy_matching(pairs)
    return Search(
        resource,
        requested_page(pairs),
        parameters.requested_filters(pairs, resource, fuzzy=fuzzy, extended={}),
        parameters.requested_fields(pairs),
        study,
        series,
    )


def as_planned(patch: pytest.MonkeyPatch) -> None:
    """Nothing is changed."""


def without_conditions(patch: pytest.MonkeyPatch) -> None:
    for name in ("study_condition", "series_condition", "instance_condition", "modality_condition"):
        patch.setattr(search_reading, name, lambda _: None)


def few_descents(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(search_reading, "MOST_DESCENTS", 1)
    patch.setattr(search_values, "MOST_CANDIDATES", 3)
    patch.setattr(search_values, "MOST_STUDIES_OF_MODALITY", 3)


@pytest.mark.parametrize("plan", [as_planned, without_conditions, few_descents])
async def test_qry_19_searches_equal_the_reference(
    plan: Callable[[pytest.MonkeyPatch], None],
    services: Services,
    reference: Reference,
    monkeypatch: pytest.MonkeyPatch,
    size: Callable[[str], int],
) -> None:
    """QRY-01, QRY-13, QRY-19, QRY-30 to QRY-45, QRY-50 to QRY-63, QRY-70, QRY-71; 200 searches, 2,000 with --full."""
    plan(monkeypatch)
    chance = random.Random(11)
    empty = 0
    for _ in range(size("random searches")):
        text, search = random_search(chance, reference)
        expected = reference.find(search)
        found = await found_items(services, PARTITION, search)
        assert found == expected, text
        assert [list(item) for item in found] == [sorted(item) for item in found], text
        empty += not found
    assert empty < size("random searches") * 0.6


async def test_qry_70_paging_walks_every_item_once(services: Services, reference: Reference) -> None:
    """QRY-70, QRY-71"""
    for query in ([], [("ModalitiesInStudy", "CT")], [("PatientName", "*o*")]):
        for name in ("studies", "series", "instances"):
            resource = RESOURCES[name]
            whole = reference.find(checked(resource, [*query, ("limit", "200")], None, None))
            walked = []
            for offset in range(0, len(whole) + 8, 7):
                page = checked(resource, [*query, ("limit", "7"), ("offset", str(offset))], None, None)
                walked += await found_items(services, PARTITION, page)
            assert walked == whole


async def test_names_of_other_partitions_are_not_found(services: Services, reference: Reference) -> None:
    """A data partition whose name begins alike is another one (PLT-49)."""
    for name in ("Search.Referenc", "Search.Reference2", "Microsoft.Nothing"):
        for resource in (parameters.STUDIES, parameters.SERIES, parameters.INSTANCES):
            assert await found_items(services, name, Search(resource)) == []


async def test_qry_19_the_query_string_says_the_same(services: Services, reference: Reference) -> None:
    """The way from the URL, with everything encoded that must be (QRY-19)."""
    pairs = query_pairs(b"StudyDescription=100%25+%23%3F%7C&PatientID=*")
    search = checked(parameters.STUDIES, pairs, None, None)
    found = await found_items(services, PARTITION, search)
    assert found == reference.find(search)
    assert found
