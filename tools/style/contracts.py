"""The comment of each public function."""

import re

from style.source import IDENTIFIER

RULES = ("slots",)


def check(tree, report):
    for source in tree.headers.values():
        if source.is_public_header:
            check_slots(tree, source, report)


def public_functions(source):
    """(name, line, comment) of each: the comment stands above it, or above the run of declarations that it is in."""
    previous, comment = -1, ""
    for text, first, last in source.declarations:
        match = re.search(rf"\bTN_API\b.*?\b({IDENTIFIER})\s*\(", text)
        if not match:
            continue
        if first != previous + 1:
            comment = comment_above(source, first)
        previous = last
        yield match.group(1), first, comment


def comment_above(source, line):
    first = line - 1
    while first >= 1 and first in source.commented and not source.code_lines[first - 1].strip():
        first -= 1
    return "\n".join(source.lines[first : line - 1])


def check_slots(tree, source, report):
    for name, line, comment in public_functions(source):
        other = re.search(r"\b[Aa]s (tn_\w+)", comment)
        if "Suspends:" not in comment and not (other and re.search(rf"\b{other.group(1)}\s*\(", tree.public_code)):
            report(source.path, line, "slots", f"{name}: its comment does not say `Suspends:` nor `as tn_…`")
