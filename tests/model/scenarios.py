"""The situations that are explored: who runs, what is stored before, and what may go wrong."""

from .checker import Scenario
from .protocol import Do
from .storage import Entry, Event, Inst, Orig, Proj, Study


def request(name, kind, inst="i", study="s", **more):
    return "request", (Do(name, kind, study, inst, **more),)


def post(name, inst="i", study="s", **more):
    return request(name, "post", inst, study, **more)


def put(name, inst="i", study="s", **more):
    return request(name, "put", inst, study, **more)


def delete(name, inst="i", study="s", **more):
    return request(name, "delete", inst, study, **more)


def delete_study(name, study="s", **more):
    return request(name, "delete study", None, study, **more)


def update(name, inst="i", study="s", by="U", **more):
    return request(name, "update", inst, study, by=by, **more)


def expire(name, study="s"):
    return request(name, "expire", None, study)


REPAIR = ("repair", ("s",))


def stored(*instances, study="s", expiry=0, first=1):
    """Rows and history of a study in which X stored these instances, all in feed and search."""
    rows, log = [], []
    for k, inst in enumerate(instances, start=1):
        event = (f"X{k}{study}", inst)
        log.append((f"X{k}{study}", study, k, (1, 1), ((event, inst, "create", k),)))
        rows.append((f"I:{study}:{inst}", Inst(k, f"X{k}{study}")))
        rows.append((f"F:{first - 1 + k:03d}", Entry(event, "create", inst, k, (), 1)))
        rows.append((f"B:X{k}{study}", (0, f"X{k}{study}")))
    n = len(instances)
    rows.append((f"S:{study}", Study(n, 1, n, 1, 0, (), None, expiry, 0)))
    rows.append((f"P:{study}:1", Proj(1, True, 1, 0)))
    return {"rows": tuple(rows), "log": tuple(log)}


def updated():
    """A study of one instance that the operation W has updated."""
    made = stored("i")
    rows = dict(made["rows"])
    rows["I:s:i"] = Inst(2, "W", "X1s", "W")
    rows["O:s:i"] = Orig("X1s")
    rows["B:W"] = (0, "W")
    rows["S:s"] = Study(2, 1, 1, 1, 0, (), None, 0, 0)
    rows["F:002"] = Entry(("W", "i"), "bulk W X1s", "i", 2, (), 1)
    event = (("W", "i"), "i", "bulk W X1s", 2)
    return {"rows": tuple(sorted(rows.items())), "log": (*made["log"], ("W", "s", 2, (1, 1), (event,)))}


def emptied(study="s"):
    """A study whose only instance was stored and deleted; its empty row is kept."""
    made = stored("i", study=study)
    gone = (("Y", "i"), "i", "delete", 2)
    rows = dict(made["rows"])
    del rows[f"I:{study}:i"]
    rows[f"S:{study}"] = Study(2, 1, 0, None, 0, (), None, 0, 0)
    rows[f"P:{study}:1"] = Proj(2, False, None, 0)
    rows["F:002"] = Entry(("Y", "i"), "delete", "i", 2, (f"X1{study}",), 1)
    return {"rows": tuple(sorted(rows.items())), "log": made["log"] + (("Y", study, 2, None, (gone,)),)}


def unfinished(*studies):
    """Studies whose first store was killed after its commit: pending event, not in search; another used the feed since."""
    other = (("O", "i"), "i", "create", 1)
    rows = [
        ("S:o", Study(1, 1, 1, 1, 0, (), None, 0, 0)),
        ("I:o:i", Inst(1, "O")),
        ("P:o:1", Proj(1, True, 1, 0)),
        ("F:001", Entry(("O", "i"), "create", "i", 1, (), 1)),
        ("B:O", (0, "O")),
    ]
    log = [("O", "o", 1, (1, 1), (other,))]
    for study in studies:
        event = (f"X{study}", "i")
        pending = (Event(event, "create", "i", 1, (), 0),)
        rows += [
            (f"S:{study}", Study(1, 1, 1, 1, 1, pending, None, 0, 0)),
            (f"I:{study}:i", Inst(1, f"X{study}")),
            (f"B:X{study}", (0, f"X{study}")),
        ]
        log.append((f"X{study}", study, 1, (1, 1), ((event, "i", "create", 1),)))
    return {"rows": tuple(rows), "log": tuple(log)}


