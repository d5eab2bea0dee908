"""What must hold in every state, and at the end. `ghost` is what an outside observer noted; no program reads it."""

import itertools
from collections import namedtuple

from .storage import Entry, Seal, Study, all_feed, get

Ghost = namedtuple("Ghost", "log answers consumers")
REFUSALS = ("duplicate", "not found", "kept", "given up", "already", "replaced")


def check(store, ghost, scenario):
    """The first violated property, in words, or None."""
    feed = all_feed(store)
    entries = [row for _, row in feed if isinstance(row, Entry)]
    positions = [int(k[2:]) for k, _ in feed]
    if positions != list(range(1, len(feed) + 1)) or any(isinstance(row, Seal) for _, row in feed[:-1]):
        return "feed: the sequence has a hole"
    ids = [e.id for e in entries]
    if len(set(ids)) != len(ids):
        return f"feed: an event is in it twice ({next(i for i in ids if ids.count(i) > 1)})"
    committed, order = {}, {}
    marks = {op: rev for op, _, rev, _, events in ghost.log if not events}
    for op, study, rev, content, events in ghost.log:
        for event_id, inst, action, version in events:
            if event_id in committed:
                return f"one request changed the store twice ({event_id[0]})"
            committed[event_id] = rev
            order.setdefault((study, inst), []).append((event_id, action, version))
    if any(i not in committed for i in ids):
        return "feed: an event of a change that was never committed"
    for a, b in itertools.pairwise(entries):
        if b.ts < a.ts:
            return "feed: timestamps decrease"
    for (study, inst), events in order.items():
        wanted = [e for e, _, _ in events]
        if [i for i in ids if i in wanted] != [i for i in wanted if i in ids]:
            return f"feed: order of {study}/{inst} is not the order of commits"
        row = get(store, f"I:{study}:{inst}")[1]
        last = events[-1]
        for (a, _, stored_at), (b, action, _) in itertools.pairwise(events):
            if b[0] in marks and stored_at > marks[b[0]]:
                return f"{b[0]} deleted {study}/{inst}, which {a[0]} stored after that deletion had been made visible"
        if (row.version if row else None) != (None if last[1] == "delete" else last[2]):
            return f"index: row of {study}/{inst} is not that of its last commit"
        if row is not None:
            mine = [e for e in entries if e.id in wanted and e.version == row.version]
            if len(mine) > 1 or (mine and [e.id for e in entries if e.id in wanted][-1] != mine[0].id):
                return f"feed: more than the newest entry of {study}/{inst} reads as current"
    problem = check_originals(store, entries, order)
    if problem:
        return problem
    for key, _, row in store:
        if key[0] == "I" and row is not None and scenario.blobs:
            if row.orig and get(store, f"B:{row.orig}")[1] is None:
                return f"blobs: the original of an updated instance is gone ({row.orig})"
            blob = get(store, f"B:{row.blob}")[1]
            if blob is None:
                return f"blobs: the file of a stored instance is gone ({row.blob})"
            writer = next(
                (e[0][0] for e in reversed(order.get(tuple(key[2:].split(":")), [])) if e[2] == row.version), None
            )
            if writer and blob[1] != writer:
                return f"blobs: {key[2:]} has the file of another request"
    # every answer about a study shows that its state is at least that of revision `rev`
    floor = dict.fromkeys({c[1] for c in ghost.log}, 0)
    ops = {c[0] for c in ghost.log}
    for op, text, study, rev in ghost.answers:
        if text == "broken":
            return "retrieve: the row was there, the file was not"
        if any(text == f"original {e[0][0]}" for events in order.values() for e in events if e[1].startswith("bulk")):
            return f"retrieve: {text.split()[1]} is no original"
        floor[study] = max(floor.get(study, 0), rev)
        if text in REFUSALS and op in ops:
            return f'{op} was answered "{text}", but its change is committed'
        if text == "done" and op in scenario.writers and op not in ops and f"{op}/piece" not in ops:
            return f'{op} was answered "done", but nothing is committed'
    for study, least in floor.items():
        states, now = [], None
        for _, name, rev, content, events in ghost.log:
            if name != study:
                continue
            if rev <= least:
                now = content
                missing = [e for e, _, _, _ in events if e not in ids]
                if missing:
                    return f"feed: {missing[0][0]} is not in it, though an answer showed that change"
            else:
                states.append(content)
        states.append(now)
        shown = [
            (int(key.rsplit(":", 1)[1]), row.attr)
            for key, _, row in store
            if row is not None and key.startswith(f"P:{study}:") and row.shown
        ]
        if len(shown) > 1:
            return f"search: {study} is shown twice"
        if (shown[0] if shown else None) not in states:
            return (
                f"search: {study} shows {shown[0] if shown else 'nothing'}, though an answer showed a state "
                f"of {now if now else 'nothing'}"
            )
    for consumer, got, closed in ghost.consumers:
        if len(set(got)) != len(got):
            return f"consumer {consumer}: got an event twice"
        if closed is None and tuple(ids[: len(got)]) != got:
            return f"consumer {consumer}: missed an event"
        if closed is not None:
            missed = [e.id for e in entries if e.ts < closed and e.id not in got]
            if missed:
                return f"consumer {consumer}: the event of {missed[0][0]} entered a window that was closed"
    return None


