"""Explores the scenarios: `python3 -m tests.model.check` all of them, with NAME... some.

`--rules` takes out one rule at a time and shows what breaks; `--paper` takes out all of them; `--deep` allows one kill and
one lost answer more.
"""

import argparse
import multiprocessing
import resource
import sys
import time

from .checker import Checker
from .rules import PAPER_HAD, RULES
from .scenarios import SCENARIOS

BY_NAME = {s.name: s for s in SCENARIOS}


def explore(job):
    name, change, without, only, limit = job
    result = Checker(BY_NAME[name]._replace(**change), without, limit, only).run()
    return job, result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def outcome(result):
    if result.problem:
        return result.problem
    if result.acyclic is False:
        return "livelock: a cycle of states"
    return "holds" if result.complete else "holds as far as explored"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rules", action="store_true")
    parser.add_argument("--paper", action="store_true")
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--limit", type=int, default=16_000_000)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    if options.rules:
        jobs = [
            (r.scenario, r.change, (r.name,), r.only, options.limit)
            for r in RULES
            if not options.names or r.name in options.names or r.scenario in options.names
        ]
    else:
        every = tuple(sorted({r.name for r in RULES} - PAPER_HAD)) if options.paper else ()
        jobs = []
        for s in SCENARIOS:
            if not options.names or s.name in options.names:
                change = {"crashes": s.crashes + (not s.after_crash), "losses": s.losses + 1} if options.deep else {}
                jobs.append((s.name, change, every, None, options.limit))
    began, bad, total = time.time(), 0, 0
    with multiprocessing.Pool(options.jobs, maxtasksperchild=1) as pool:
        for job, result, memory in pool.imap(explore, jobs, chunksize=1):
            name, change, without, _only, _ = job
            said = outcome(result)
            label = f'{name} without "{without[0]}"' if options.rules else name
            print(
                f"{label}: {said} [{result.states} states, {result.edges} steps, {result.ends} ends, "
                f"{result.seconds:.1f} s, {memory} MiB]",
                flush=True,
            )
            for number, line in enumerate(result.trace or (), start=1):
                print(f"    {number:2} {line}")
            total += result.states
            expected_bad = options.rules or options.paper
            bad += (
                said.startswith("holds") if options.rules else not said.startswith("holds") if not expected_bad else 0
            )
    print(
        f"{len(jobs)} runs, {total} states, {time.time() - began:.0f} s: "
        + ("as expected" if not bad else f"{bad} not as expected")
    )
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
