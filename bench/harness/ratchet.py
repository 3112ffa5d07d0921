# SPDX-License-Identifier: MIT
"""Fails if an operation of tournant takes more than bench/ratchet.txt allows. No peers, no JSON."""
import os

from kit.packages import PACKAGES, ROOT, build_release, install_missing
from kit.processes import Failure, say

from harness import callgrind, instructions, programs
from harness.rows import OURS

CASES = instructions.CASES
ROUNDS, QUICK_ROUNDS = 1, 1
FILE = os.path.join(ROOT, "bench", "ratchet.txt")
TARGETS = ["virtual_micro", "virtual_tournant_server", "bench_open_loop"]
TOLERANCE = 0.02  # of the figure
SLACK = 0.02      # per operation: what happens once in a hundred operations may happen three times
HEAD = """# Per operation, as ./tools/bench ratchet counts with Debian 12's gcc, C library and libuv. It fails if a figure is more
# than 2 % above its limit here. README.md ("The ratchet") says when a limit may be raised.
"""


def read(text):
    """Parses the file: name -> figure -> limit."""
    limits = {}
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] in ("#", "case"):
            continue
        if len(words) != 1 + len(callgrind.FIGURES):
            raise Failure("bench/ratchet.txt: a line that is none: " + line)
        limits[words[0]] = dict(zip(callgrind.FIGURES, map(float, words[1:])))
    return limits


def text_of(limits):
    lines = ["%-26s" % "case" + "".join("%13s" % name for name in callgrind.FIGURES)]
    for case, figures in limits.items():
        lines.append("%-26s%13.1f%13.2f%13.2f%13.3f" % (case, *[figures[name] for name in callgrind.FIGURES]))
    return HEAD + "\n".join(lines) + "\n"


def figures_of(rows):
    """Returns name -> figure -> value of tournant. A name is that of the case with the kind of tasks."""
    found = {}
    for row in rows.measured():
        case = "_".join([row.case] + [row.params[key] for key in ("tasks",) if key in row.params])
        found.setdefault(case, {})[row.unit.split("/")[0]] = min(row.values[OURS])
    return found


def case_of(name):
    """Returns the case that a name belongs to."""
    return name if name in CASES else name.rsplit("_", 1)[0]


def changes(now, limits):
    """Yields (figure, value, limit) of those that are more than TOLERANCE above or below the limit."""
    for name, limit in limits.items():
        if abs(now[name] - limit) > max(limit * TOLERANCE, SLACK):
            yield name, now[name], limit


def compare(found, limits, whole):
    """Returns (lines to print, names that fail). `whole`: all cases were counted, so each name of the file must be found."""
    lines, failed, lower = [], [], []
    for case, now in found.items():
        if case not in limits:
            lines.append("%s is not in bench/ratchet.txt" % case)
            failed.append(case)
            continue
        for name, value, limit in changes(now, limits[case]):
            change = " (%+.1f %%)" % ((value / limit - 1) * 100) if limit else ""
            lines.append("%s: %s %.4g, limit %.4g%s" % (case, name, value, limit, change))
            (failed if value > limit else lower).append(case)
    for case in [case for case in limits if whole and case not in found]:
        lines.append("%s is in bench/ratchet.txt and is no case any more" % case)
        failed.append(case)
    failed = list(dict.fromkeys(failed))
    if failed:
        lines += ["Grown by more than 2 %. If a feature is worth it, raise the limit in a commit of its own (bench/README.md):",
                  "    ./tools/bench ratchet --raise " + " ".join(dict.fromkeys(map(case_of, failed)))]
    if set(lower) - set(failed):
        lines += ["Shrunk by more than 2 %. To keep it so:", "    ./tools/bench ratchet --lower"]
    return lines, failed


def lowered(found, limits):
    """Returns the lower of value and limit of each figure."""
    return {case: {name: min(now[name], limits.get(case, now)[name]) for name in now} for case, now in found.items()}


def write(limits):
    with open(FILE, "w") as file:
        file.write(text_of(limits))
    say("wrote " + os.path.relpath(FILE))


def rewrite(found, limits, options, whole):
    """Writes the file with new limits for what was counted. `whole`: names that were not counted are dropped."""
    new = found if options.raises else lowered(found, limits)
    kept = {} if whole else limits
    order = list(dict.fromkeys(list(limits) + list(new)))
    write({case: new.get(case) or kept[case] for case in order if case in new or case in kept})


def count(options):
    install_missing(PACKAGES + callgrind.PACKAGES)
    build_release(TARGETS)
    ours = [program for program in programs.ALL if program.name == OURS]
    rows = instructions.run(ours, options.cases, options)
    if rows.broken:
        raise Failure("no " + ", no ".join(rows.broken))
    return figures_of(rows)


def main(options):
    whole = options.cases == CASES
    limits = {}
    if os.path.exists(FILE):
        with open(FILE) as file:
            limits = read(file.read())
    found = count(options)
    print(text_of(found).split("\n", HEAD.count("\n"))[-1], end="")
    if options.raises or options.lower:
        rewrite(found, limits, options, whole)
        return
    lines, failed = compare(found, limits, whole)
    for line in lines:
        print(line)
    print("%d passed, %d failed" % (len(found) - len(failed), len(failed)), flush=True)
    if failed:
        raise SystemExit(1)
