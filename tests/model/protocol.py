"""The commit protocol as small programs. Each `yield` is one storage operation (or one look at the clock); between two
yields anything may happen: other processes run, this one is killed, the answer is lost. A program ends by returning the
next program, (name, arguments), or None. A program is a pure function of its arguments and of the answers it got.

G.without names the rules that are switched off, to show what each is for; the paper version lacks many at once.
"""

from collections import namedtuple
from types import SimpleNamespace

from .storage import TIMEOUT, Entry, Event, Inst, Orig, Proj, Seal, Study

G = SimpleNamespace(without=frozenset())

Do = namedtuple(
    "Do",
    "id kind study inst attr expiry known t0 blob next by made",
    defaults=(1, 0, "read", 0, None, None, None, None),
)
EMPTY = Study(0, 0, 0, None, 0, (), None, 0, 0)
NOW = ("now",)


WITH_FILE = ("post", "put", "update")
"""Requests that upload a file and have to come to their commit in time."""


def off(rule):
    return rule in G.without


def garbage(inst):
    """The files of an instance that is deleted or replaced."""
    return (inst.blob,) if inst.orig is None or off("end of the original") else (inst.blob, inst.orig)


# ---------------------------------------------------------------- requests


def request(p):
    """Entry of every write. `known`: 'absent' (the process believes the study new), 'read', or a cached (etag, row)."""
    if p.kind == "update":  # the new version is made from the one that there is
        _etag, row = yield ("read", f"I:{p.study}:{p.inst}")
        if row is None or (row.by == p.by and not off("operation in the row")):
            return None
        p = p._replace(made=row.blob)
    if p.kind in WITH_FILE:
        if G.clock:
            p = p._replace(t0=(yield NOW))
        name = p.id if not off("unique version") else f"{p.inst}@{p.t0}"
        p = p._replace(blob=name)
        if G.blobs:
            while (yield ("blob put", name, p.id)) == TIMEOUT:
                pass
    cursor = (yield ("tail",)) if G.tail else (0, 0)
    if p.known == "read" or p.kind in ("delete study", "expire"):
        return "reread", (p, cursor, None, ())
    etag, row = (None, None) if p.known == "absent" else p.known
    return "commit", (p, (etag, row, None, None), cursor, None, ())


def restudy(p, inst_etag, inst, cursor, fed):
    """Only the study row had moved on. What is known of the instance row stays: its own condition guards it."""
    etag, study = yield ("read", f"S:{p.study}")
    return "commit", (p, (etag, study, inst_etag, inst), cursor, None, fed)


def reread(p, cursor, doubt, fed):
    """Read what the next attempt stands on; find out whether a transaction without answer took place.

    The instance row is read before the study row: what the study row shows pending then covers what the instance row
    showed, so that a refusal never reveals a commit which nobody has put into feed and search.
    """
    if p.kind in ("delete study", "expire"):
        etag, study, rows = yield ("partition", p.study)
        inst_etag, inst = None, rows
    elif off("instance first"):
        etag, study = yield ("read", f"S:{p.study}")
        inst_etag, inst = yield ("read", f"I:{p.study}:{p.inst}")
    else:
        inst_etag, inst = yield ("read", f"I:{p.study}:{p.inst}")
        etag, study = yield ("read", f"S:{p.study}")
    snapshot = (etag, study, inst_etag, inst)
    if doubt is not None and not off("resolve lost answers"):
        used, before = doubt
        if used != etag:  # the study row moved on: the lost transaction is in, or dead
            mine = study is not None and any(e.id[0] == p.id for e in study.pending)
            position = before
            while not mine:
                page = yield ("feed", position + 1)
                mine = any(isinstance(row, Entry) and row.id[0] == p.id for _, _, row in page)
                if not page or page[-1][0] % G.page or not isinstance(page[-1][2], Entry):
                    break
                position = page[-1][0]
            if study is not None and study.deleting == p.id:
                return "finish", (p.study, p.id, cursor, p, None)
            if mine:
                return succeed(p, etag, study, cursor, 0)
            doubt = None
    return "commit", (p, snapshot, cursor, doubt, fed)


