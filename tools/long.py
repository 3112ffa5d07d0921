# SPDX-License-Identifier: MIT
"""The checks that are too long for .ci/run: more builds, higher counts, searches beyond the bound. Hours on two processors.

Resumable: the result of each step stays in build/long/, under the hash of all files but documents (*.md). Started again, it runs
what has not passed. The last line is `N passed, N failed`; a search that its time limit has cut off has passed. `--record` writes
the state into test/README.md, from which a reader sees what has really been run.
"""
import argparse
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import time

from kit import processes

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

STATE = os.path.join(ROOT, "build", "long")
README = os.path.join(ROOT, "test", "README.md")
RECORD = "Last run of `.ci/long`: "
MODEL = os.path.join("build", "model", "test", "model")
CUT = "nothing found so far"  # of the model checker
LAYERS = "^(runtime|blocking_pool|sync|net|stress)/"


class Step:
    """`alone`: nothing runs beside it. `search_s`: how long it may search before it is cut off."""

    def __init__(self, name, command, limit_s, alone=True, search_s=0):
        self.name = name
        self.command = command
        self.limit_s = limit_s
        self.alone = alone
        self.search_s = search_s


def test(name, preset, *more):
    return Step(name, ["./tools/test", "--preset", preset, *more], 4 * 3600)


def bench(name, *more):
    return Step(name, ["./tools/bench", *more], 2 * 3600)


def first_steps():
    """All but the searches of the model checker, the short ones first."""
    fuzz = os.path.join(MODEL, "fuzz")
    return [
        test("model checker: built, and its own tests", "model", "--filter", "^model/(litmus|failures|chase_lev)$"),
        Step("model checker: 5000 random programs of two threads", [fuzz, "--compare", "5000", "fuzz.two_threads"], 3600),
        Step("model checker: 1000 random programs of three threads", [fuzz, "--compare", "1000", "fuzz.three_threads"], 3600),
        test("release: all tests", "release", "--werror"),
        test("clang: all tests", "dev-clang", "--werror"),
        test("address sanitizer: all variants", "asan", "--werror"),
        test("thread sanitizer: all variants", "tsan", "--werror"),
        Step("clang-tidy: all states", ["./tools/tidy"], 4 * 3600),
        Step("parsers: fuzzed for 20 minutes each", ["./tools/fuzz", "--seconds", "1200"], 2 * 3600),
        Step("simulator: 1000 seeds of each test", ["python3", "test/sim/many_seeds.py", "build/dev", "1000"], 4 * 3600),
        Step("simulator: mutants", ["python3", "test/sim/whole_mutants.py", "--quick", "build/dev"], 3600),
        Step("300 mutants of ordinary statements", ["./tools/mutate", "--seed", "1", "--count", "300"], 12 * 3600),
        test("stress, 20 times", "dev", "--filter", "^stress/", "--repeat", "20"),
        test("stress, 10 times, address sanitizer", "asan", "--filter", "^stress/", "--repeat", "10"),
        test("stress, 10 times, thread sanitizer", "tsan", "--filter", "^stress/", "--repeat", "10"),
        bench("instructions of all programs, twice", "instructions", "--rounds", "2"),
        bench("micro at full counts", "micro", "--rounds", "1", "--only", "tournant"),
        bench("a million tasks and timers", "scale", "tasks", "timers", "--rounds", "1", "--only", "tournant"),
        bench("8000 connections", "server", "closed", "idle", "--rounds", "1", "--only", "tournant"),
        test("10,000 half-open handshakes", "dev", "--filter", "^tls/tls_half_open", "--times", "10"),
        test("four times the counts", "dev", "--filter", LAYERS, "--times", "4"),
        test("four times the counts, address sanitizer", "asan", "--filter", LAYERS, "--times", "4"),
        test("four times the counts, thread sanitizer", "tsan", "--filter", LAYERS, "--times", "4"),
    ]


