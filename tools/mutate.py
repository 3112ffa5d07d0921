# SPDX-License-Identifier: MIT
"""tools/mutate: changes ordinary statements of the library, one at a time, and reports the changes that no test notices.

A change is one of: a comparison, a condition that is negated, `&&` and `||`, a statement that is dropped, a returned value, a
constant, `+` and `-`. Each is made in a copy of the tree (build/mutate) with the committed files. The tests of its layer are
built and run, without @16 and @migrate. A change that no test notices has survived. equivalent.txt lists survivors that change
nothing that a program can observe, with the reason; they are not counted. The last line is `N passed, N failed`: killed, and
survived. Exit status 1 if less than --percent of those that count were killed.

--seed and --count choose the changes: the same numbers give the same ones, as long as the sources are the same. --list prints
them. --only takes a regular expression for `FILE:LINE`.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys

TOOLS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TOOLS)
COPY = os.path.join(ROOT, "build", "mutate", "tree")
EQUIVALENT = os.path.join(TOOLS, "equivalent.txt")
LAYERS = ("runtime", "sync", "blocking_pool", "net")
LEFT_OUT = ("runtime/sim/",)  # not part of the library
LIMIT_S = 600

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


def all_changes():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", *LAYERS], capture_output=True, text=True, check=True).stdout.split()
    for file in listed:
        if file.endswith((".c", ".h")) and "/include/" not in file and not file.startswith(LEFT_OUT):
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


def run(line, limit_s=LIMIT_S):
    """The output, or None if the command fails or takes too long."""
    try:
        done = subprocess.run(
            line, cwd=COPY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=limit_s, check=False, env={**os.environ, "TN_TEST_SCALE": "10"},
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def prepare():
    """The copy: what is committed, in a build of its own."""
    os.makedirs(os.path.dirname(COPY), exist_ok=True)
    if not os.path.exists(COPY):
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--detach", COPY, "HEAD"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["git", "-C", COPY, "checkout", "--force", "--detach", git_head()], check=True, capture_output=True)
    if run(["cmake", "--preset", "dev"]) is None:
        sys.exit("the copy cannot be configured: " + COPY)


def git_head():
    return subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()


def tests_of(file):
    layer = file.split("/")[0]
    return ["ctest", "--preset", "dev", "-j", "2", "--stop-on-failure", "--timeout", "60", "-R", f"^(sim/)?{layer}/", "-E", "@"]


def targets_of(file):
    """The programs of those tests."""
    layer = file.split("/")[0]
    listed = run(["ninja", "-C", "build/dev", "-t", "targets", "all"]) or ""
    return sorted(set(re.findall(rf"(?m)^((?:sim_)?{layer}_\w+_test): phony", listed)))


def try_change(change):
    """killed, survived, or unbuildable"""
    path = os.path.join(COPY, change.file)
    with open(path, encoding="utf-8") as file:
        before = file.read()
    lines = before.split("\n")
    lines[change.line - 1] = change.new
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    try:
        if run(["cmake", "--build", "--preset", "dev", "--target", *targets_of(change.file)], 3600) is None:
            return "unbuildable"
        return "killed" if run(tests_of(change.file), 3600) is None else "survived"
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(before)


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
    prepare()
    for layer in sorted({change.file.split("/")[0] for change in places[: options.count]}):
        if run(["cmake", "--build", "--preset", "dev", "--target", *targets_of(layer + "/")], 3600) is None:
            sys.exit(f"the tests of {layer} do not build: {COPY}")
        if run(tests_of(layer + "/"), 3600) is None:
            sys.exit(f"the tests of {layer} fail without a change")
    counts = {"killed": 0, "survived": 0, "unbuildable": 0, "equivalent": 0}
    for change in places:
        if counts["killed"] + counts["survived"] + counts["equivalent"] == options.count:
            break
        outcome = "equivalent" if change.is_equivalent(known) else try_change(change)
        counts[outcome] += 1
        print(f"{outcome:11} {change}", flush=True)
    tried = counts["killed"] + counts["survived"]
    print(f"{counts['equivalent']} equivalent, {counts['unbuildable']} do not build")
    print(f"{counts['killed']} passed, {counts['survived']} failed")
    return 0 if tried == 0 or 100 * counts["killed"] >= options.percent * tried else 1


if __name__ == "__main__":
    sys.exit(main())