def commit(p, snapshot, cursor, doubt, fed):
    """One attempt: a single entity-group transaction in the partition of the study, guarded by its row."""
    etag, study, inst_etag, inst = snapshot
    again = ("reread", (p, cursor, doubt, ()))
    if study is not None and study.deleting and not off("finish deletions first"):
        return "finish", (p.study, study.deleting, cursor, None, again)
    store = p.kind in ("post", "put")
    file = p.kind in WITH_FILE
    if p.kind == "post" and inst is not None:
        return refuse(p, etag, study, cursor, "duplicate")
    if not store and (not inst or study is None):
        return refuse(p, etag, study, cursor, "not found")
    if p.kind == "update" and inst.by == p.by and not off("operation in the row"):
        return refuse(p, etag, study, cursor, "already")
    if p.kind == "update" and inst.blob != p.made and not off("made from"):
        return refuse(p, etag, study, cursor, "replaced")
    now = (yield NOW) if G.clock else 0
    if p.kind == "expire" and not (study.expiry and study.expiry <= now):
        return refuse(p, etag, study, cursor, "kept")
    if G.clock and file and now - p.t0 >= G.grace / 2 and not off("clock rule"):
        return refuse(p, etag, study, cursor, "given up" if doubt is None else "unknown")
    base = study if study is not None else EMPTY
    carried = tuple(e for e in base.pending if e.id not in fed)
    known = (*tuple(e.id for e in base.pending), base.unproj)
    if store and not base.live and base.unproj and base.unproj not in fed and not off("tombstone before rebirth"):
        return settle(
            p.study, etag, study, cursor, 0, ("reread", (p, cursor, doubt, known if not off("remember") else ()))
        )
    if len(carried) >= G.most_pending:
        return settle(p.study, etag, study, cursor, 0, ("reread", (p, cursor, doubt, known)))

    version = max(base.last + 1, 10 * now if G.tidy else 0)
    if off("unique version"):
        version = max(now, 1)
    guard = ("insert", f"S:{p.study}", None) if study is None else ("replace", f"S:{p.study}", etag)
    after = cursor[0]
    if store:
        attr = p.attr if p.attr else base.attr
        unproj = version if not base.live or attr != base.attr else 0 if base.unproj in fed else base.unproj
        event = Event(
            (p.id, p.inst),
            "update" if inst else "create",
            p.inst,
            version,
            garbage(inst) if inst else (),
            after,
            now if off("scan by position") else 0,
        )
        new = base._replace(
            last=version,
            created=base.created if base.live else version,
            live=base.live + (not inst),
            attr=attr,
            unproj=unproj,
            pending=(*carried, event),
            expiry=p.expiry,
            t=now,
        )
        row = Inst(version, p.blob)
        rows = [
            ("insert", f"I:{p.study}:{p.inst}", row, None)
            if not inst
            else ("replace", f"I:{p.study}:{p.inst}", row, inst_etag),
            *without_original(p.study, p.inst, inst),
        ]
        events = (event,)
    elif p.kind == "update":
        attr = p.attr if p.attr else base.attr
        original = inst.orig or inst.blob
        events = (
            Event(
                (p.id, p.inst),
                f"bulk {p.by} {p.made}",
                p.inst,
                version,
                (inst.blob,) if inst.orig or off("keep the original") else (),
                after,
            ),
        )
        new = base._replace(
            last=version,
            attr=attr,
            unproj=version if attr != base.attr else 0 if base.unproj in fed else base.unproj,
            pending=carried + events,
            t=now,
        )
        rows = [("replace", f"I:{p.study}:{p.inst}", Inst(version, p.blob, original, p.by), inst_etag)]
        if not inst.orig:
            rows.append(("insert", f"O:{p.study}:{p.inst}", Orig(original), None))
    elif p.kind == "delete":
        live = base.live - 1
        events = (Event((p.id, p.inst), "delete", p.inst, version, garbage(inst), after),)
        new = base._replace(
            last=version,
            live=live,
            pending=carried + events,
            unproj=base.unproj if live else version,
            attr=base.attr if live else None,
            expiry=base.expiry if live else 0,
            t=now,
        )
        rows = [("delete", f"I:{p.study}:{p.inst}", None, inst_etag), *without_original(p.study, p.inst, inst)]
    elif len(inst) <= G.batch:  # a study that fits one transaction
        events = tuple(Event((p.id, name), "delete", name, version, garbage(row), after) for name, _, row in inst)
        new = base._replace(last=version, live=0, attr=None, expiry=0, unproj=version, pending=carried + events, t=now)
        rows = removals(p.study, inst)
    else:  # mark it deleted; then remove it piece by piece
        events = ()
        if off("deletion mark"):
            return "piecemeal", (p, cursor, ())
        new = base._replace(last=version, deleting=p.id, attr=None, expiry=0, unproj=version, pending=carried, t=now)
        rows = []
    content = (new.created, new.attr) if new.live and not new.deleting else None
    answer = yield (
        "transaction",
        ((guard[0], guard[1], new, guard[2]), *rows),
        ("commit", p.id, p.study, version, content, tuple((e.id, e.inst, e.action, e.version) for e in events)),
    )
    if answer == TIMEOUT:
        if off("resolve lost answers"):  # a client library that repeats the request by itself
            answer = yield (
                "transaction",
                ((guard[0], guard[1], new, guard[2]), *rows),
                ("commit", p.id, p.study, version, content, tuple((e.id, e.inst, e.action, e.version) for e in events)),
            )
            if answer == TIMEOUT:
                return "reread", (p, cursor, doubt, fed)
        else:
            return "reread", (p, cursor, (etag, after) if doubt is None else doubt, fed)
    if answer[0] != "ok":
        if answer[2] == 0 and doubt is None and (file or p.kind == "delete"):
            return "restudy", (p, inst_etag, inst, cursor, fed)
        return "reread", (p, cursor, doubt, fed)
    if new.deleting == p.id:
        return "project", (p.study, new, ("pieces", (p.study, p.id, cursor, (), (answer[1][0], new, inst), p, None)))
    return succeed(p, answer[1][0], new, cursor, version)


