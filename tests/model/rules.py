"""Each rule that the paper version lacked, taken out again: what breaks, in which scenario. `change` narrows a scenario so
that the trace shows this cause and no shorter one."""

from collections import namedtuple

from .protocol import Do

Rule = namedtuple("Rule", "name scenario change only", defaults=(None,))

RULES = [
    Rule("look for own events", "post-post", {"losses": 1, "crashes": 0}),
    Rule("look for own events", "post-post", {"losses": 0, "crashes": 0}),
    Rule("scan from commit", "unfinished", {}),
    Rule("scan by position", "skewed-repair", {}),
    Rule("help in order", "post-delete", {"losses": 0}, "order of"),
    Rule("resolve lost answers", "post-post", {"crashes": 0}),
    Rule("resolve lost answers", "put-put", {"crashes": 0}),
    Rule("resolve lost answers", "rebirth-lost", {"crashes": 0}),
    Rule("instance first", "post-post", {"crashes": 0}),
    Rule("settle on refusal", "post-post-retry", {"losses": 0}),
    Rule("settle on refusal", "post-post", {"losses": 0, "crashes": 0}),
    Rule("settle on refusal", "rebirth", {}),
    Rule("projection mark", "new-study", {"losses": 0}),
    Rule("projection guard", "put-put", {"losses": 0, "crashes": 0}),
    Rule("projection tombstone", "post-delete", {"losses": 0, "crashes": 0}),
    Rule("tombstone before rebirth", "rebirth", {"crashes": 0}),
    Rule("remember", "rebirth", {"crashes": 0}),
    Rule("guarded clear", "new-study", {"losses": 0}),
    Rule("keep empty row", "post-delete", {"crashes": 0, "clock": True, "tidy": True, "grace": 99}),
    Rule("late projection", "tidy-tombstone", {}),
    Rule("seal", "feed-windows", {}),
    Rule("monotone time", "feed-skew", {}),
    Rule(
        "deletion mark",
        "large-delete",
        {"processes": (("request", (Do("D", "delete study", "s", None),)),), "writers": ("D",)},
    ),
    Rule("finish deletions first", "large-delete", {}),
    Rule("read again", "retrieve", {"losses": 0}),
    Rule("fence", "sweep-new", {"losses": 0}),
    Rule("clock rule", "sweep-new", {"losses": 0}),
    Rule("grace", "sweep-new", {"losses": 0}),
    Rule("unique version", "retrieve", {"losses": 0}),
    Rule("unique version", "rebirth", {"crashes": 0}),
    Rule("keep the original", "update-twice", {"losses": 0, "crashes": 0}),
    Rule("end of the original", "update-ends", {"crashes": 0}),
    Rule("operation in the row", "update-twice", {"losses": 0, "crashes": 0}),
    Rule("made from", "update-put", {"losses": 0, "crashes": 0}),
    Rule("named originals", "update-sweep", {"losses": 0}),
    Rule("the original that is named", "retrieve-original", {}, "is no original"),
    Rule("resolve lost answers", "update-twice", {"crashes": 0}),
]

# what the paper version had, or what only the corrected one needs; everything else it lacked
PAPER_HAD = {
    "guarded clear",
    "monotone time",
    "remember",
    "late projection",
    "keep the original",
    "end of the original",
    "operation in the row",
    "made from",
    "named originals",
    "the original that is named",
}