def check_originals(store, entries, order):
    """An update is made from the version before it, once; what was stored last stays named beside the latest."""
    named, originals = set(), {}
    for key, _, row in store:
        if row is not None and key[0] == "I":
            named |= {row.blob, row.orig}
            originals[key[2:]] = row.orig
    for (study, inst), events in order.items():
        stored, done = None, set()
        before = None
        for event_id, action, _ in events:
            if action.startswith("bulk"):
                _, operation, made = action.split()
                if operation in done:
                    return f"update: {operation} changed {study}/{inst} twice"
                if made != before:
                    return f"update: {event_id[0]} of {study}/{inst} was made from another version"
                done.add(operation)
            else:
                stored, done = event_id[0], set()
            before = event_id[0]
        row = get(store, f"I:{study}:{inst}")[1]
        if row is not None and row.orig != (stored if done else None):
            return f"update: the original of {study}/{inst} is said to be {row.orig}"
    for key, _, row in store:
        if row is not None and key[0] == "O" and originals.get(key[2:]) != row.blob:
            return f"update: a row of an original that nothing leads to ({key[2:]})"
    if any(row is not None and get(store, f"O:{key}")[1] is None for key, row in originals.items()):
        return "update: an original without its row"
    if any(old in named for e in entries for old in e.old):
        return "feed: calls a file garbage that a row names"
    return None


def check_end(store, ghost, scenario):
    """After everything has ended and one repairer has run alone."""
    problem = check(store, ghost, scenario)
    if problem:
        return problem
    entries = [row for _, row in all_feed(store) if isinstance(row, Entry)]
    ids = {row.id for row in entries}
    named = {name for key, _, row in store if key[0] == "I" and row is not None for name in (row.blob, row.orig)}
    named |= {old for entry in entries for old in entry.old}
    for op, _study, _rev, _content, events in ghost.log:
        for event in events:
            if event[0] not in ids:
                return f"end: {event[0][0]} never came into the feed"
            if event[2] != "delete" and event[0][0] not in named and scenario.blobs:
                return f"end: the file of {event[0][0]} is neither named nor called garbage"
    for key, _, row in store:
        if isinstance(row, Study):
            name = key[2:]
            if row.pending or row.unproj:
                return f"end: {name} still has something pending"
            if row.deleting:
                return f"end: the deletion of {name} was never completed"
            here = [k for k, _, r in store if r is not None and k.startswith(f"I:{name}:")]
            if len(here) != row.live:
                return f"end: {name} counts {row.live} instances and has {len(here)}"
            shown = [
                (int(k.rsplit(":", 1)[1]), r.attr)
                for k, _, r in store
                if r is not None and k.startswith(f"P:{name}:") and r.shown
            ]
            wanted = [(row.created, row.attr)] if row.live else []
            if shown != wanted:
                return f"end: search shows {name} as {shown}, the index has {wanted}"
    for op in scenario.writers:
        pieces = [c for c in ghost.log if c[0] == f"{op}/piece"]
        if pieces and any(
            k.startswith(f"I:{pieces[0][1]}:") and r is not None and r.version < pieces[0][2] for k, _, r in store
        ):
            return f"end: {op} deleted a part of {pieces[0][1]}, and nothing ever deletes the rest"
    posts = [o for o in scenario.race if any(a[0] == o and a[1] == "done" for a in ghost.answers)]
    answered = [o for o in scenario.race if any(a[0] == o for a in ghost.answers)]
    if len(answered) == len(scenario.race) and scenario.race and len(posts) != 1:
        return f"end: {len(posts)} of the racing requests won"
    return None