def without_original(study, name, inst):
    """What removes the row of an instance's original, if it has one."""
    if inst is None or inst.orig is None or off("end of the original"):
        return []
    return [("delete", f"O:{study}:{name}", None, "*")]


def removals(study, rows):
    """What removes instances, given as name, ETag and row."""
    instances = [("delete", f"I:{study}:{name}", None, etag) for name, etag, _ in rows]
    return [*instances, *(operation for name, _, row in rows for operation in without_original(study, name, row))]


def succeed(p, etag, study, cursor, own):
    """The change is committed: everything pending on the row goes into feed and search, then the answer."""
    if off("look for own events") and study is not None and study.pending:
        return "look_again", (p, etag, study, cursor, own)
    return settle(
        p.study, etag, study, cursor, own, ("answer", (p, "done", study.last if study else 0, etag, study)), p.id
    )


def look_again(p, etag, study, cursor, own):
    """Paper version: a writer re-reads before it appends, in case a repairer was faster."""
    _, row = yield ("read", f"S:{p.study}")
    then = ("answer", (p, "done", study.last, etag, study))
    if row is None or not any(e.id[0] == p.id for e in row.pending):
        return ("project", (p.study, study, then)) if study.unproj else then
    return settle(p.study, etag, study, cursor, own, then, p.id)


def refuse(p, etag, study, cursor, text):
    """A refusal tells the client what is stored; so what it tells must be in feed and search, too."""
    if G.blobs and p.kind in WITH_FILE and text != "unknown":
        return "discard", (p, etag, study, cursor, text)
    return refuse_now(p, etag, study, cursor, text)


def discard(p, etag, study, cursor, text):
    """The file of a store that surely was not committed."""
    yield ("blob delete", p.blob)
    return refuse_now(p, etag, study, cursor, text)


def refuse_now(p, etag, study, cursor, text):
    last = ("answer", (p, text, study.last if study else 0, etag, study))
    if off("settle on refusal"):
        return last
    return settle(p.study, etag, study, cursor, 0, last)


def answer(p, text, rev, etag, study):
    yield ("answer", p.id, text, p.study, rev)
    if p.next and study is not None and text == "done":  # the same process goes on: its next commit does the clearing
        fed = (*tuple(e.id for e in study.pending), study.unproj)
        if p.next.kind == "update":  # the next piece of a large one
            return "request", (p.next,)
        return "commit", (p.next._replace(blob=p.next.id), (etag, study, None, None), (0, 0), None, fed)
    if study is not None and (study.pending or study.unproj) and not study.deleting:
        return "clear", (p.study, etag, study)


def clear(name, etag, study):
    """After the answer: take off the row what is known to be in feed and search. Losing this race is no loss."""
    if off("guarded clear"):
        yield ("transaction", (("merge", f"S:{name}", (("pending", ()), ("unproj", 0)), None),), None)
    elif off("keep empty row") and not study.live:
        yield ("transaction", (("delete", f"S:{name}", None, etag),), None)
    else:
        yield ("transaction", (("replace", f"S:{name}", study._replace(pending=(), unproj=0), etag),), None)


