# SPDX-License-Identifier: MIT
"""tools/mutate: changes ordinary statements of the library, one at a time, and reports the changes that no test notices.

A change is one of: a comparison, a condition that is negated, `&&` and `||`, a statement that is dropped, a returned value, a
constant, `+` and `-`. What is needed of the build folder of the preset `dev` is brought up to date. The changed file is compiled
apart from it, and linked to one test of its layer after the other, the likeliest first, until one fails: those that execute the
line, without @16 and @migrate, and then the same tests on the simulated machine. Which tests execute a line is measured once for
each layer and state of the library, in some minutes. A test may take five times as long as without a change, and 20 s more.

A change that no test notices has survived. equivalent.txt lists survivors that change nothing that a program can observe, with
the reason; they are not counted. The last line is `N passed, N failed`: killed, and survived. Exit status 1 if less than
--percent of those that count were killed.

--seed and --count choose the changes: the same numbers give the same ones, as long as the sources are the same. --list prints
them. --only takes a regular expression for `FILE:LINE:`. --minutes begins no change after that time.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import time

from kit import coverage, rebuild

TOOLS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TOOLS)
BUILD = os.path.join(ROOT, "build", "dev")
SCRATCH = os.path.join(ROOT, "build", "mutate")
EQUIVALENT = os.path.join(TOOLS, "equivalent.txt")
LAYERS = ("runtime", "sync", "blocking_pool", "net")
LEFT_OUT = ("runtime/sim/",)  # not part of the library
# The tests of a layer: those of the libraries in its folders too, and for the OS layer of processes those that start some.
TESTS = {
    "runtime": r"runtime/[^@]*|net/process_\w+",
    "sync": r"sync/[^@]*",
    "blocking_pool": r"blocking_pool/[^@]*",
    "net": r"(net|tls|admin)/[^@]*",
}

# What is no ordinary statement: checks of the program itself, counters, text for people.
NO_STATEMENT = re.compile(r"\b(tni_\w*assert\w*|_Static_assert|static_assert|tni_count\w*|__builtin_prefetch|\w*prefetch\w*)\b")
DECLARATION = re.compile(
    r"^\s*(static|const|typedef|struct|enum|union|extern|inline|volatile)\b|^\s*[a-z_]\w*\s+\**[a-z_]\w*\s*(=|;|\[)"
)
SWAPS = {"==": "!=", "!=": "==", "<": "<=", ">": ">=", "<=": "<", ">=": ">", "&&": "||", "||": "&&", "+": "-", "-": "+"}
OPERATOR = re.compile(r" (==|!=|<=|>=|<|>|&&|\|\||\+|-) ")
NUMBER = re.compile(r"(?<![\w.])(\d+)(?![\w.])")
CONDITION = re.compile(r"\b(if|while) \((.*)\)( \{)?$")
RETURN = re.compile(r"^(\s*)return (.+);$")
STATEMENT = re.compile(r"^(\s+)(\(void\))?[a-z_][\w>.\-\[\]]*( [-+|&^]?= .*|\(.*\)|\+\+|--);$")


class Change:
    def __init__(self, file, line, old, new):
        self.file, self.line, self.old, self.new = file, line, old, new

    def __str__(self):
        return f"{self.file}:{self.line}: {self.old.strip()}  =>  {self.new.strip() or ';'}"

    def is_equivalent(self, known):
        return (self.file, self.old.strip(), self.new.strip() or ";") in known


# --- Finding places ---------------------------------------------------------------------------------------------------------


def without_comments(text):
    """The text with comments, strings and characters as blanks, of the same length."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
    return pattern.sub(lambda match: re.sub(r"[^\n]", "\x01", match.group(0)), text)


def returned(value):
    if value in ("true", "false"):
        return ["false" if value == "true" else "true"]
    if value == "NULL":
        return []
    if value == "0":
        return ["-1"]
    return ["0"]


def changes_of_line(plain, line):
    """(new line) for each change. `plain`: the line without comments."""
    for match in OPERATOR.finditer(plain):
        at, end = match.span(1)
        yield line[:at] + SWAPS[match.group(1)] + line[end:]
    for match in NUMBER.finditer(plain):
        yield line[: match.start()] + str(int(match.group(1)) + 1) + line[match.end() :]
    match = CONDITION.search(plain)
    if match:
        yield line[: match.start(2)] + "!(" + line[match.start(2) : match.end(2)] + ")" + line[match.end(2) :]
    match = RETURN.match(plain)
    if match:
        for value in returned(match.group(2)):
            yield f"{match.group(1)}return {value};"
    elif STATEMENT.match(plain) and not DECLARATION.match(plain):
        yield ";"


def changes_of(file):
    with open(os.path.join(ROOT, file), encoding="utf-8") as source:
        text = source.read()
    plain = without_comments(text).split("\n")
    inside = continued = False
    for number, (line, code) in enumerate(zip(text.split("\n"), plain), 1):
        code = code.replace("\x01", " ").rstrip() if "\x01" not in code.strip(" \x01") else code.replace("\x01", "_")
        if code.startswith("{"):
            inside = True
        elif code.startswith("}"):
            inside = False
        ordinary = inside and not continued and not code.startswith("#") and not NO_STATEMENT.search(code)
        continued = code.endswith("\\") or (continued and not code.strip())
        if ordinary and code.strip():
            for new in changes_of_line(code, line):
                yield Change(file, number, line, new)


def files():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", *LAYERS], capture_output=True, text=True, check=True).stdout.split()
    return [file for file in listed if file.endswith((".c", ".h")) and "/include/" not in file and not file.startswith(LEFT_OUT)]


def all_changes():
    for file in files():
        yield from changes_of(file)


