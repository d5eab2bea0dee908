#!/usr/bin/env python3
"""The product on Azurite against the least that Azurite itself allows, in one run.

    python -m bench.azurite_floor --json bench/results/azurite-floor.json

The floor of a figure is what no server on Azurite can undercut that remembers nothing: the storage requests alone, sent
over the product's own primitives from this process.

    store        one PUT of 512 KB, one transaction of three rows, one insert
    store of 50  the same for 50 instances: 50 PUTs over four connections, one transaction of 52 rows, one of 50
    retrieve     one row read, one GET of 512 KB
    metadata     one query of 100 rows of 2.5 KB; the product remembers them, and reads the row of their study alone
    search       one query with a filter on the same rows as the product's

Figures are milliseconds, medians over rounds in which product and floor take turns; the ratio is product / floor.
"""

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable

import httpx

from bench.peers import azurite_on_disk, product
from bench.side_by_side import Maker, multipart
from shared.settings import Settings
from shared.storage import names
from shared.storage.azure import AzureStorage
from shared.storage.primitives import Compare, Entity, Insert

JSON = {"Accept": "application/dicom+json"}
SINGLE = {"Accept": "application/dicom; transfer-syntax=*"}
STUDIES = 200


class Floor:
    """Azurite's requests alone, in tables and containers of the product's, under keys that it never reads."""

    def __init__(self, storage: AzureStorage) -> None:
        self._storage = storage
        self._partition = f"floor-{secrets.token_hex(4)}"
        self._blob = b"\x5a" * (512 * 1024 + 1500)
        self._row = {"md": secrets.token_bytes(1500), "v": 1, "f": "f" * 24, "n": 1, "ts": "1.2.840.10008.1.2.1"}

    def _entities(self, partition: str, count: int) -> list[Entity]:
        return [Entity(partition, f"{number:05d}{secrets.token_hex(4)}", dict(self._row)) for number in range(count)]

    async def store(self, count: int) -> None:
        """What a store of `count` instances of a new study asks of Azurite."""
        study = f"{self._partition}-{secrets.token_hex(4)}"
        limit = asyncio.Semaphore(4)

        async def put() -> None:
            async with limit:
                await self._storage.put_blob(names.DICOM, f"{study}/{secrets.token_hex(8)}", self._blob)

        await asyncio.gather(*(put() for _ in range(count)))
        await self._storage.transact(names.INDEX, [Insert(each) for each in self._entities(study, count + 2)])
        entries = [Insert(each) for each in self._entities(f"{study}-feed", count)]
        if count == 1:
            await self._storage.write(names.HOUSEKEEPING, entries[0])
        else:
            await self._storage.transact(names.HOUSEKEEPING, entries)

    async def prepare(self) -> None:
        """One blob and 100 rows to read."""
        await self._storage.put_blob(names.DICOM, f"{self._partition}/one", self._blob)
        rows = self._entities(f"{self._partition}-read", 100)
        await self._storage.transact(names.INDEX, [Insert(row) for row in rows])
        self._first = rows[0]

    async def retrieve(self) -> None:
        await self._storage.get(names.INDEX, self._first.partition, self._first.row)
        await self._storage.get_blob(names.DICOM, f"{self._partition}/one")

    async def metadata(self) -> None:
        rows = [row async for row in self._storage.query(names.INDEX, f"{self._partition}-read")]
        assert len(rows) == 100

    async def search(self) -> None:
        where = Compare("q00100020", "eq", "p7")
        _ = [row async for row in self._storage.query(names.STUDIES, where=where, rows=("study|", "study}"))]


async def _timed(work: Callable[[], Awaitable[object]], times: int) -> float:
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        await work()
        took.append((time.perf_counter() - begin) * 1000)
    return statistics.median(took)


class Product:
    """The same by HTTP."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = f"{url}/v2"
        self._client = client
        self._make = Maker(1)

    async def _post(self, files: list[bytes]) -> None:
        content_type, body = multipart(files)
        response = await self._client.post(
            f"{self._url}/studies", content=body, headers={**JSON, "Content-Type": content_type}
        )
        assert response.status_code == 200, response.text[:300]

    def files(self, count: int, **values: str) -> list[bytes]:
        study, series = self._make.uid(), self._make.uid()
        self.study, self.series = study, series
        made = [self._make.instance(study, series, n + 1, pixels=self._make.pixels(), **values) for n in range(count)]
        self.instance = made[0][0]
        return [content for _, content in made]

    async def store(self, files: list[bytes]) -> None:
        await self._post(files)

    async def prepare(self) -> None:
        for number in range(STUDIES):
            uid, content = self._make.instance(self._make.uid(), self._make.uid(), 1, patient=f"P{number}")
            await self._post([content])
        await self._post(self.files(100))
        self.path = f"{self._url}/studies/{self.study}/series/{self.series}"
        self.one = f"{self.path}/instances/{self.instance}"

    async def get(self, url: str, headers: dict[str, str]) -> None:
        response = await self._client.get(url, headers=headers)
        assert response.status_code == 200, response.text[:300]


async def measure(rounds: int) -> dict[str, dict[str, object]]:
    """Product and floor take turns."""
    samples: dict[str, dict[str, list[float]]] = {}
    with azurite_on_disk() as azurite, product({"AzureWebJobsStorage": azurite.connection_string}) as host:
        storage = AzureStorage(Settings(AzureWebJobsStorage=azurite.connection_string))
        await storage.prepare()
        async with httpx.AsyncClient(timeout=120) as client:
            floor, ours = Floor(storage), Product(host.url, client)
            await ours.prepare()
            await floor.prepare()
            for number in range(rounds + 1):
                ones = [ours.files(1) for _ in range(10)]
                fifty = ours.files(50)
                pairs: dict[str, tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]], int]] = {
                    "store": (lambda ones=ones: ours.store(ones.pop()), lambda: floor.store(1), 10),
                    "store of 50": (lambda fifty=fifty: ours.store(fifty), lambda: floor.store(50), 1),
                    "retrieve": (lambda: ours.get(ours.one, SINGLE), floor.retrieve, 20),
                    "metadata of 100": (lambda: ours.get(f"{ours.path}/metadata", JSON), floor.metadata, 10),
                    "search by PatientID": (
                        lambda: ours.get(f"{ours._url}/studies?PatientID=P7", JSON),
                        floor.search,
                        20,
                    ),
                }
                for name, (mine, least, times) in pairs.items():
                    turns = [("product", mine), ("floor", least)]
                    for who, work in turns if number % 2 else reversed(turns):
                        took = await _timed(work, times)
                        if number:
                            samples.setdefault(name, {}).setdefault(who, []).append(took)
        await storage.close()
    return {
        name: {
            "unit": "ms",
            **{who: {"median": statistics.median(values), "samples": values} for who, values in both.items()},
            "product/floor": statistics.median(both["product"]) / statistics.median(both["floor"]),
        }
        for name, both in samples.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="OUT")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.rounds))
    for name, figure in figures.items():
        print(
            f"{name:22s} product {figure['product']['median']:8.2f} ms   floor {figure['floor']['median']:8.2f} ms"  # type: ignore[index]
            f"   x {figure['product/floor']:.2f}"
        )
    if options.json:
        document = {
            "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "machine": {"cpus": os.cpu_count(), "system": platform.system(), "python": platform.python_version()},
            "rounds": options.rounds,
            "figures": figures,
        }
        with open(options.json, "w") as out:
            json.dump(document, out, indent=1)
            out.write("\n")


if __name__ == "__main__":
    main()
