# SPDX-License-Identifier: MIT
"""The table of cancellation points: made from the contracts of the public headers, and up to date."""

import os
import re

from style.contracts import SLOT, public_functions
from style.source import plain

TABLE = "docs/cancellation_points.md"
HEAD = """# Cancellation points

Made from the comments in the public headers by `tools/docs --tables`; do not edit.

A cancellation point returns `TN_ECANCELED` when its task or a cancel scope around the caller has been cancelled, and
`TN_ETIMEDOUT` when the deadline of a scope has passed. No other call fails by cancellation.
"""
IS_POINT = re.compile(r"yes; ")

RULES = ("cancellation-table",)


def check(tree, report):
    if TABLE in tree.texts and tree.texts[TABLE] != table(tree):
        report(TABLE, 1, "cancellation-table", "the headers say otherwise: run `tools/docs --tables`")


def slots(comment):
    """{slot: text} of a contract."""
    text = "\n".join(line.strip() for line in plain(comment.removesuffix("*/")).split("\n"))
    pieces = SLOT.split(text)
    values = [" ".join(value.split("\n\n")[0].split()) for value in pieces[2::2]]
    return dict(zip(pieces[1::2], values))


def contracts(tree):
    """{name: (header, slots)} of each public function."""
    found = {}
    for path, header in sorted(tree.headers.items()):
        if header.is_public_header:
            found.update((name, (path, slots(comment))) for name, _, comment in public_functions(header))
    return found


def cancelled(own):
    """What is left when the call is cut short; None: it is no cancellation point."""
    text = own.get("Cancellation", "")
    match = IS_POINT.match(text)
    if not match:
        return None
    left = text[match.end() :]
    return left[:1].upper() + left[1:].rstrip(".")


def rows(tree, functions):
    """Lines of a table; functions of one header with the same words share one."""
    shared = {}
    for name, path, *cells in functions:
        shared.setdefault((path, *cells), []).append(f"`{name}`")
    for (path, *cells), names in shared.items():
        target = os.path.relpath(path, os.path.dirname(TABLE))
        header = path.partition("/include/")[2] or os.path.basename(path)
        yield "| " + " | ".join([", ".join(names), f"[{header}]({target})", *(cell.replace("|", "\\|") for cell in cells)]) + " |"


def table(tree):
    points, others = [], []
    for name, (path, own) in contracts(tree).items():
        left, suspends = cancelled(own), own.get("Suspends", "").split(". ")[0].rstrip(".")
        if left is not None:
            points.append((name, path, suspends, left))
        elif suspends and not suspends.startswith("no"):
            others.append((name, path, suspends))
    lines = [HEAD, "| call | header | suspends | cancelled, it leaves |", "|---|---|---|---|", *rows(tree, points)]
    if others:
        lines += ["", "## Calls that wait and are none", "", "| call | header | suspends |", "|---|---|---|", *rows(tree, others)]
    return "\n".join(lines) + "\n"