SCENARIOS = [
    Scenario(
        "post-post",
        "two POSTs of one new instance, a repairer; one kill, one lost answer",
        (post("A", known="absent"), post("B", known="absent"), REPAIR),
        writers=("A", "B"),
        race=("A", "B"),
        crashes=1,
        losses=1,
    ),
    Scenario(
        "post-post-retry",
        "the same; the client of a killed POST repeats it",
        (post("A", known="absent"), post("B", known="absent")),
        writers=("A", "B", "A2", "B2"),
        crashes=1,
        losses=1,
        after_crash={0: post("A2"), 1: post("B2")},
    ),
    Scenario(
        "post-post-kills",
        "two POSTs of one new instance, a repairer; two kills",
        (post("A", known="absent"), post("B", known="absent"), REPAIR),
        writers=("A", "B"),
        race=("A", "B"),
        crashes=2,
    ),
    Scenario(
        "post-post-file",
        "two POSTs of one new instance, whose loser removes its own file; one lost answer",
        (post("A", known="absent"), post("B", known="absent")),
        writers=("A", "B"),
        race=("A", "B"),
        losses=1,
        blobs=True,
    ),
    Scenario(
        "new-study",
        "two POSTs of different instances into one new study, a repairer; one kill, one lost answer",
        (post("A", "i", known="absent"), post("B", "j", known="absent"), REPAIR),
        writers=("A", "B"),
        crashes=1,
        losses=1,
    ),
    Scenario(
        "post-delete",
        "POST, DELETE of the same instance, a repairer; one kill, one lost answer",
        (post("A", known="absent"), delete("D"), REPAIR),
        writers=("A", "D"),
        crashes=1,
        losses=1,
    ),
    Scenario(
        "put-put",
        "two PUTs over one instance with other study attributes, a repairer; one kill, one lost answer",
        (put("A", attr=2), put("B", attr=3), REPAIR),
        writers=("A", "B"),
        crashes=1,
        losses=1,
        **stored("i"),
    ),
    Scenario(
        "put-delete",
        "PUT over an instance, two DELETEs of it; one lost answer",
        (put("A", attr=2), delete("D"), delete("E")),
        writers=("A", "D", "E"),
        losses=1,
        **stored("i"),
    ),
    Scenario(
        "delete-study",
        "two DELETEs of a study of two instances, a PUT into it; one kill, one lost answer",
        (delete_study("D"), delete_study("E"), put("A", attr=2)),
        writers=("A", "D", "E"),
        crashes=1,
        losses=1,
        **stored("i", "j"),
    ),
    Scenario(
        "rebirth",
        "DELETE of a study and two POSTs that store it again; one kill",
        (delete_study("D"), post("A", attr=2), post("B", "j", attr=3)),
        writers=("A", "B", "D"),
        crashes=1,
        **stored("i"),
    ),
    Scenario(
        "rebirth-lost",
        "DELETE of an instance and a POST that stores it again, a repairer; one lost answer, one kill",
        (delete("D"), post("A", attr=2), REPAIR),
        writers=("A", "D"),
        losses=1,
        crashes=1,
        **stored("i"),
    ),
    Scenario(
        "after-empty",
        "two POSTs into a study that was emptied, a DELETE; one lost answer",
        (post("A"), post("B", "j", attr=2), delete_study("D")),
        writers=("A", "B", "D"),
        losses=1,
        **emptied(),
    ),
    Scenario(
        "unfinished",
        "a study left pending by a dead writer; POST of the same instance, DELETE, a repairer; one kill",
        (post("A"), delete("D"), REPAIR),
        writers=("A", "D"),
        crashes=1,
        tail=True,
        **unfinished("s"),
    ),
    Scenario(
        "three-writers",
        "POST, PUT, DELETE of one new instance",
        (post("A", known="absent"), put("B", attr=2), delete("D")),
        writers=("A", "B", "D"),
    ),
    Scenario(
        "stale-cache",
        "two POSTs that start from an outdated study row, a PUT; one lost answer",
        (
            post("A", "j", known=(1, stored("i")["rows"][3][1])),
            post("B", "k", known=(1, stored("i")["rows"][3][1])),
            put("C", attr=2),
        ),
        writers=("A", "B", "C"),
        losses=1,
        **stored("i"),
    ),
    Scenario(
        "attributes",
        "two PUTs that change the study attributes, a POST that does not; one kill",
        (put("A", attr=2), put("B", attr=3), post("C", "j")),
        writers=("A", "B", "C"),
        crashes=1,
        **stored("i"),
    ),
    Scenario(
        "lazy-clear",
        "a process stores twice and clears with its second commit; a POST and a DELETE elsewhere; one kill",
        (post("A", "j", attr=2, next=Do("A+", "post", "s", "k")), post("B", "l"), delete_study("D")),
        writers=("A", "A+", "B", "D"),
        crashes=1,
        **stored("i"),
    ),
    Scenario(
        "lazy-clear-lost",
        "a process stores twice and clears with its second commit; a PUT, a repairer; one lost answer",
        (post("A", "j", attr=2, next=Do("A+", "put", "s", "k")), put("B", attr=3), REPAIR),
        writers=("A", "A+", "B"),
        losses=1,
        **stored("i"),
    ),
    Scenario(
        "expiry",
        "two expiry jobs, a PUT that renews; the clock ticks; one kill",
        (expire("E"), expire("F"), put("A", expiry=9)),
        writers=("A", "E", "F"),
        crashes=1,
        clock=True,
        ticks=1,
        grace=99,
        **stored("i", expiry=2),
    ),
    Scenario(
        "large-delete",
        "DELETE of a study larger than a transaction, a POST into it, a repairer; one kill",
        (delete_study("D"), post("A", "i", attr=2), REPAIR),
        writers=("A", "D"),
        crashes=1,
        batch=1,
        **stored("i", "j"),
    ),
    Scenario(
        "large-delete-lost",
        "two DELETEs of a study larger than a transaction; one lost answer, one kill",
        (delete_study("D"), delete_study("E")),
        writers=("D", "E"),
        losses=1,
        crashes=1,
        batch=1,
        **stored("i", "j", "k"),
    ),
    Scenario(
        "pending-full",
        "three POSTs into one study whose row may hold one pending event",
        (post("A", "j"), post("B", "k"), post("C", "l")),
        writers=("A", "B", "C"),
        most_pending=1,
        **stored("i"),
    ),
    Scenario(
        "feed-pages",
        "POSTs into three studies, a reader by offset; one lost answer",
        (
            post("A", study="a", known="absent"),
            post("B", study="b", known="absent"),
            post("C", study="c", known="absent"),
            ("pages", ("by offset", 0, 3)),
        ),
        writers=("A", "B", "C"),
        losses=1,
        studies=("a", "b", "c"),
    ),
    Scenario(
        "feed-repair",
        "two repairers of two unfinished studies and a POST into a third; one lost answer, one kill",
        (("repair", ("s",)), ("repair", ("t",)), post("A", study="a", known="absent")),
        writers=("A",),
        studies=("s", "t", "a"),
        losses=1,
        crashes=1,
        tail=True,
        **unfinished("s", "t"),
    ),
    Scenario(
        "skewed-repair",
        "two POSTs into one new study by hosts whose clocks differ, a repairer; one kill",
        (post("A", "i", known="absent"), post("B", "j", known="absent"), REPAIR),
        writers=("A", "B"),
        crashes=1,
        clock=True,
        grace=99,
        skews=(1, 0, 0),
    ),
    Scenario(
        "feed-windows",
        "POSTs into two studies, a reader by closed windows; the clock ticks twice",
        (post("A", study="a", known="absent"), post("B", study="b", known="absent"), ("windows", ("by time", 0, 3))),
        writers=("A", "B"),
        studies=("a", "b"),
        clock=True,
        ticks=2,
        grace=99,
    ),
    Scenario(
        "feed-skew",
        "the same with clocks that differ by one tick between the writers",
        (post("A", study="a", known="absent"), post("B", study="b", known="absent"), ("windows", ("by time", 0, 3))),
        writers=("A", "B"),
        studies=("a", "b"),
        clock=True,
        ticks=2,
        grace=99,
        skews=(0, 1, 0),
    ),
    Scenario(
        "feed-windows-repair",
        "POST, a repairer and a reader by closed windows; one kill, one lost answer; two ticks",
        (post("A", known="absent"), REPAIR, ("windows", ("by time", 0, 2))),
        writers=("A",),
        clock=True,
        ticks=2,
        crashes=1,
        losses=1,
        grace=99,
    ),
    Scenario(
        "feed-two-readers",
        "a POST, two readers by closed windows; two ticks, one lost answer",
        (post("A", known="absent"), ("windows", ("one", 0, 2)), ("windows", ("two", 0, 2))),
        writers=("A",),
        clock=True,
        ticks=2,
        losses=1,
        grace=99,
    ),
    Scenario(
        "retrieve",
        "retrieve while two PUTs replace the instance and housekeeping removes old files at once; one lost answer",
        (("retrieve", ("R", "s", "i")), put("A", attr=2), put("B"), ("housekeep", (1, 2))),
        writers=("A", "B"),
        blobs=True,
        losses=1,
        **stored("i"),
    ),
    Scenario(
        "retrieve-delete",
        "retrieve, DELETE and POST again, housekeeping at once; one kill",
        (("retrieve", ("R", "s", "i")), delete("D"), post("A"), ("housekeep", (1, 2))),
        writers=("A", "D"),
        blobs=True,
        crashes=1,
        **stored("i"),
    ),
    Scenario(
        "sweep-new",
        "POST into a new study and the sweep of its file, which has no row yet; three ticks; one lost answer",
        (post("A", known="absent"), ("sweep", ("s", "i", "A")), ("sweep", ("s", "i", "A"))),
        writers=("A",),
        blobs=True,
        clock=True,
        ticks=3,
        losses=1,
    ),
    Scenario(
        "sweep-known",
        "PUT over an instance, a sweep of its file, another PUT; three ticks",
        (put("A", attr=2), put("B"), ("sweep", ("s", "i", "A"))),
        writers=("A", "B"),
        blobs=True,
        clock=True,
        ticks=3,
        **stored("i"),
    ),
    Scenario(
        "update-put",
        "update of an instance, a PUT over it, a repairer; one kill, one lost answer",
        (update("U", attr=2), put("A", attr=3), REPAIR),
        writers=("U", "A"),
        crashes=1,
        losses=1,
        blobs=True,
        **stored("i"),
    ),
    Scenario(
        "update-post-delete",
        "update of an instance, DELETE and POST of it; one lost answer",
        (update("U", attr=2), delete("D"), post("A", attr=3)),
        writers=("U", "A", "D"),
        losses=1,
        blobs=True,
        **stored("i"),
    ),
    Scenario(
        "update-again",
        "two updates of an updated instance, housekeeping at once; one lost answer",
        (update("U", attr=2), update("V", by="V", attr=3), ("housekeep", (1, 3))),
        writers=("U", "V"),
        losses=1,
        blobs=True,
        **updated(),
    ),
    Scenario(
        "update-resumed",
        "update of two instances in two pieces, resumed when it is killed; a PUT over one of them; one lost answer",
        (update("U", attr=2, next=Do("U+", "update", "s", "j", attr=2, by="U")), put("A")),
        writers=("U", "U+", "U2", "U2+", "A"),
        crashes=1,
        losses=1,
        after_crash={0: update("U2", attr=2, next=Do("U2+", "update", "s", "j", attr=2, by="U"))},
        **stored("i", "j"),
    ),
    Scenario(
        "update-twice",
        "the same step of an update carried out by two processes; one lost answer, one kill",
        (update("U", attr=2), update("U2", attr=2), REPAIR),
        writers=("U", "U2"),
        losses=1,
        crashes=1,
        blobs=True,
        **stored("i"),
    ),
    Scenario(
        "update-ends",
        "PUT over an updated instance, DELETE of its study, housekeeping at once; one kill",
        (put("A", attr=2), delete_study("D"), ("housekeep", (1, 3))),
        writers=("A", "D"),
        crashes=1,
        blobs=True,
        **updated(),
    ),
    Scenario(
        "update-large-delete",
        "update of an instance, DELETE of its study, larger than a transaction; one kill, one lost answer",
        (update("U", attr=2), delete_study("D"), REPAIR),
        writers=("U", "D"),
        crashes=1,
        losses=1,
        batch=1,
        blobs=True,
        **stored("i", "j"),
    ),
    Scenario(
        "update-sweep",
        "update of an instance, sweeps of its original and of the new file; four ticks; one lost answer",
        (update("U", attr=2), ("sweep", ("s", "i", "X1s")), ("sweep", ("s", "i", "U"))),
        writers=("U",),
        blobs=True,
        clock=True,
        ticks=4,
        losses=1,
        **stored("i"),
    ),
    Scenario(
        "retrieve-original",
        "retrieve of the original while the instance is updated, replaced and updated again, housekeeping at once",
        (("retrieve_original", ("R", "s", "i")), put("A", attr=2), update("U"), ("housekeep", (1, 3))),
        writers=("A", "U"),
        blobs=True,
        **updated(),
    ),
    Scenario(
        "tidy",
        "an emptied study is stored again while its row and tombstone are removed; one lost answer",
        (post("A"), ("tidy", ("s",)), ("untomb", ("s", 1))),
        writers=("A",),
        clock=True,
        tidy=True,
        ticks=6,
        losses=1,
        keep=4,
        patience=2,
        **emptied(),
    ),
    Scenario(
        "tidy-delete",
        "POST and DELETE of a study; its row is removed",
        (post("A", known="absent"), delete_study("D"), ("tidy", ("s",))),
        writers=("A", "D"),
        clock=True,
        tidy=True,
        ticks=5,
        keep=4,
        patience=2,
    ),
    Scenario(
        "tidy-tombstone",
        "POST and DELETE of a study; its tombstone is removed",
        (post("A", known="absent"), delete_study("D"), ("untomb", ("s", 10))),
        writers=("A", "D"),
        clock=True,
        tidy=True,
        ticks=5,
        keep=4,
        patience=2,
    ),
    Scenario(
        "tidy-rebirth",
        "DELETE of a study, a POST that stores it again; the old tombstone is removed",
        (delete_study("D"), post("A", attr=2), ("untomb", ("s", 1))),
        writers=("A", "D"),
        clock=True,
        tidy=True,
        ticks=4,
        keep=4,
        patience=2,
        **stored("i"),
    ),
    Scenario(
        "tidy-sweep",
        "POST into a new study, the sweep of its file, then the row that fenced it is removed",
        (post("A", known="absent"), ("sweep", ("s", "i", "A")), ("tidy", ("s",))),
        writers=("A",),
        clock=True,
        tidy=True,
        blobs=True,
        ticks=9,
        losses=1,
        keep=4,
        patience=2,
    ),
]
