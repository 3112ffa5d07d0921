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
    cells = [["case", "", "unit", *programs, "best peer", "ratio"]]
    for row in rows:
        cells.append([row.case, params_text(row.params), row.unit, *[spread(row.values.get(name)) for name in programs],
                      row.best_peer() or "-", ratio_text(row)])
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def document(rows, about, commit):
    return {"machine": about, "commit": commit, "rows": [row.as_json() for row in rows]}


def write_json(name, rows, about, commit):
    os.makedirs(FOLDER, exist_ok=True)
    path = os.path.join(FOLDER, name + ".json")
    with open(path + ".new", "w") as file:
        json.dump(document(rows, machine.finish(about), commit), file, indent=1)
        file.write("\n")
    os.replace(path + ".new", path)  # whoever reads it meanwhile gets a whole one
    say("wrote " + os.path.relpath(path))


def print_all(rows):
    """`rows`: a Rows."""
    print("\nMedian (minimum-maximum) of the rounds; ratio: tournant / best peer, with its 95 % interval.\n")
    for line in table(rows.measured()):
        print(line)
    if rows.missing():
        print("\nMissing, because tournant has no such case yet (peers alone):\n")
        for line in table(rows.missing()):
            print(line)
    sys.stdout.flush()
