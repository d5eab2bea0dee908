"""Explores every interleaving of a scenario, breadth first, so that the first violation found has a shortest trace.

From every state: each process may do its next operation; if the budget allows, its operation is lost (the caller sees a
time-out; the request stays in the air and is applied at any later moment, or never), or the process is killed and
replaced by what its client and its host do next; a request in the air arrives; the clock ticks.
"""

import gc
import time
from array import array
from collections import deque, namedtuple

from . import protocol, storage
from .properties import Ghost, check, check_end
from .storage import TIMEOUT

Scenario = namedtuple(
    "Scenario",
    "name text processes rows log writers race after_crash studies crashes losses ticks "
    "blobs tail clock tidy page batch most_pending grace keep skews patience",
    defaults=((), (), (), (), {}, ("s",), 0, 0, 0, False, False, False, False, 2, 99, 99, 2, 4, (), 0),
)
Result = namedtuple("Result", "problem trace states edges ends seconds acyclic complete")
WRITES = ("transaction", "blob put", "blob delete")


class Checker:
    def __init__(self, scenario, without=frozenset(), limit=6_000_000, only=None):
        self.scenario, self.limit, self.only = scenario, limit, only
        g = protocol.G
        g.without = frozenset(without)
        for field in ("blobs", "tail", "clock", "tidy", "page", "batch", "most_pending", "grace", "keep"):
            setattr(g, field, getattr(scenario, field))
        self.stores, self.ghosts, self.locals = Intern(), Intern(), Intern()
        self.next_op, self.steps, self.checked, self.ended, self.noted = {}, {}, {}, {}, {}

    # -------------------------------------------------- programs

    def start(self, program):
        """Number of the local state of a program that has not done its first operation yet; 0 when it has ended."""
        return self.advance((*program, ())) if program else 0

    def advance(self, local):
        while True:
            name, arguments, answers = local
            run = protocol.PROGRAMS[name](*arguments)
            if isinstance(run, tuple) or run is None:
                following = run
            else:
                try:
                    op = next(run)
                    for a in answers:
                        op = run.send(a)
                    number = self.locals(local)
                    self.next_op[number] = op
                    return number
                except StopIteration as stop:
                    following = stop.value
            if following is None:
                return 0
            local = (following[0], following[1], ())

    def apply(self, op, store, ghost, skew):
        """All (answer, store, ghost) that one operation may give."""
        kind = op[0]
        if kind == "transaction":
            answer, new = storage.transaction(store, op[1], self.scenario.tidy)
            if answer[0] == "ok" and op[2]:
                ghost = ghost._replace(log=(*ghost.log, op[2][1:]))
            return [(answer, new, ghost)]
        if kind == "read":
            return [(storage.read(store, op[1]), store, ghost)]
        if kind == "partition":
            return [(storage.partition(store, op[1]), store, ghost)]
        if kind == "feed":
            return [(storage.feed_page(store, op[1], self.scenario.page), store, ghost)]
        if kind == "tail":
            return [(storage.feed_tail(store), store, ghost)]
        if kind == "now":
            return [(storage.get(store, "C")[1] + skew, store, ghost)]
        if kind == "choose":
            return [(n, store, ghost) for n in range(op[1])]
        if kind == "answer":
            return [(None, store, ghost._replace(answers=tuple(sorted((*ghost.answers, op[1:])))))]
        if kind == "poll":
            page = storage.feed_page(store, op[2], self.scenario.page)
            ids = tuple(row.id for _, _, row in page if isinstance(row, storage.Entry))
            return [(len(ids), store, self.observe(ghost, op[1], ids, None))]
        if kind == "observe":
            return [(None, store, self.observe(ghost, op[1], op[2], op[3]))]
        if kind == "blob put":
            row = (storage.get(store, "C")[1] or 0, op[2])
            return [("ok", storage.put(store, f"B:{op[1]}", row), ghost)]
        if kind == "blob get":
            return [(storage.get(store, f"B:{op[1]}")[1], store, ghost)]
        if kind == "blob delete":
            if storage.get(store, f"B:{op[1]}")[1] is None:
                return [("gone", store, ghost)]
            return [("ok", storage.put(store, f"B:{op[1]}", None), ghost)]
        raise ValueError(op)

    @staticmethod
    def observe(ghost, consumer, ids, closed):
        rest = [c for c in ghost.consumers if c[0] != consumer]
        mine = next((c for c in ghost.consumers if c[0] == consumer), (consumer, (), None))
        return ghost._replace(consumers=tuple(sorted([*rest, (consumer, mine[1] + ids, closed)])))

    def step(self, local, store, ghost, index):
        """[(next local, store, ghost)] of the next operation of a process, remembered."""
        skew = self.scenario.skews[index] if self.scenario.skews else 0
        key = (local, store, ghost, skew)
        found = self.steps.get(key)
        if found is None:
            found = []
            name, arguments, answers = self.locals[local]
            for answer, s, g in self.apply(self.next_op[local], self.stores[store], self.ghosts[ghost], skew):
                found.append((self.advance((name, arguments, (*answers, answer))), self.stores(s), self.ghosts(g)))
            self.steps[key] = found
        return found

    def lost(self, local):
        key = ("lost", local)
        if key not in self.steps:
            name, arguments, answers = self.locals[local]
            self.steps[key] = self.advance((name, arguments, (*answers, TIMEOUT)))
        return self.steps[key]

    # -------------------------------------------------- exploration

    def successors(self, state):
        """Yields (action, next state). A state: (store, ghost, local states, requests in the air, crashes, losses, ticks,
        stamps). `stamps` is used only where a scenario bounds how long a process or a request may stand still."""
        store, ghost, locals_, air, crashes, losses, ticks, stamps = state
        for i, local in enumerate(locals_):
            if not local:
                continue
            stamped = self.stamp(stamps, i, store)
            for branch, (after, s, g) in enumerate(self.step(local, store, ghost, i)):
                yield (
                    ("step", i, branch),
                    (s, g, (*locals_[:i], after, *locals_[i + 1 :]), air, crashes, losses, ticks, stamped),
                )
            write = self.next_op[local][0] in WRITES
            if losses and write:
                yield (
                    ("lose", i, 0),
                    (
                        store,
                        ghost,
                        (*locals_[:i], self.lost(local), *locals_[i + 1 :]),
                        self.sent(air, local, store),
                        crashes,
                        losses - 1,
                        ticks,
                        stamped,
                    ),
                )
            if crashes:
                after = (*locals_[:i], self.reborn(i), *locals_[i + 1 :])
                yield ("kill", i, 0), (store, ghost, after, air, crashes - 1, losses, ticks, stamped)
                if losses and write:
                    yield (
                        ("kill", i, 1),
                        (store, ghost, after, self.sent(air, local, store), crashes - 1, losses - 1, ticks, stamped),
                    )
        for k, (local, _) in enumerate(air):
            for _, s, g in self.arrive(local, store, ghost):
                yield ("arrive", k, 0), (s, g, locals_, air[:k] + air[k + 1 :], crashes, losses, ticks, stamps)
        if ticks and any(locals_):
            now = self.stores[store]
            s = self.stores(tuple((k, w, r + 1) if k == "C" else (k, w, r) for k, w, r in now))
            if stamps:  # what stood still for too long never goes on
                least = storage.get(now, "C")[1] + 1 - self.scenario.patience
                locals_ = tuple(local if at >= least else 0 for local, at in zip(locals_, stamps, strict=False))
                air = tuple(a for a in air if a[1] >= least)
            yield ("tick", 0, 0), (s, ghost, locals_, air, crashes, losses, ticks - 1, stamps)

    def stamp(self, stamps, i, store):
        return stamps and (*stamps[:i], storage.get(self.stores[store], "C")[1], *stamps[i + 1 :])

    def sent(self, air, local, store):
        at = storage.get(self.stores[store], "C")[1] if self.scenario.patience else 0
        return tuple(sorted((*air, (local, at))))

    def arrive(self, local, store, ghost):
        key = ("arrive", local, store, ghost)
        if key not in self.steps:
            self.steps[key] = [
                (None, self.stores(s), self.ghosts(g))
                for _, s, g in self.apply(self.next_op[local], self.stores[store], self.ghosts[ghost], 0)
            ]
        return self.steps[key]

    def reborn(self, i):
        program = self.scenario.after_crash.get(i)
        return self.start(program) if program else 0

    def verdict(self, state):
        key = (state[0], state[1])
        if key not in self.checked:
            self.checked[key] = check(self.stores[state[0]], self.ghosts[state[1]], self.scenario)
        problem = self.checked[key]
        if problem is None and not any(state[2]):
            if key not in self.ended:
                store, ghost = self.repaired(*key)
                self.ended[key] = check_end(self.stores[store], self.ghosts[ghost], self.scenario)
            problem = self.ended[key]
        return problem

    def repaired(self, store, ghost):
        for study in self.scenario.studies:
            local, rounds = self.start(("repair", (study,))), 0
            while local:
                local, store, ghost = self.step(local, store, ghost, 0)[0]
                rounds += 1
                if rounds > 200:
                    raise RuntimeError("the repairer does not end")
        return store, ghost

    def initial(self):
        store = (("C", 1, 1),)
        for key, row in self.scenario.rows:
            store = storage.put(store, key, row)
        locals_ = tuple(self.start(p) for p in self.scenario.processes)
        ghost = Ghost(self.scenario.log, (), ())
        s = self.scenario
        stamps = (1,) * len(locals_) if s.patience else ()
        return (self.stores(store), self.ghosts(ghost), locals_, (), s.crashes, s.losses, s.ticks, stamps)

    def run(self):
        began = time.time()
        gc.disable()
        first = self.initial()
        seen, queue = {first: 0}, deque([first])
        parents, actions, edges = array("i", [-1]), [None], array("I")
        degree, ends, problem, bad = array("I"), 0, self.verdict(first), first
        complete = True
        acts = {}
        while queue and not problem:
            state = queue.popleft()
            me, count = seen[state], 0
            for action, after in self.successors(state):
                number = seen.get(after)
                if number is None:
                    number = len(seen)
                    seen[after] = number
                    parents.append(me)
                    actions.append(acts.setdefault(action, action))
                    problem = self.verdict(after)
                    if problem and (self.only is None or self.only in problem):
                        bad = after
                        break
                    problem = None
                    queue.append(after)
                edges.append(number)
                count += 1
            degree.append(count)
            if not any(state[2]):
                ends += 1
            if len(seen) > self.limit:
                complete = False
                break
        trace = self.trace(parents, actions, seen[bad]) if problem else None
        acyclic = None if problem or not complete else no_cycle(degree, edges)
        gc.enable()
        return Result(problem, trace, len(seen), len(edges), ends, time.time() - began, acyclic, complete)

    # -------------------------------------------------- traces

    def trace(self, parents, actions, number):
        path = []
        while number:
            path.append(actions[number])
            number = parents[number]
        state, lines = self.initial(), []
        for action in reversed(path):
            after = next(s for a, s in self.successors(state) if a == action)
            lines.append(self.describe(state, action, after))
            state = after
        return [line for line in lines if line]

    def describe(self, state, action, after):
        kind, i, branch = action
        name = self.names[i] if i < len(self.names) else f"p{i}"
        if kind == "tick":
            return f"clock is {storage.get(self.stores[after[0]], 'C')[1]}"
        if kind == "arrive":
            return f"late request arrives: {say(self.next_op[state[3][i][0]])}"
        local = state[2][i]
        op = self.next_op[local]
        if kind == "kill":
            return f"{name} is killed" + (f", leaving in the air: {say(op)}" if branch else f" before: {say(op)}")
        if kind == "lose":
            return f"{name}: {say(op)} -> no answer"
        if op[0] == "choose":
            return None
        skew = self.scenario.skews[i] if self.scenario.skews else 0
        answer = self.apply(op, self.stores[state[0]], self.ghosts[state[1]], skew)[branch][0]
        return f"{name}: {say(op)}" + (f" -> {tell(op, answer)}" if answer is not None else "")

    @property
    def names(self):
        out = []
        for program, arguments in self.scenario.processes:
            out.append(
                arguments[0].id
                if program == "request"
                else f"{program} {arguments[0]}"
                if program in ("pages", "windows")
                else program
            )
        return out