# ---------------------------------------------------------------- what follows a commit


def settle(name, etag, study, cursor, own, then, mine=None):
    """Bring all that is pending on this row into the feed, in its order, and its content into `studies`."""
    if study is None:
        return then
    events = study.pending
    if off("help in order") and mine:
        events = tuple(e for e in events if e.id[0] == mine)
    project = study.unproj and not (off("projection mark") and mine and study.unproj != own)
    if events and project:
        return "both", (name, events, study, cursor, then)
    if events:
        return "append", (events, cursor, then)
    if project:
        return "project", (name, study, then)
    return then


def both(name, events, study, cursor, then):
    """Feed and projection are written in parallel: in either order."""
    if (yield ("choose", 2)):
        return "append", (events, cursor, ("project", (name, study, then)))
    return "project", (name, study, ("append", (events, cursor, then)))


def append(events, cursor, then):
    """Append events whose `after` is the last position that could not hold them: look through what follows it."""
    lowest = min(e.after for e in events)
    if off("scan from commit"):
        lowest = (yield ("tail",))[0]
    if lowest >= cursor[0]:
        return "insert", (events, cursor[0], cursor[1], None, then)
    return "scan", (events, max(lowest - 1, 0), 0, True, then)


def scan(events, position, ts, check, then):
    """Read on to the end of the feed and drop the events that are there already."""
    while True:
        page = yield ("feed", position + 1)
        seal = None
        for position_, etag, row in page:
            if isinstance(row, Seal):
                seal = (etag, row.until)
                break
            position, ts = position_, row.ts
            if check:
                events = tuple(e for e in events if e.id != row.id or (off("scan by position") and row.ts < e.t))
        if not events:
            return then
        if not page or seal or position % G.page:
            return "insert", (events, position, ts, seal, then)


def insert(events, position, ts, seal, then):
    """Take the position after the last one. Nothing but 'not taken yet' lets this succeed, and all before was read."""
    now = (yield NOW) if G.clock else 1
    stamp = now if off("monotone time") else max(now, ts, seal[1] if seal else 0)
    fits = events[: G.page - position % G.page]
    rows = [Entry(e.id, e.action, e.inst, e.version, e.old, stamp) for e in fits]
    operations = tuple(
        ("replace", f"F:{position + 1 + k:03d}", row, seal[0])
        if seal and k == 0
        else ("insert", f"F:{position + 1 + k:03d}", row, None)
        for k, row in enumerate(rows)
    )
    answer = yield ("transaction", operations, None)
    if answer != TIMEOUT and answer[0] == "ok":
        rest = events[len(fits) :]
        return ("insert", (rest, position + len(fits), stamp, None, then)) if rest else then
    return "scan", (events, position, ts, not off("look for own events"), then)


def project(name, study, then, absent=False, fresh=False):
    """Write the row of `studies`, unless it is already newer; a deleted study leaves a tombstone there."""
    if G.tidy and not fresh and not off("late projection"):
        if (yield NOW) - study.t >= G.grace:  # the tombstone may have come and gone: look again
            _, study = yield ("read", f"S:{name}")
            return ("project", (name, study, then, absent, True)) if study is not None and study.unproj else then
    key = f"P:{name}:{study.created}"
    row = Proj(study.unproj, study.live > 0 and not study.deleting, study.attr, study.t)
    if off("projection tombstone") and not row.shown:
        while (yield ("transaction", (("delete", key, None, "*"),), None)) == TIMEOUT:
            pass
        return then
    if off("projection guard"):
        while (yield ("transaction", (("upsert", key, row, None),), None)) == TIMEOUT:
            pass
        return then
    if absent or study.unproj == study.created:
        answer = yield ("transaction", (("insert", key, row, None),), None)
        if answer != TIMEOUT and answer[0] == "ok":
            return then
    return "reproject", (name, study, then)


def reproject(name, study, then):
    key = f"P:{name}:{study.created}"
    etag, found = yield ("read", key)
    if found is None:
        return "project", (name, study, then, True)
    if found.rev >= study.unproj:
        return then
    row = Proj(study.unproj, study.live > 0 and not study.deleting, study.attr, study.t)
    answer = yield ("transaction", (("replace", key, row, etag),), None)
    if answer != TIMEOUT and answer[0] == "ok":
        return then
    return "reproject", (name, study, then)


# ---------------------------------------------------------------- deletion of more rows than a transaction takes


