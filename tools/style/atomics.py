"""What is written beside an atomic access."""

import re

REASON_LINES = 4  # a comment this far above an atomic access is about it
ATOMIC = re.compile(r"(?<!\w)(tni_(?:a32|a64|aptr|fence)_\w+)\s*\(")

RULES = ("reason",)


def check(tree, report):
    for source in tree.sources.values():
        if source.in_layer and not source.name.endswith(".S") and not re.fullmatch(r"prim(_\w+)?\.[ch]", source.name):
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
            report(source.path, number, "reason", f"{accesses[0]}: what does it publish or observe, for whom, why so?")
