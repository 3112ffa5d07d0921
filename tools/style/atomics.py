# SPDX-License-Identifier: MIT
"""What is written beside an atomic access."""

import re
from collections import defaultdict

from style.source import IDENTIFIER, plain

REASON_LINES = 4  # a comment this far above an atomic access is about it
ATOMIC = re.compile(r"(?<!\w)(tni_(?:a32|a64|aptr|fence)_\w+)\s*\(")

# partner: NAME, NAME (file.c) and the load of NAME. What follows the name in a sentence of its own, or behind a semicolon.
PARTNERS = re.compile(r"\b[Pp]artners?:\s+((?:[^.;:()]|\.(?=\w)|\(\w+\.[chS]\))*)")
PARTNER = re.compile(rf"(?:^|\s)({IDENTIFIER})(?:\(\))?(?: \((\w+\.[chS])\))?$")

RULES = ("reason", "partner")


def check(tree, report):
    files_of = defaultdict(set)  # by name: the files of the layers that define or declare it
    for source in tree.sources.values():
        if source.in_layer and not source.name.endswith(".S"):
            for name in source.names():
                files_of[name].add(source.name)
    for source in tree.sources.values():
        if source.in_layer and not source.name.endswith(".S"):
            check_partners(source, files_of, report)
            if not re.fullmatch(r"(atomic|thread)\.[ch]", source.name):
                check_reasons(source, report)


def check_reasons(source, report):
    covered = None  # the last access that has a reason
    for number, line in enumerate(source.code_lines, 1):
        accesses = [name for name in ATOMIC.findall(line) if not name.endswith("_init")]
        if not accesses:
            continue
        near = range(max(1, number - REASON_LINES), number + 1)
        if any(other in source.commented for other in near) or (covered and number - covered <= 2):
            covered = number
        else:
            report(source.path, number, "reason", f"{accesses[0]}: what it publishes or observes; its partner; what breaks")


def is_near(source, files, name, other):
    """Whether a reader finds the name: in the file `other`, by its prefix, here or in the family (mpsc.h, mpsc_send.c)."""
    if other:
        return other in files
    if name.startswith(("tn_", "tni_", "TN")):
        return bool(files)
    return any(re.split(r"[._]", file)[0] == re.split(r"[._]", source.name)[0] for file in files)


def check_partners(source, files_of, report):
    for first, comment in source.comments:
        comment = plain(comment.removesuffix("*/"))
        for match in PARTNERS.finditer(comment):
            line = first + comment.count("\n", 0, match.start())
            for item in filter(None, map(str.strip, re.split(r",|\sand\s", " ".join(match.group(1).split()) + " "))):
                found = PARTNER.search(item)
                files = files_of.get(found.group(1), set()) if found else set()
                if not found or not is_near(source, files, *found.groups()):
                    report(source.path, line, "partner", f"`{item}` must end with a name of this file, or NAME (file.c)")
