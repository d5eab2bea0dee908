#!/usr/bin/env python3
"""What a page of the change feed costs on Azurite, as a multiple of one point read in the same run.

    python -m bench.change_feed_pages --entries 20000 --json bench/results/change-feed-pages.json

Pages are read through the service, without HTTP: 200 entries with their states and metadata, by offset and by time window,
at the beginning, in the middle and at the end of the feed. Milliseconds, medians over rounds.
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

from bench.peers import azurite_on_disk
from shared.composition import Services, open_services
from shared.services import change_feed
from shared.settings import Settings
from shared.storage import names
from shared.storage.records import DEFAULT_PARTITION, InstanceKey, NewInstance

METADATA = b'{"00080018":{"vr":"UI","Value":["%s"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"Bench^Feed"}]}}'
PER_STUDY = 100
PAGE = 200


async def _fill(services: Services, entries: int) -> None:
    for study in range(entries // PER_STUDY):
        new = []
        for number in range(PER_STUDY):
            key = InstanceKey(DEFAULT_PARTITION, f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.{number}")
            file = f"{key.partition}/{key.study}/{key.series}/{key.instance}/0.dcm"
            new.append(NewInstance(key, file, 1, "1.2.840.10008.1.2.1", {}, {}, METADATA % key.instance.encode()))
        await services.committer.store(new, replace=False, expires=None, began=services.clock())


async def _median(work: Callable[[], Awaitable[object]], rounds: int) -> float:
    took = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        await work()
        took.append((time.perf_counter() - begin) * 1000)
    return statistics.median(took[1:])


async def measure(entries: int, rounds: int) -> dict[str, float]:
    """Milliseconds by what was read."""
    with azurite_on_disk() as azurite:
        services = await open_services(Settings(AzureWebJobsStorage=azurite.connection_string))
        try:
            await _fill(services, entries)
            end = services.clock()
            middle = (await services.change_feed.page(0, None, entries // 2, 1))[0].timestamp

            def page(offset: int, start: int = 0, until: int | None = None) -> Callable[[], Awaitable[object]]:
                return lambda: change_feed.page(
                    services, start=start, end=until, offset=offset, limit=PAGE, with_metadata=True
                )

            row = ("Microsoft.Default|1.2.0", "study")
            return {
                "point read": await _median(lambda: services.storage.get(names.INDEX, *row), 50),
                "first page by offset": await _median(page(0), rounds),
                "page in the middle by offset": await _median(page(entries // 2), rounds),
                "last page by offset": await _median(page(entries - PAGE), rounds),
                "window from the middle to now": await _median(page(0, middle, end), rounds),
                "latest": await _median(lambda: change_feed.latest(services, True), rounds),
            }
        finally:
            await services.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="OUT")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.entries, options.rounds))
    for name, value in figures.items():
        print(f"{name:32s} {value:8.2f} ms   x {value / figures['point read']:.1f}")
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
