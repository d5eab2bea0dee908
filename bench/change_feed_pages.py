#!/usr/bin/env python3
"""What a page of the change feed costs on Azurite, as a multiple of one point read in the same run.

    python -m bench.change_feed_pages --entries 20000 --json bench/results/change-feed-pages.json

Pages are read through the service, without HTTP: 200 entries with their states and metadata, by offset and by time window,
at the beginning, in the middle and at the end of the feed; the first window that a process is asked for, the same again,
and window after window, as a consumer reads them. Milliseconds, medians over rounds.
"""

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from bench.peers import azurite_on_disk
from shared.composition import Services, open_services
from shared.services import change_feed
from shared.settings import Settings
from shared.storage import names
from shared.storage.records import DEFAULT_PARTITION, InstanceKey, NewInstance

METADATA = b'{"00080018":{"vr":"UI","Value":["%s"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"Bench^Feed"}]}}'
PER_STUDY = 100
PAGE = 200
POINT_READS = 20
"""In a row, to have a time that can be measured."""


async def _fill(services: Services, entries: int) -> None:
    for study in range(entries // PER_STUDY):
        new = []
        for number in range(PER_STUDY):
            key = InstanceKey(DEFAULT_PARTITION, f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.{number}")
            file = f"{key.partition}/{key.study}/{key.series}/{key.instance}/0.dcm"
            new.append(NewInstance(key, file, 1, "1.2.840.10008.1.2.1", {}, {}, METADATA % key.instance.encode()))
        await services.committer.store(new, replace=False, expires=None, began=services.clock())


async def _medians(works: dict[str, Callable[[], Awaitable[object]]], rounds: int) -> dict[str, float]:
    """By turns, so that a busy moment of the machine meets them all."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            begin = time.perf_counter()
            await work()
            if number:
                took[name].append((time.perf_counter() - begin) * 1000)
    return {name: statistics.median(times) for name, times in took.items()}


async def measure(entries: int, rounds: int) -> dict[str, float]:
    """Milliseconds by what was read."""
    with azurite_on_disk() as azurite:
        settings = Settings(AzureWebJobsStorage=azurite.connection_string)
        async with AsyncExitStack() as stack:

            async def opened() -> Services:
                services = await open_services(settings)
                stack.push_async_callback(services.close)
                await services.change_feed.freshen()
                return services

            services = await opened()
            await _fill(services, entries)
            end = services.clock()
            edges = [
                (await services.change_feed.page(0, None, entries // 2 + number * PAGE, 1))[0].timestamp
                for number in range(rounds + 2)
            ]
            others = iter([await opened() for _ in range(rounds + 1)])
            windows = iter([*zip(edges, edges[1:], strict=False)])
            row = ("Microsoft.Default|1.2.0", "study")

            def page(reader: Services, offset: int, start: int = 0, until: int | None = None) -> Awaitable[object]:
                return change_feed.page(reader, start=start, end=until, offset=offset, limit=PAGE, with_metadata=True)

            async def point_reads() -> None:
                for _ in range(POINT_READS):
                    await services.storage.get(names.INDEX, *row)

            works: dict[str, Callable[[], Awaitable[object]]] = {
                "point read": point_reads,
                "first page by offset": lambda: page(services, 0),
                "page in the middle by offset": lambda: page(services, entries // 2),
                "last page by offset": lambda: page(services, entries - PAGE),
                "a process's first window, from the middle to now": lambda: page(next(others), 0, edges[0], end),
                "the same window again": lambda: page(services, 0, edges[0], end),
                "the next window of a consumer": lambda: page(services, 0, *next(windows)),
                "latest": lambda: change_feed.latest(services, True),
            }
            figures = await _medians(works, rounds)
            return figures | {"point read": figures["point read"] / POINT_READS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", metavar="OUT")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.entries, options.rounds))
    for name, value in figures.items():
        print(f"{name:50s} {value:8.2f} ms   x {value / figures['point read']:.1f}")
    if options.json:
        document = {
            "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "machine": {"cpus": os.cpu_count(), "system": platform.system(), "python": platform.python_version()},
            "entries": options.entries,
            "rounds": options.rounds,
            "milliseconds": figures,
        }
        with open(options.json, "w") as out:
            json.dump(document, out, indent=1)
            out.write("\n")


if __name__ == "__main__":
    main()
