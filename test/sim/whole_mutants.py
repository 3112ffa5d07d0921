#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks the library in one place at a time, and counts the seeds until the simulator notices.

    whole_mutants.py [--quick] [--list FILE] BUILD [NAME...]

BUILD: the build folder of the preset `dev`, which is brought up to date; NAME: only those of mutants.txt, or of FILE. Each
mutant is linked to sim_whole and sim_parts, which make the runs of RUNS, one after the other. A mutant that passes is linked to
the tests of its folder, with 20 seeds each; not with --quick. Prints a line of README.md's table for each. Exit status 1 if one
that the list expects to be found was missed, or the other way round.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LIMIT_S = 300

sys.path.insert(0, os.path.join(ROOT, "tools"))
from kit import mutants as lists  # noqa: E402
from kit import rebuild  # noqa: E402

WHOLE, PARTS = "test/sim/sim_whole", "test/sim/sim_parts"
STRICT = ["--without", "stall", "--without", "short", "--starve", "tn-monitor", "--size"]
RUNS = (
    ("", WHOLE, ["--seeds", "400"]),
    ("strict ", WHOLE, ["--seeds", "400", *STRICT, "prompt_us=2000"]),
    ("parts ", PARTS, ["--seeds", "400"]),
    ("parts, strict ", PARTS, ["--seeds", "400", *STRICT, "prompt_us=20000"]),
    ("fine ", WHOLE, ["--fine", "--seeds", "150"]),
    ("strict, fine ", WHOLE, ["--fine", "--seeds", "200", *STRICT, "prompt_us=2000"]),
    ("parts, fine ", PARTS, ["--fine", "--seeds", "400"]),
    ("parts, strict, fine ", PARTS, ["--fine", "--seeds", "400", *STRICT, "prompt_us=20000"]),
)


def simulate(line):
    """(seeds until the failure or None, why)"""
    try:
        done = subprocess.run(
            [*line, "--report", "--real-seconds", "20"], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None, ""
    runs = re.findall(r"^run \d+ (ok|failed).*?(?: why (.*))?$", done.stdout, re.M)
    failed = [number for number, (status, _) in enumerate(runs, 1) if status == "failed"]
    return (failed[0], runs[failed[0] - 1][1]) if failed else (None, "")


def tests_of_folder(build, mutant, changed):
    """The first simulated test of the mutant's layer that fails; None: all pass."""
    layer = mutant.file.split("/")[0]
    for name, test in build.tests().items():
        if name.startswith(f"sim/{layer}/") and test.run(build.link(test.target, changed), LIMIT_S) != 0:
            return name
    return None


def try_mutant(build, mutant, quick):
    """(what happened, the text of the table)"""
    with open(os.path.join(ROOT, mutant.file), encoding="utf-8") as file:
        changed = build.compile(mutant.file, mutant.apply(file.read()), rebuild.SIMULATOR)
    programs = {}
    for mode, program, options in RUNS:
        if program not in programs:
            programs[program] = build.link(program, changed)
        seeds, why = simulate([programs[program], *options])
        if seeds is not None:
            return "found", f"{mode}{seeds}: {why}"
    test = None if quick else tests_of_folder(build, mutant, changed)
    return ("elsewhere", f"`{test}`") if test else ("missed", "")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", metavar="BUILD")
    parser.add_argument("names", metavar="NAME", nargs="*")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", default=os.path.join(HERE, "mutants.txt"), metavar="FILE")
    return parser.parse_args()


def main():
    options = parse()
    rebuild.make(options.build, *([WHOLE, PARTS] if options.quick else []))
    build = rebuild.Build(options.build, os.path.join(options.build, "test", "sim", "mutants"))
    wrong = found = tried = 0
    for mutant in lists.read(options.list):
        if options.names and mutant.name not in options.names:
            continue
        happened, text = try_mutant(build, mutant, options.quick)
        good = (happened == "found") == (mutant.words == ["found"])
        wrong += not good
        found += happened == "found"
        tried += 1
        print(f"| `{mutant.name}` | {happened if good else 'NOW ' + happened} | {text} |", flush=True)
    shutil.rmtree(build.scratch, ignore_errors=True)
    print(f"{found} of {tried} found, {wrong} otherwise than expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