class Intern:
    """Numbers for equal values, from 1."""

    def __init__(self):
        self.numbers, self.values = {}, [None]

    def __call__(self, value):
        number = self.numbers.get(value)
        if number is None:
            number = self.numbers[value] = len(self.values)
            self.values.append(value)
        return number

    def __getitem__(self, number):
        return self.values[number]


def no_cycle(degree, edges):
    """True when the state graph has no cycle: then every schedule ends, and no retry loop can run forever."""
    count = len(degree)
    incoming = array("I", bytes(4 * count))
    for number in edges:
        incoming[number] += 1
    starts, at = array("Q", [0]), 0
    for d in degree:
        at += d
        starts.append(at)
    ready = [n for n in range(count) if not incoming[n]]
    done = 0
    while ready:
        n = ready.pop()
        done += 1
        for e in range(starts[n], starts[n + 1]):
            m = edges[e]
            incoming[m] -= 1
            if not incoming[m]:
                ready.append(m)
    return done == count


def short(key):
    kinds = {
        "S": "study row",
        "I": "instance row",
        "O": "original's row",
        "P": "projection row",
        "F": "feed",
        "B": "file",
    }
    return kinds[key[0]] + " " + key[2:]


def say(op):
    kind = op[0]
    if kind == "transaction":
        parts = []
        for what, key, row, etag in op[1]:
            text = f"{what} {short(key)}"
            if etag not in (None, "*"):
                text += f" if {etag}"
            if isinstance(row, storage.Entry):
                text += f" = {row.action} by {row.id[0]} at {row.ts}"
            elif isinstance(row, storage.Seal):
                text += f" = seal until {row.until}"
            elif isinstance(row, storage.Proj):
                text += f" = {'shown' if row.shown else 'gone'}, rev {row.rev}"
            elif isinstance(row, storage.Study):
                text += (
                    f" = rev {row.last}, pending {[e.id[0] + ':' + e.action for e in row.pending]}"
                    + (f", unprojected {row.unproj}" if row.unproj else "")
                    + (f", deleting by {row.deleting}" if row.deleting else "")
                )
            parts.append(text)
        return "; ".join(parts)
    if kind == "read":
        return f"read {short(op[1])}"
    if kind == "feed":
        return f"read feed from {op[1]}"
    if kind == "answer":
        return f'ANSWERS "{op[2]}"'
    if kind == "observe":
        return f"takes {[i[0] for i in op[2]]} as all before {op[3]}"
    return " ".join(str(x) for x in op)


def tell(op, answer):
    if answer == TIMEOUT:
        return "no answer"
    if op[0] == "transaction":
        return "ok" if answer[0] == "ok" else str(answer[1])
    if op[0] == "feed":
        return str(
            [
                f"{p}: {r.action} by {r.id[0]}" if isinstance(r, storage.Entry) else f"{p}: seal {r.until}"
                for p, _, r in answer
            ]
        )
    if op[0] in ("read", "partition"):
        row = answer[1]
        return (
            "absent"
            if row is None
            else f"etag {answer[0]}"
            + (f", pending {[e.id[0] for e in row.pending]}" if isinstance(row, storage.Study) else "")
        )
    return str(answer)
