# SPDX-License-Identifier: MIT
"""tools/sim: runs a program that is linked with tournant_sim, with many seeds on several processors; see --help."""
import argparse
import os
import re
import signal
import subprocess
import sys
import time

HELP = """Runs PROGRAM, which calls tn_sim_main (tn/sim.h), once for each seed. Prints progress, the rate, and the kinds of
decision and fault that were met. The first run that fails is made smaller: kinds of fault are left out, then single faults from
the end, then kinds of decision, then the numbers of the program (tn_sim_size) are halved, as long as a run still fails in the
same way. Then it prints the line that repeats it. Exit status: 0, or 1 if a run failed."""

SEEDS_TRIED = 8  # a smaller run takes another path, so several seeds are tried for each step
LINE = re.compile(r"run (\d+) (ok|failed) digest (\w+) events (\d+) virtual_ns (\d+)((?: [\w:]+ \d+)*)(?: why (.*))?$")


class Run:
    """One line of `--report`."""

    def __init__(self, match):
        self.seed, self.failed = int(match.group(1)), match.group(2) == "failed"
        self.events, self.virtual_ns = int(match.group(4)), int(match.group(5))
        words = match.group(6).split()
        pairs = [(name, int(number)) for name, number in zip(words[::2], words[1::2])]
        self.kinds = {name: number for name, number in pairs if not name.startswith("size:")}
        self.sizes = {name[5:]: number for name, number in pairs if name.startswith("size:")}
        self.why = match.group(7) or ""


def command(arguments, first, count, extra=()):
    own, tail = arguments.options, []
    if "--" in own:
        at = own.index("--")
        own, tail = own[:at], own[at:]
    return [arguments.program, "--report", "--first", str(first), "--seeds", str(count), *own, *extra, *tail]


def runs_of(line):
    """The runs of a program that has ended."""
    output = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    return [Run(match) for match in map(LINE.match, output.splitlines()) if match]


# --- Many seeds -------------------------------------------------------------------------------------------------------------


class Totals:
    def __init__(self):
        self.began, self.runs, self.events, self.virtual_ns = time.monotonic(), 0, 0, 0
        self.kinds = {}  # name: [runs, times]
        self.failed = []

    def add(self, run):
        self.runs += 1
        self.events += run.events
        self.virtual_ns += run.virtual_ns
        for name, number in run.kinds.items():
            entry = self.kinds.setdefault(name, [0, 0])
            entry[0] += 1
            entry[1] += number
        if run.failed:
            self.failed.append(run)

    def line(self, wanted):
        seconds = max(time.monotonic() - self.began, 1e-9)
        return f"{self.runs} of {wanted} runs, {len(self.failed)} failed, {60 * self.runs / seconds:.0f} runs per minute"