def finish(name, mark, cursor, owner, then):
    """Remove a marked study piece by piece. Whoever meets the mark does this: owner, next writer, repairer."""
    etag, study, rows = yield ("partition", name)
    if study is None or study.deleting != mark:
        if owner:
            return settle(
                name, etag, study, cursor, 0, ("answer", (owner, "done", study.last if study else 0, etag, study))
            )
        return settle(name, etag, study, cursor, 0, then)
    pieces = ("pieces", (name, mark, cursor, (), (etag, study, rows), owner, then))
    return ("project", (name, study, pieces)) if study.unproj else pieces


def pieces(name, mark, cursor, fed, snapshot, owner, then):
    """The study is gone from search already; each piece's events are in the feed before the next piece goes."""
    etag, study, rows = snapshot
    again = ("finish", (name, mark, cursor, owner, then))
    waiting = tuple(e for e in study.pending if e.id not in fed)
    if waiting:
        ids = tuple(e.id for e in study.pending)
        return "append", (waiting, cursor, ("pieces", (name, mark, cursor, ids, snapshot, owner, then)))
    if study.deleting != mark:
        if owner:
            return "answer", (owner, "done", study.last, etag, study)
        return again
    piece, rest = rows[: G.batch], rows[G.batch :]
    version = study.last + 1
    events = tuple(
        Event((mark, inst, version), "delete", inst, version, garbage(row), cursor[0]) for inst, _, row in piece
    )
    new = study._replace(last=version, live=len(rest), pending=events, unproj=0, deleting=mark if rest else None)
    answer = yield (
        "transaction",
        (
            ("replace", f"S:{name}", new, etag),
            *removals(name, piece),
        ),
        ("commit", f"{mark}/piece", name, version, None, tuple((e.id, e.inst, e.action, e.version) for e in events)),
    )
    if answer == TIMEOUT or answer[0] != "ok":
        return again
    return "pieces", (name, mark, cursor, (), (answer[1][0], new, rest), owner, then)


def piecemeal(p, cursor, fed):
    """The deletion of a large study without a mark, to show what the mark is for."""
    etag, study, rows = yield ("partition", p.study)
    if not rows:
        return succeed(p, etag, study, cursor, 0)
    piece, rest = rows[: G.batch], rows[G.batch :]
    version = study.last + 1
    events = tuple(
        Event((p.id, inst, version), "delete", inst, version, garbage(row), cursor[0]) for inst, _, row in piece
    )
    new = study._replace(
        last=version,
        live=len(rest),
        pending=study.pending + events,
        unproj=study.unproj if rest else version,
        attr=study.attr if rest else None,
    )
    content = (new.created, new.attr) if rest else None
    yield (
        "transaction",
        (
            ("replace", f"S:{p.study}", new, etag),
            *removals(p.study, piece),
        ),
        (
            "commit",
            f"{p.id}/piece",
            p.study,
            version,
            content,
            tuple((e.id, e.inst, e.action, e.version) for e in events),
        ),
    )
    return "piecemeal", (p, cursor, ())


# ---------------------------------------------------------------- repair


def repair(name):
    """At start-up, by timer, at any time: the same settling that every writer does. Nothing is claimed."""
    etag, study = yield ("read", f"S:{name}")
    if study is None:
        return None
    if study.deleting:
        return "finish", (name, study.deleting, (0, 0), None, ("repair", (name,)))
    if study.pending or study.unproj:
        if off("look for own events"):  # paper version: claim the row, then look through the feed
            answer = yield ("transaction", (("replace", f"S:{name}", study, etag),), None)
            if answer == TIMEOUT or answer[0] != "ok":
                return "repair", (name,)
            then = ("clear", (name, answer[1][0], study))
            then = ("project", (name, study, then)) if study.unproj else then
            return ("scan", (study.pending, 0, 0, True, then)) if study.pending else then
        return settle(name, etag, study, (0, 0), 0, ("clear", (name, etag, study)))


# ---------------------------------------------------------------- readers of the feed


def pages(consumer, position, polls):
    """Walks the feed with offset and limit."""
    for _ in range(polls):
        seen = yield ("poll", consumer, position + 1)
        return ("pages", (consumer, position + seen, polls - 1)) if polls > 1 else None


def windows(consumer, start, polls):
    """Walks closed windows [start, now), [now, later) ..."""
    end = yield NOW
    if end <= start:
        return None
    return "window", (consumer, start, end, 0, 0, (), polls)