def read_equivalent():
    """Lines `FILE: OLD => NEW`, each below the reason, which begins with `#`."""
    known = set()
    with open(EQUIVALENT, encoding="utf-8") as file:
        for line in file:
            match = re.fullmatch(r"([\w/.]+): (.*)  =>  (.*)\n", line)
            if match:
                known.add(match.groups())
    return known


# --- Trying them ------------------------------------------------------------------------------------------------------------


class Tests:
    """The tests that a change is tried with."""

    def __init__(self, fresh):
        rebuild.make(BUILD, "libtournant.a")
        os.makedirs(SCRATCH, exist_ok=True)
        self.build = rebuild.Build(BUILD, SCRATCH)
        self.all = self.build.tests()
        self.fresh = fresh
        self.ready = set()  # programs that are up to date
        self.coverages = {}  # {LAYER: which of its tests execute which of its lines}
        self.killers = {}  # {file: tests that have failed for a change of it, the last one first}

    def make(self, tests):
        """Brings their programs up to date, and with them the library."""
        targets = sorted({test.target for test in tests} - self.ready)
        if targets:
            rebuild.make(BUILD, *targets)
            self.ready.update(targets)

    def coverage_of(self, layer):
        if layer not in self.coverages:
            kept = os.path.join(SCRATCH, f"coverage-{layer}-{coverage.version(ROOT, files())}.json")
            if self.fresh or not os.path.exists(kept):
                print(f"measures which tests of {layer} execute which lines", flush=True)
                tests = {name: test for name, test in self.all.items() if re.fullmatch(TESTS[layer], name)}
                self.make(tests.values())
                coverage.measure(self.build, layer, tests, os.cpu_count()).save(kept)
            self.coverages[layer] = coverage.load(kept)
        return self.coverages[layer]

    def of(self, change, known):
        """The tests that execute the line, the likeliest first; then their simulated ones. `known`: the coverage of its layer."""
        stem = os.path.basename(change.file).rpartition(".")[0]
        killers = self.killers.get(change.file, [])
        names = known.tests_of(change.file, change.line)
        names.sort(
            key=lambda name: (
                killers.index(name) if name in killers else len(killers),
                stem not in name and name.split("/")[1].removesuffix("_test") not in stem,
                known.seconds[name],
            )
        )
        simulated = self.build.sources_of(change.file, rebuild.SIMULATOR)
        return [*names, *(f"sim/{name}" for name in names if simulated and f"sim/{name}" in self.all)]

    def fails(self, name, objects, seconds):
        """Whether the test fails with the changed objects. `seconds`: that it takes without a change."""
        part = rebuild.SIMULATOR if name.startswith("sim/") else rebuild.LIBRARY
        test = self.all[name]
        self.make([test])
        program = self.build.link(test.target, objects(part))
        limit_s = 5 * seconds + 20
        return test.run(program, limit_s, TN_TEST_SCALE="10" if part == rebuild.LIBRARY else "2") not in (0, 77)

    def attempt(self, change):
        """killed, survived, or unbuildable; and by which test, or how many have passed"""
        with open(os.path.join(ROOT, change.file), encoding="utf-8") as file:
            lines = file.read().split("\n")
        lines[change.line - 1] = change.new
        compiled = {}

        def objects(part):
            if part not in compiled:
                compiled[part] = self.build.compile(change.file, "\n".join(lines), part)
            return compiled[part]

        try:
            objects(rebuild.LIBRARY)
            known = self.coverage_of(change.file.split("/")[0])
            names = self.of(change, known)
            for name in names:
                if self.fails(name, objects, known.seconds[name.removeprefix("sim/")]):
                    self.killers.setdefault(change.file, []).insert(0, name)
                    return "killed", name
            return "survived", f"{len(names)} tests pass" if names else "no test executes the line"
        except rebuild.CannotBuild:
            return "unbuildable", ""


def choose(options):
    places = [change for change in all_changes() if re.search(options.only, f"{change.file}:{change.line}:")]
    chooser = random.Random(options.seed)
    chooser.shuffle(places)
    return places


def parse():
    parser = argparse.ArgumentParser(
        prog="tools/mutate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="chooses other changes (1)")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="how many (20)")
    parser.add_argument("--only", default="", metavar="REGEX", help="only places that match")
    parser.add_argument("--percent", type=float, default=95, metavar="P", help="so many must be killed (95)")
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="N", help="begins no change after that time")
    parser.add_argument("--fresh", action="store_true", help="measures again which tests execute which lines")
    parser.add_argument("--list", action="store_true", help="prints the changes, and makes none")
    return parser.parse_args()


def main():
    options = parse()
    places = choose(options)
    if options.list:
        for change in places[: options.count]:
            print(change)
        print(f"{min(options.count, len(places))} of {len(places)}")
        return 0
    if shutil.which("ninja") is None:
        sys.exit("ninja is needed")
    known = read_equivalent()
    until_s = time.monotonic() + 60 * options.minutes
    tests = Tests(options.fresh)
    counts = {"killed": 0, "survived": 0, "unbuildable": 0, "equivalent": 0}
    for change in places:
        if counts["killed"] + counts["survived"] + counts["equivalent"] == options.count or time.monotonic() > until_s:
            break
        outcome, why = ("equivalent", "") if change.is_equivalent(known) else tests.attempt(change)
        counts[outcome] += 1
        print(f"{outcome:11} {change}{'  -- ' + why if why else ''}", flush=True)
    tried = counts["killed"] + counts["survived"]
    print(f"{counts['equivalent']} equivalent, {counts['unbuildable']} do not build")
    print(f"{counts['killed']} passed, {counts['survived']} failed")
    return 0 if tried == 0 or 100 * counts["killed"] >= options.percent * tried else 1


if __name__ == "__main__":
    sys.exit(main())
