# SPDX-License-Identifier: MIT
"""The table on the terminal, and the JSON."""
import json
import os
import sys

from kit.packages import ROOT
from kit.processes import say

from harness import machine, stats
from harness.rows import OURS

FOLDER = os.path.join(ROOT, "build", "bench")


def number(value):
    if value is None:
        return "-"
    return "%.0f" % value if abs(value) >= 1000 else "%.1f" % value if abs(value) >= 10 else "%.2f" % value


def spread(values):
    if values is None:
        return "-"
    if len(values) == 1:
        return number(values[0])
    return "%s (%s-%s)" % (number(stats.median(values)), number(min(values)), number(max(values)))


def params_text(params):
    return " ".join("%s=%s" % item for item in params.items())


def ratio_text(row):
    if row.ratio() is None:
        return "-"
    interval = row.interval()
    return "%.2f" % row.ratio() + (" [%.2f-%.2f]" % tuple(interval) if interval else "")


def table(rows):
    """Lines of text."""
    programs = list(dict.fromkeys(name for row in rows for name in [OURS, *row.values]))
    cells = [["case", "", "unit", *programs, "peer", "ratio"]]
    for row in rows:
        cells.append([row.case, params_text(row.params), row.unit, *[spread(row.values.get(name)) for name in programs],
                      row.compared() or "-", ratio_text(row)])
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def document(rows, about, commit):
    """`rows`: a Rows."""
    return {"machine": about, "commit": commit, "rows": [row.as_json() for row in rows.measured()],
            "distributions": [spread.as_json() for spread in rows.distributions()]}


def json_text(whole):
    """One line per row."""
    parts = []
    for key, value in whole.items():
        lines = "[\n%s\n]" % ",\n".join(json.dumps(item) for item in value) if isinstance(value, list) else json.dumps(value)
        parts.append("%s: %s" % (json.dumps(key), lines))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def write_json(name, whole):
    os.makedirs(FOLDER, exist_ok=True)
    path = os.path.join(FOLDER, name + ".json")
    with open(path + ".new", "w") as file:
        file.write(json_text(whole))
    os.replace(path + ".new", path)  # a concurrent reader gets the old file or the new one
    say("wrote " + os.path.relpath(path))


def print_all(rows, about):
    """`rows`: a Rows."""
    print("\n" + machine.one_line(about))
    print("Median (minimum-maximum) of the rounds; ratio: tournant / the peer beside it, with its 95 % interval.\n")
    for line in table(rows.measured()):
        print(line)
    if rows.missing():
        print("\nMissing, because tournant has no such case yet (peers alone):\n")
        for line in table(rows.missing()):
            print(line)
    sys.stdout.flush()