def window(consumer, start, end, position, ts, found, polls):
    while True:
        page = yield ("feed", position + 1)
        seal = None
        for position_, etag, row in page:
            if isinstance(row, Seal):
                seal = (etag, row.until)
                break
            position, ts = position_, row.ts
            found += ((row.id, row.ts),)
        if page and not seal and position % G.page == 0:
            continue
        if not (off("seal") or ts >= end or (seal and seal[1] >= end)):
            now = yield NOW
            operation = (
                ("replace", f"F:{position + 1:03d}", Seal(now), seal[0])
                if seal
                else ("insert", f"F:{position + 1:03d}", Seal(now), None)
            )
            answer = yield ("transaction", (operation,), None)
            if answer == TIMEOUT or answer[0] != "ok":
                return "window", (consumer, start, end, position, ts, found, polls)
        yield ("observe", consumer, tuple(i for i, t in found if start <= t < end), end)
        return ("windows", (consumer, end, polls - 1)) if polls > 1 else None


# ---------------------------------------------------------------- blobs


def retrieve(reader, name, inst):
    """Row, then file. A file that is gone was replaced or deleted meanwhile: read the row again."""
    _etag, row = yield ("read", f"I:{name}:{inst}")
    if row is None:
        yield ("answer", reader, "not found", name, 0)
        return None
    if (yield ("blob get", row.blob)) is not None:
        yield ("answer", reader, "done", name, 0)
        return None
    if off("read again"):
        yield ("answer", reader, "broken", name, 0)
        return None
    return "retrieve", (reader, name, inst)


def retrieve_original(reader, name, inst):
    """The first stored version: the row of an updated instance names it, a row of its own describes it."""
    _etag, row = yield ("read", f"I:{name}:{inst}")
    if row is None:
        yield ("answer", reader, "not found", name, 0)
        return None
    if row.orig is not None:
        _etag, original = yield ("read", f"O:{name}:{inst}")
        if original is not None and (original.blob == row.orig or off("the original that is named")):
            row = original
        elif not off("the original that is named"):  # replaced or deleted meanwhile
            return "retrieve_original", (reader, name, inst)
    found = yield ("blob get", row.blob)
    if found is None:
        return "retrieve_original", (reader, name, inst)
    yield ("answer", reader, f"original {found[1]}", name, 0)


def housekeep(position, polls):
    """Follows the feed and removes the files that its entries replaced or deleted (worst case: no grace)."""
    page = yield ("feed", position + 1)
    for position_, _, row in page:
        if isinstance(row, Entry):
            position = position_
            for old in row.old:
                yield ("blob delete", old)
    if polls > 1:
        return "housekeep", (position, polls - 1)


def sweep(name, inst, blob):
    """Removes a file that no row names."""
    now = yield NOW
    found = yield ("blob get", blob)
    if found is None:
        return None
    if not off("grace") and now - found[0] < G.grace:
        return None
    etag, study = yield ("read", f"S:{name}")
    _, row = yield ("read", f"I:{name}:{inst}")
    if row is not None and (row.blob == blob or (row.orig == blob and not off("named originals"))):
        return None
    if not off("fence"):
        operation = ("insert", f"S:{name}", EMPTY, None) if study is None else ("replace", f"S:{name}", study, etag)
        answer = yield ("transaction", (operation,), None)
        if answer == TIMEOUT or answer[0] != "ok":
            return None
    yield ("blob delete", blob)


def tidy(name):
    """Removes the row of a study that has been empty for long."""
    etag, study = yield ("read", f"S:{name}")
    now = yield NOW
    if study is None or study.live or study.pending or study.unproj or study.deleting or now - study.t < G.keep:
        return None
    yield ("transaction", (("delete", f"S:{name}", None, etag),), None)


def untomb(name, created):
    """Removes a tombstone in `studies` that has lain for long, whatever the study has become since."""
    key = f"P:{name}:{created}"
    etag, row = yield ("read", key)
    now = yield NOW
    if row is not None and not row.shown and now - row.t >= G.keep:
        yield ("transaction", (("delete", key, None, etag),), None)


PROGRAMS = {
    f.__name__: f
    for f in (
        request,
        look_again,
        discard,
        restudy,
        reread,
        commit,
        answer,
        clear,
        both,
        append,
        scan,
        insert,
        project,
        reproject,
        finish,
        pieces,
        piecemeal,
        repair,
        pages,
        windows,
        window,
        retrieve,
        retrieve_original,
        housekeep,
        sweep,
        tidy,
        untomb,
    )
}
