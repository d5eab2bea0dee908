"""The storage primitives, exactly as strong as Azure Table and Blob storage give them.

A store is a sorted tuple of (key, writes, row). A deleted row keeps its slot with row None, so that `writes`, which
stands for the ETag, never repeats. Keys: `S:{study}` study row, `I:{study}:{instance}` instance row, `P:{study}:{created}`
projection row, `O:{study}:{instance}` row of an
original, `F:{position}` feed row, `B:{blob}` blob, `C` the clock of the storage (not a row).
Each operation is atomic by itself; nothing else is.
"""

from collections import namedtuple

Study = namedtuple("Study", "last created live attr unproj pending deleting expiry t")
Inst = namedtuple("Inst", "version blob orig by", defaults=(None, None))
Orig = namedtuple("Orig", "blob")
Proj = namedtuple("Proj", "rev shown attr t")
Event = namedtuple("Event", "id action inst version old after t", defaults=(0,))
Entry = namedtuple("Entry", "id action inst version old ts")
Seal = namedtuple("Seal", "until")

TIMEOUT = "timeout"


def get(store, key):
    for k, w, row in store:
        if k == key:
            return w, row
    return 0, None


def put(store, key, row):
    out, done = [], False
    for item in store:
        if item[0] == key:
            item, done = (key, item[1] + 1, row), True
        out.append(item)
    if not done:
        out.append((key, 1, row))
        out.sort(key=lambda item: item[0])
    return tuple(out)


def feed_key(position):
    return f"F:{position:03d}"


def transaction(store, operations, timestamps=False):
    """One entity-group transaction: all or nothing. Returns (answer, store). With `timestamps` the service notes in each
    study and projection row when it was written, as Azure does in `Timestamp`."""
    etags, new, now = [], store, get(store, "C")[1]
    for index, (kind, key, row, etag) in enumerate(operations):
        w, old = get(new, key)
        if kind == "insert":
            if old is not None:
                return ("error", 409, index), store
        elif kind == "upsert":
            pass
        elif kind == "merge":  # blind write of one property, no If-Match
            if old is None:
                return ("error", 404, index), store
            row = old._replace(**dict(row))
        else:  # replace, delete
            if old is None:
                return ("error", 404, index), store
            if etag != "*" and etag != w:
                return ("error", 412, index), store
            if kind == "delete":
                row = None
        if timestamps and isinstance(row, (Study, Proj)):
            row = row._replace(t=now)
        new = put(new, key, row)
        etags.append(get(new, key)[0])
    return ("ok", tuple(etags)), new


def read(store, key):
    w, row = get(store, key)
    return (None, None) if row is None else (w, row)


def partition(store, study):
    """One query over the partition of a study: the study row and its instance rows."""
    w, row = read(store, f"S:{study}")
    prefix = f"I:{study}:"
    return w, row, tuple((k[len(prefix) :], n, r) for k, n, r in store if r is not None and k.startswith(prefix))


def feed_page(store, position, size):
    """Rows from `position` (1-based) to the end of its feed partition; cut at the first hole."""
    out = []
    while True:
        w, row = get(store, feed_key(position))
        if row is None:
            break
        out.append((position, w, row))
        if position % size == 0:
            break
        position += 1
    return tuple(out)


def feed_tail(store):
    """Last entry, as (position, timestamp): found by galloping point reads, which see some instant."""
    position, ts = 0, 0
    while True:
        _, row = get(store, feed_key(position + 1))
        if not isinstance(row, Entry):
            return position, ts
        position, ts = position + 1, row.ts


def all_feed(store):
    return [(k, row) for k, _, row in store if k[0] == "F" and row is not None]
