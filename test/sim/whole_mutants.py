#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks the library in one place at a time, and counts the seeds until the simulator notices.

    whole_mutants.py [--quick] BUILD [NAME...]      BUILD: a built folder of the preset `dev`; NAME: only those of mutants.txt

Each mutant is linked to sim_whole, which runs up to 1000 seeds, 1000 of its stricter variant, and 300 in fine mode. A mutant that
passes is linked to the tests of its folder, with 20 seeds each; not with --quick. Prints a line of README.md's table for each.
Exit status 1 if one that mutants.txt expects to be found was missed, or the other way round.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LAYERS = ("runtime", "sync", "blocking_pool", "net")
LIMIT_S = 300
PROMPT = ["--without", "stall", "--without", "short", "--size", "prompt_us=2000"]
RUNS = (
    ("", ["--seeds", "1000"]),
    ("prompt ", ["--seeds", "1000", *PROMPT]),
    ("fine ", ["--fine", "--seeds", "300"]),
)


class Mutant:
    """An entry: `[NAME] FILE EXPECTED`, the old lines after `- `, the new ones after `+ `."""

    def __init__(self, head):
        self.name, self.file, self.expected = re.fullmatch(r"\[([\w-]+)\] (\S+) (\S+)", head).groups()
        self.old, self.new = [], []

    def apply(self, text):
        old = "\n".join(self.old)
        if text.count(old) != 1:
            sys.exit(f"{self.name}: the old text is found {text.count(old)} times in {self.file}")
        return text.replace(old, "\n".join(self.new))


def read_mutants():
    found = []
    with open(os.path.join(HERE, "mutants.txt"), encoding="utf-8") as file:
        for line in file.read().split("\n"):
            if line.startswith("["):
                found.append(Mutant(line))
            elif line[:1] in "-+" and line:
                (found[-1].old if line[0] == "-" else found[-1].new).append(line[2:])
    return found


class Build:
    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.scratch = os.path.join(self.path, "test", "sim", "mutants")
        with open(os.path.join(self.path, "compile_commands.json"), encoding="utf-8") as file:
            entries = json.load(file)
        self.commands = {e["file"]: e for e in entries if "tournant_sim_objects.dir" in e["command"]}
        self.objects = {e["file"]: os.path.join(e["directory"], shlex.split(e["command"])[-3]) for e in entries}

    def compile(self, mutant):
        """The object of the mutated source; its includes are those of the tree."""
        source = os.path.join(ROOT, mutant.file)
        entry = self.commands[source]
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.makedirs(self.scratch)
        changed = os.path.join(self.scratch, os.path.basename(source))
        with open(source, encoding="utf-8") as old, open(changed, "w", encoding="utf-8") as new:
            new.write(mutant.apply(old.read()))
        line = [changed if word == source else word for word in shlex.split(entry["command"])]
        line[line.index("-o") + 1] = changed + ".o"
        run([*line, "-w", "-iquote", os.path.dirname(source)], entry["directory"])
        return changed + ".o"

    def link(self, target, changed):
        """The program `target` of the build, with the changed object instead of the archive's."""
        ninja = ["ninja", "-t", "commands", "-s", target]
        line = subprocess.run(ninja, cwd=self.path, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]
        line = line[line.index("&& ") + 3 : line.rindex(" &&")] if line.startswith(": &&") else line
        words = shlex.split(line)
        output = os.path.join(self.scratch, os.path.basename(target))
        words[words.index("-o") + 1] = output
        words.insert(words.index("-o") + 2, changed)
        run(words, self.path)
        return output

    def programs_of(self, folder):
        names = os.listdir(os.path.join(self.path, "test", "sim"))
        return sorted(f"test/sim/{name}" for name in names if name.startswith(f"sim_{folder}_") and name.endswith("_test"))


def run(line, folder):
    done = subprocess.run(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(line)}\n{done.stdout}")


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
    listed = json.loads(
        subprocess.run(["ctest", "--show-only=json-v1"], cwd=build.path, capture_output=True, text=True, check=True).stdout
    )
    commands = {os.path.basename(test["command"][0]): test["command"][1:] for test in listed["tests"] if test.get("command")}
    for target in build.programs_of(mutant.file.split("/")[0]):
        program = build.link(target, changed)
        try:
            done = subprocess.run(
                [program, *commands[os.path.basename(target)]], capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return os.path.basename(target)
        if done.returncode != 0:
            return os.path.basename(target)
    return None


def try_mutant(build, mutant, quick):
    """(what happened, the text of the table)"""
    changed = build.compile(mutant)
    whole = build.link("test/sim/sim_whole", changed)
    for mode, options in RUNS:
        seeds, why = simulate([whole, *options])
        if seeds is not None:
            return "found", f"{mode}{seeds}: {why}"
    test = None if quick else tests_of_folder(build, mutant, changed)
    return ("elsewhere", f"`{test}`") if test else ("missed", "")


def main():
    arguments = [word for word in sys.argv[1:] if word != "--quick"]
    quick = len(arguments) < len(sys.argv) - 1
    if not arguments:
        print(__doc__)
        return 2
    build = Build(arguments[0])
    wrong = 0
    for mutant in read_mutants():
        if arguments[1:] and mutant.name not in arguments[1:]:
            continue
        happened, text = try_mutant(build, mutant, quick)
        good = (happened == "found") == (mutant.expected == "found")
        wrong += not good
        print(f"| `{mutant.name}` | {happened if good else 'NOW ' + happened} | {text} |", flush=True)
    shutil.rmtree(build.scratch, ignore_errors=True)
    print(f"{wrong} otherwise than expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
