# SPDX-License-Identifier: MIT
"""Figures that are given twice: what benchmarks have measured is in bench/README.md, and other texts quote it from there.

A sentence or a row of a table that names a case of micro and gives times has them from a paragraph or row of bench/README.md that
names the case too. The texts at the top of the tree give no measured figure that bench/README.md does not have.
"""

import re

from style.source import plain

REPORT = "bench/README.md"
TIME = re.compile(r"(?<![\w.])(\d[\d.,]*)(?:(?:–|-| to | and |, )(\d[\d.,]*))*\s*(?:ns|µs|us|ms)\b")
MEASURED = re.compile(r"(?<![\w.])(\d[\d.,]*)\s*(ns|µs|us|ms|%|bytes|[KMG]iB|instructions|requests/s|requests a second)(?!\w)")
NUMBER = re.compile(r"(?<![\w.])\d[\d.,]*\d|(?<![\w.])\d")
# Figures in the texts at the top that are no measurements: (figure, reason).
STATED = [
    ("256 KiB", "the default of tn_options.stack_size_bytes"),
    ("4 KiB", "a page"),
]

RULES = ("figure",)


def check(tree, report):
    if REPORT not in tree.texts:
        return
    cases = names_of_cases(tree.texts[REPORT])
    blocks = [text for _, text in units(tree.texts[REPORT], blocks=True)]
    known = {case: set().union(*(numbers(text) for text in blocks if names(text, case))) for case in cases}
    for path in sorted(tree.texts):
        if path.endswith(".md") and path != REPORT:
            check_cases(path, units(tree.texts[path]), known, report)
        elif path in tree.sources and tree.sources[path].in_layer:
            for first, comment in tree.sources[path].comments:
                found = units(plain(comment.removesuffix("*/")))
                check_cases(path, ((first + line - 1, text) for line, text in found), known, report)
        if path.endswith(".md") and "/" not in path:
            check_top(path, tree.texts[path], tree.texts[REPORT], report)


def names_of_cases(text):
    section = re.search(r"(?ms)^## The cases of micro$(.*?)^## ", text + "\n## ")
    cells = re.findall(r"(?m)^\|([^|]*)\|", section.group(1)) if section else []
    return sorted(set(re.findall(r"`([a-z]\w+)`", " ".join(cells))))


def units(text, blocks=False):
    """(line, text) of each row of a table and each sentence; with blocks, of each row and paragraph."""
    for block in re.finditer(r"(?:[^\n]+\n?)+", text):
        start = block.start()
        end = r"\n(?=\|)" if block.group(0).lstrip().startswith("|") else r"\Z" if blocks else r"(?<=[.;])\s"
        for piece in re.split(rf"({end})", block.group(0)):
            if piece.strip():
                yield text.count("\n", 0, start + len(piece) - len(piece.lstrip())) + 1, piece
            start += len(piece)


def names(text, case):
    return re.search(rf"(?<!\w){case}(?!\w)" if "_" in case else rf"`{case}\b[^`]*`", text)


def numbers(text):
    return {number.replace(",", "") for number in NUMBER.findall(text)}


def check_cases(path, found, known, report):
    for line, text in found:
        if text.lstrip().startswith("|"):
            figures = numbers("|".join(text.split("|")[2:]))
        else:
            figures = {number for match in TIME.finditer(text) for number in numbers(match.group(0))}
        for case in known if figures else ():
            if names(text, case) and figures - known[case]:
                missing = ", ".join(sorted(figures - known[case]))
                report(path, line, "figure", f"{missing} for {case}: {REPORT} does not have it beside the case")


def check_top(path, text, measured, report):
    for match in MEASURED.finditer(text):
        figure = " ".join(match.groups())
        number, unit = match.groups()
        stated = figure in [stated for stated, _ in STATED]
        if not stated and not re.search(rf"(?<![\w.]){re.escape(number)}\s*{re.escape(unit)}(?!\w)", measured):
            report(path, text.count("\n", 0, match.start()) + 1, "figure", f"{figure}: not in {REPORT}")
