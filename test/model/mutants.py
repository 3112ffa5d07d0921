#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Weakens the library in one place at a time, and requires that the model checker finds it.

    mutants.py BUILD [NAME...]      BUILD: a built preset `model`; NAME: only those of mutants.txt

Each mutant is applied to a copy of the sources, what depends on it is compiled and linked to its scenario's program, and the
scenario has to fail in the way that mutants.txt says, with a token that replays. Exit status 1 when one was missed.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LAYERS = ("runtime", "sync", "blocking_pool", "net")
LIMIT_S = 120

sys.path.insert(0, os.path.join(ROOT, "tools"))
from kit import mutants as lists  # noqa: E402


class Build:
    """What is known of a build of the preset `model`."""

    def __init__(self, path):
        self.path = os.path.join(os.path.abspath(path), "test", "model")
        self.scratch = os.path.join(self.path, "mutants")
        shutil.rmtree(self.scratch, ignore_errors=True)
        with open(os.path.join(path, "compile_commands.json"), encoding="utf-8") as file:
            self.commands = {entry["file"]: entry for entry in json.load(file)}
        self.members = {}

    def compile_command(self, source, tree, output):
        """The build's own command for `source`, with the layers taken from `tree`."""
        entry = self.commands[source]
        arguments = shlex.split(entry["command"])
        del arguments[arguments.index("-o") : arguments.index("-o") + 2]
        for layer in LAYERS:
            real = os.path.join(ROOT, layer)
            arguments = [
                os.path.join(tree, layer) + a[len(real) :] if a == real or a.startswith(real + "/") else a for a in arguments
            ]
        return arguments, output

    def compile(self, source, tree):
        output = os.path.join(tree, os.path.relpath(source, ROOT).replace("/", "_") + ".o")
        arguments, output = self.compile_command(source, tree, output)
        run([*arguments, "-w", "-o", output])
        return output

    def includes(self, source, tree, header):
        arguments, _ = self.compile_command(source, tree, "")
        arguments = [a for a in arguments if a != "-c"]
        return f"/{header}" in run([*arguments, "-w", "-MM"])

    def link(self, objects, output, *more):
        archives = [os.path.join(self.path, f"libmodel_{name}.a") for name in ("shipped", "engine")]
        return run(["cc", "-no-pie", *objects, "-Wl,--start-group", *archives, "-Wl,--end-group", "-o", output, *more])

    def scenario_source(self, program):
        for folder in ("scenarios", "selftest"):
            path = os.path.join(HERE, folder, program + ".c")
            if os.path.exists(path):
                return path
        sys.exit(f"{program}: no such program")

    def scenario_object(self, program):
        source = self.scenario_source(program)
        folder = os.path.basename(os.path.dirname(source))
        return os.path.join(self.path, "CMakeFiles", f"model_{program}.dir", folder, program + ".c.o")

    def linked_sources(self, program):
        """The library's sources that the program takes from the archive."""
        if program not in self.members:
            traced = self.link([self.scenario_object(program)], os.devnull, "-Wl,-t,-t")
            names = set(re.findall(r"libmodel_shipped\.a[)(]+([\w.]+\.c)\.o", traced))
            self.members[program] = [s for s in self.commands if os.path.basename(s) in names and in_layers(s)]
        return self.members[program]


def in_layers(source):
    return os.path.relpath(source, ROOT).split("/")[0] in LAYERS


def run(arguments):
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}\n{done.stdout}")
    return done.stdout


def scenario_of(mutant):
    return mutant.words[0]


def kinds_of(mutant):
    return mutant.words[1].split("|")


def build_mutant(build, mutant):
    tree = os.path.join(build.scratch, mutant.name)
    program = scenario_of(mutant).split(".")[0]
    for layer in LAYERS:
        if os.path.isdir(os.path.join(ROOT, layer)):
            shutil.copytree(os.path.join(ROOT, layer), os.path.join(tree, layer), ignore=shutil.ignore_patterns("*.md"))
    lists.change(ROOT, mutant, os.path.join(tree, mutant.file))
    scenario = build.scenario_object(program)
    if mutant.file.endswith(".c"):
        changed = [os.path.join(ROOT, mutant.file)]
    else:
        header = mutant.file
        changed = [source for source in build.linked_sources(program) if build.includes(source, tree, header)]
        if build.includes(build.scenario_source(program), tree, header):
            scenario = build.compile(build.scenario_source(program), tree)
    objects = [build.compile(source, tree) for source in changed]
    output = os.path.join(tree, "program")
    build.link([scenario, *objects], output)
    return output


def try_mutant(build, mutant):
    """(how it went, was it as it should be)"""
    begin = time.monotonic()
    try:
        program = build_mutant(build, mutant)
    except RuntimeError as error:
        return f"DOES NOT BUILD {mutant.name}: {error}", False
    try:
        output = subprocess.run(
            [program, scenario_of(mutant)], capture_output=True, text=True, timeout=LIMIT_S, check=False
        ).stdout
    except subprocess.TimeoutExpired:
        output = ""
    shutil.rmtree(os.path.dirname(program))
    match = re.search(rf"^{re.escape(scenario_of(mutant))}: bound \d+, (\d+) executions.*: ([\w -]+)$", output, re.M)
    kind = match.group(2) if match else f"nothing within {LIMIT_S} s"
    said = f"{kind}, {match.group(1) if match else '?'} executions, {time.monotonic() - begin:.1f} s"
    if kinds_of(mutant) == ["harmless"]:
        good = kind == "nothing found"
        return f"{'harmless' if good else 'NOT HARMLESS'} {mutant.name}: {said}", good
    good = kind in kinds_of(mutant) and "the replay did not" not in output
    return f"{'caught' if good else 'MISSED'} {mutant.name}: {said}", good


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    build = Build(sys.argv[1])
    mutants = lists.read(os.path.join(HERE, "mutants.txt"))
    mutants = [mutant for mutant in mutants if not sys.argv[2:] or mutant.name in sys.argv[2:]]
    if not mutants:
        sys.exit("mutants.txt has none to try")
    wrong = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for said, good in pool.map(lambda mutant: try_mutant(build, mutant), mutants):
            wrong += not good
            print(said, flush=True)
    print(f"{len(mutants) - wrong} as expected, {wrong} not")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