def searches(seconds):
    """Each scenario of the model checker with a preemption more than .ci/run searches."""
    steps = []
    for source in sorted(glob.glob(os.path.join(ROOT, "test", "model", "scenarios", "*.c"))):
        program = os.path.join(MODEL, os.path.basename(source)[:-2])
        names = subprocess.run([program, "--list"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
        steps += [Step("beyond the bound: " + name, [program, "--beyond", "1", "--seconds", str(seconds), name], seconds + 300,
                       alone=False, search_s=seconds) for name in names]
    return steps


def git(*arguments):
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True).stdout


def version():
    """The hash of what is tested: documents may change, for the record is in one."""
    lines = [line for line in git("ls-tree", "-r", "HEAD").splitlines() if not line.endswith(".md")]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def is_changed():
    return any(not line.endswith(".md") for line in git("status", "--porcelain").splitlines())


class Results:
    """What is known of the steps of one version."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def path(self, step, kind):
        return os.path.join(self.folder, re.sub(r"[^\w.]+", "-", step.name) + kind)

    def get(self, step):
        """passed, cut, failed, or None: not run, or cut off after less time than it may take now."""
        try:
            with open(self.path(step, ".json")) as file:
                result = json.load(file)
        except OSError:
            return None
        return None if result["status"] == "cut" and result["seconds"] < step.search_s else result["status"]

    def put(self, step, status, seconds):
        with open(self.path(step, ".json"), "w") as file:
            json.dump({"status": status, "seconds": round(seconds), "date": time.strftime("%Y-%m-%d")}, file)

    def counts(self, steps):
        found = [self.get(step) for step in steps]
        return {status: found.count(status) for status in ("passed", "cut", "failed", None)}


def status_of(code, log):
    if code != 0:
        return "failed"
    with open(log, errors="replace") as file:
        return "cut" if CUT in file.read() else "passed"


class Runner:
    """Runs steps, those that are not alone as many at once as there are processors."""

    def __init__(self, results, total):
        self.results = results
        self.total = total
        self.done = 0
        self.began = time.monotonic()
        self.running = []

    def say(self, text):
        passed = int(time.monotonic() - self.began)
        print("=== %02d:%02d [%d/%d] %s" % (passed // 60, passed % 60, self.done, self.total, text), flush=True)

    def start(self, step):
        while self.running and (step.alone or self.running[0][0].alone or len(self.running) >= (os.cpu_count() or 1)):
            self.reap()
        if step.alone:
            self.say(step.name)
        with open(self.results.path(step, ".log"), "w") as log:
            child = processes.start(step.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.running.append((step, child, time.monotonic()))

    def reap(self):
        """Waits until one has ended."""
        while True:
            for entry in self.running:
                step, child, began = entry
                took = time.monotonic() - began
                code = child.poll()
                if code is None and took > step.limit_s:
                    processes.stop(child)
                    code = -1
                if code is None:
                    continue
                processes.forget(child)
                self.running.remove(entry)
                self.done += 1
                log = self.results.path(step, ".log")
                status = status_of(code, log)
                self.results.put(step, status, took)
                self.say("%s: %s in %d s%s" % (step.name, status, took, ", see " + log if status == "failed" else ""))
                return
            time.sleep(0.05)

    def finish(self):
        while self.running:
            self.reap()


def summary(counts, total, seconds):
    return "%d of %d steps: %d passed, %d searches found nothing in %d s, %d failed" % (
        total - counts[None], total, counts["passed"], counts["cut"], seconds, counts["failed"])


def record(text):
    line = "%s%s, commit %s, %s." % (RECORD, time.strftime("%Y-%m-%d"), git("rev-parse", "--short", "HEAD").strip(), text)
    with open(README) as file:
        old = file.read()
    new, found = re.subn("^" + re.escape(RECORD) + ".*$", lambda _: line, old, flags=re.MULTILINE)
    if found != 1:
        raise processes.Failure("test/README.md has no line that begins with: " + RECORD)
    with open(README, "w") as file:
        file.write(new)
    print(line)


def run_steps(results, steps, minutes):
    until_s = time.monotonic() + minutes * 60
    runner = Runner(results, len(steps))
    for step in steps:
        if time.monotonic() > until_s:
            break
        runner.start(step)
    runner.finish()


def run(options):
    results = Results(os.path.join(STATE, version()))
    steps = first_steps()
    if is_changed():
        raise processes.Failure("there are changes that are not committed: results are kept by commit")
    if results.get(steps[0]) != "passed":
        run_steps(results, steps[:1], options.minutes)
    if results.get(steps[0]) != "passed":
        raise processes.Failure("the model checker does not run: see " + results.path(steps[0], ".log"))
    steps += searches(options.seconds)
    wanted = [step for step in steps if re.search(options.only, step.name)]
    if options.list:
        for step in wanted:
            print("%-8s %s" % (results.get(step) or "-", step.name))
        return
    run_steps(results, [step for step in wanted if results.get(step) in (None, "failed")], options.minutes)
    counts = results.counts(steps)
    text = summary(counts, len(steps), options.seconds)
    print(text)
    if options.record:
        record(text)
    print("%d passed, %d failed" % (counts["passed"] + counts["cut"], counts["failed"]), flush=True)
    if counts["failed"]:
        raise SystemExit(1)


def parse(arguments):
    parser = argparse.ArgumentParser(prog=".ci/long", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="the steps and their results")
    parser.add_argument("--only", default="", metavar="REGEX", help="only steps whose names match")
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="N", help="begins no step after so long")
    parser.add_argument("--seconds", type=int, default=120, metavar="N", help="for each search beyond the bound; default 120")
    parser.add_argument("--record", action="store_true", help="writes the state into test/README.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    OPTIONS = parse(sys.argv[1:])
    sys.exit(processes.main("long", lambda: run(OPTIONS)))
