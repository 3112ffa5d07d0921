# SPDX-License-Identifier: MIT
"""As cases.py: ARCHITECTURE.md, its picture, and the table of cancellation points."""

from style import cancellation, hops, picture
from style.cases import header
from style.folders import FOLDERS
from style.source import Tree

SOURCES = {
    "runtime/x.c": "static int g(void) { return 0; }\nstatic const ops table = {g};\nstatic int f(ops *o)\n{\n    word = 1;\n"
    "    return o->poll(g());\n}\n",
    "net/y.c": "static int h(void) { return word; }\n",
}
LISTS = "1. `runtime/x.c:f`: a\n2. `runtime/x.c:g`: b\n   c\n3. `runtime/x.c:g` (from `f`; through `poll`): d\n\nText:\n\n"
OTHER = "1. `net/y.c:h` (meets `f` at `word`): e\n"


def page(first, *more):
    """The page: all journeys the same, but for the first."""
    texts = [first] + [LISTS + OTHER] * (len(hops.JOURNEYS) - 1)
    sections = "".join(f"## {title}\n\n{text}\n" for title, text in zip(hops.JOURNEYS, texts))
    return SOURCES | {hops.PAGE: f"# Architecture\n\n1. no hop\n\n{sections}"} | dict(more)


def drawing(text, of=None):
    return {"docs/architecture.dot": text, "docs/architecture.svg": f"<svg>\n{picture.stamp(of or text)}\n</svg>\n"}


def points(text, of=None):
    """A header with a function whose comment is `text`, and the table for the header `of`."""
    trees = [header("net/include/tn/x.h", f"/* {said} */\nTN_API int tn_f(void);") for said in (text, of or text)]
    return trees[0] | {cancellation.TABLE: cancellation.table(Tree(trees[1]))}


POINT = "Suspends: yes. Cancellation: yes; nothing is read."
PARTS = " ".join(f">{name}<" for layer, names in FOLDERS.items() for name in (layer + "/", *names) if name != "include")

BAD = [
    ("hop", page("No hop.\n")),
    ("hop", page("1. f is called.\n")),
    ("hop", page(LISTS.replace("x.c:f", "z.c:f") + OTHER)),
    ("hop", page(LISTS.replace("x.c:f", "x.c:k") + OTHER)),
    ("hop", page("1. `runtime/x.c:g`: a\n2. `runtime/x.c:f`: b\n")),
    ("hop", page(LISTS.replace("`poll`", "`drop`") + OTHER)),
    ("hop", page("1. `runtime/x.c:f`: a\n2. `net/y.c:h` (through `poll`): b\n")),
    ("hop", page(LISTS.replace("from `f`", "from `k`") + OTHER)),
    ("hop", page(LISTS.replace("from `f`", "after `f`") + OTHER)),
    ("hop", page(LISTS + OTHER.replace("`word`", "`poll`"))),
    ("hop", page(LISTS + OTHER.replace("`f` at", "`k` at"))),
    ("hop", page(LISTS + "1. `net/y.c:h`: e\n")),
    ("picture", drawing(PARTS, of="digraph {}")),
    ("picture", drawing(PARTS.replace(">sched<", ">schedule<"))),
    ("picture", {"docs/architecture.dot": PARTS}),
    ("cancellation-table", points(POINT, of="Suspends: yes. Cancellation: no.")),
    ("cancellation-table", points(POINT, of=POINT.replace("nothing", "a part"))),
    ("cancellation-table", points("Suspends: yes. Cancellation: no.", of="Suspends: while it is held. Cancellation: no.")),
]

GOOD = [page(LISTS + OTHER), drawing(PARTS), points(POINT)]