def run_all(arguments):
    """Each process gets a part of the seeds at a time, so that all end at about the same time."""
    totals = Totals()
    part = max(1, min(500, arguments.seeds // (4 * arguments.jobs)))
    next_seed, end = arguments.first, arguments.first + arguments.seeds
    jobs, shown = [], time.monotonic()
    while (next_seed < end and not (totals.failed and not arguments.keep_going)) or jobs:
        while len(jobs) < arguments.jobs and next_seed < end and not (totals.failed and not arguments.keep_going):
            count = min(part, end - next_seed)
            extra = ["--keep-going"] if arguments.keep_going else []
            jobs.append(
                subprocess.Popen(
                    command(arguments, next_seed, count, extra), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            )
            next_seed += count
        job = jobs.pop(0)
        output = job.communicate()[0]
        found = [Run(match) for match in map(LINE.match, output.splitlines()) if match]
        if not found:
            sys.exit(f"{arguments.program} ended with status {job.returncode}, and reported no run: is it a simulated program?")
        for run in found:
            totals.add(run)
        if time.monotonic() - shown > 5:
            shown = time.monotonic()
            print(totals.line(arguments.seeds), flush=True)
    return totals


# --- A smaller run ----------------------------------------------------------------------------------------------------------


def faults_of(arguments):
    """The names of the kinds of fault, from the program's own help."""
    text = subprocess.run([arguments.program, "--help"], stdout=subprocess.PIPE, text=True, check=False).stdout
    _, _, faults = text.partition("kinds of fault:\n")
    return re.findall(r"(?m)^  (\w+)", faults)


class Smaller:
    """The smallest run so far that fails like the first one, and the options that make it."""

    def __init__(self, arguments, run):
        self.arguments, self.run, self.options = arguments, run, []
        self.why = run.why

    def attempt(self, options):
        """Keeps the options if a run with them fails in the same way."""
        seeds = [self.run.seed, *range(self.arguments.first, self.arguments.first + SEEDS_TRIED)]
        for seed in seeds:
            for run in runs_of(command(self.arguments, seed, 1, options)):
                if run.failed and run.why == self.why:
                    self.run, self.options = run, options
                    return True
        return False

    def leave_out_kinds(self, faults, wanted):
        for name in sorted(self.run.kinds):
            if (name in faults) == wanted:
                self.attempt([*self.options, "--without", name])

    def leave_out_faults(self, faults):
        low, high = 0, sum(number for name, number in self.run.kinds.items() if name in faults)
        before = list(self.options)
        while low < high:
            middle = (low + high) // 2
            if self.attempt([*before, "--faults", str(middle)]):
                high = middle
            else:
                low = middle + 1

    def halve_sizes(self):
        others = list(self.options)
        sizes = dict(self.run.sizes)
        for name in sizes:
            while sizes[name] > 1:
                smaller = {**sizes, name: sizes[name] // 2}
                if not self.attempt([*others, *(word for pair in smaller.items() for word in ("--size", "%s=%d" % pair))]):
                    break
                sizes = smaller


def shrink(arguments, run):
    faults = set(faults_of(arguments))
    smaller = Smaller(arguments, run)
    smaller.leave_out_kinds(faults, True)
    smaller.leave_out_faults(faults)
    smaller.halve_sizes()
    smaller.leave_out_kinds(faults, False)
    return smaller


def report_failure(arguments, run):
    print(f"seed {run.seed} failed: {run.why}", flush=True)
    best = Smaller(arguments, run)
    if not arguments.no_shrink:
        best = shrink(arguments, run)
        print(f"smallest: seed {best.run.seed}, {best.run.events} events; at first {run.events} events")
    sys.stdout.flush()
    subprocess.run(command(arguments, best.run.seed, 1, best.options), stdout=subprocess.DEVNULL, check=False)


def main():
    parser = argparse.ArgumentParser(prog="tools/sim", description=HELP)
    commands = parser.add_subparsers(required=True, metavar="run")
    run = commands.add_parser("run", help="runs a program with many seeds", description=HELP)
    run.add_argument("program", metavar="PROGRAM")
    run.add_argument("--seeds", type=int, default=1000, help="how many (%(default)s)")
    run.add_argument("--first", type=int, default=1, help="the first one (%(default)s)")
    run.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time (%(default)s)")
    run.add_argument("--keep-going", action="store_true", help="continue behind a failure")
    run.add_argument("--no-shrink", action="store_true", help="show the first failure as it is")
    arguments, arguments_of_program = run.parse_known_args(sys.argv[2:]) if sys.argv[1:2] == ["run"] else (None, None)
    if arguments is None:
        parser.parse_args()
    arguments.options = arguments_of_program
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    totals = run_all(arguments)
    print(f"{totals.line(arguments.seeds)}; {totals.events} events, {totals.virtual_ns / 1e9:.3f} virtual s")
    for name, (runs, times) in sorted(totals.kinds.items(), key=lambda entry: -entry[1][1]):
        print(f"  {name:11} {times} times, in {runs} runs")
    if totals.failed:
        report_failure(arguments, min(totals.failed, key=lambda found: found.events))
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())
