# SPDX-License-Identifier: MIT
"""Functions that need a lock: their names and assertions say so, not their comments."""

import re

from style.contracts import comment_above
from style.source import IDENTIFIER, plain

CLAIM = re.compile(
    r"\block (?:is |must be )?held\b|(?:^|[.:;] )(?:called )?(?:under|with|within|holding) (?:the|its) (?:[\w']+ )?lock\b", re.I
)
# An assertion about a lock, or a call that takes or releases one: then the comment is about what the body does.
KNOWS = re.compile(r"\b\w+_(?:assert_held|assert_not_held|lock|unlock|acquire|release)\s*\(|\btni_held_assert(?:_not)?\s*\(")
RULES = ("lock-comment",)


def check(tree, report):
    bodies = {}
    sources = [source for source in tree.sources.values() if source.in_layer and not source.name.endswith(".S")]
    for source in sources:
        for name, _, first, last, _ in source.functions:
            bodies.setdefault(name, []).append("\n".join(source.code_lines[first - 1 : last]))
    for source in sources:
        for name, line in commented_functions(source):
            claim = CLAIM.search(" ".join(plain(comment_above(source, line)).split()))
            if claim and not name.endswith("_locked") and not any(map(KNOWS.search, bodies.get(name, ()))):
                report(source.path, line, "lock-comment",
                       f"{name}: `{claim.group(0)}`: end the name in _locked, and assert that the lock is held")


def commented_functions(source):
    """(name, first line) of each function that is defined or declared."""
    for name, _, brace, _, _ in source.functions:
        first = brace
        while first > 1 and re.search(r"[^;}\s]\s*$", source.code_lines[first - 2]):
            first -= 1
        yield name, first
    for text, first, _ in source.declarations:
        match = re.match(rf"[\w\s*]*?\b({IDENTIFIER})\s*\(", text)
        if match and not source.is_public_header:
            yield match.group(1), first
