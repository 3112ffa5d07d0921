# SPDX-License-Identifier: MIT
"""same_runs.py BUILD BUILD...: that builds of other compilers and sanitizers make the same runs of the same seeds. Each BUILD is
a build folder of this version, such as build/dev, build/asan and build/dev-clang. Prints the simulations that differ, and how.
The last line is `N passed, N failed`."""
import os
import subprocess
import sys

# Arguments of test/sim/PROGRAM; tests of the other folders with all that runs in them.
SIMULATIONS = [
    ("sim_program_tournant_sim_static", "--seeds", "5", "--", "echo"),
    ("sim_program_tournant_sim_static", "--seeds", "20", "--size", "clients=10", "--", "faults"),
    ("sim_program_tournant_sim_static", "--seeds", "20", "--", "single_fault"),
    ("sim_network", "--seeds", "3"),
    ("sim_whole", "--seeds", "20"),
    ("sim_whole", "--seeds", "40", "--fine"),
    ("sim_parts", "--seeds", "20"),
    ("sim_parts", "--seeds", "20", "--fine"),
    ("sim_program_tournant_sim_static", "--seeds", "5", "--fine", "--", "echo"),
    ("sim_blocking_pool_pool_call_test", "--seeds", "3"),
    ("sim_runtime_group_test", "--seeds", "3"),
    ("sim_sync_mpsc_test", "--seeds", "3"),
    ("sim_sync_mpsc_test", "--seeds", "3", "--fine"),
]


def runs_of(build, simulation):
    """The reports of its runs by test, as compilers order the tests of a program differently; "" for a program without tests."""
    program = os.path.join(build, "test", "sim", simulation[0])
    line = [program, simulation[1], simulation[2], "--report", *simulation[3:]]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    runs, test = {}, ""
    for line in done.stdout.splitlines():
        if line.startswith("[RUN ]"):
            test = line[7:]
        elif line.startswith("run "):
            runs.setdefault(test, []).append(line)
    return runs


def first_difference(runs, others):
    for test in sorted(runs.keys() | others.keys()):
        for run, other in zip(runs.get(test, ["no run"]), others.get(test, ["no run"])):
            if run != other:
                return f"  {test} {run}\n  {test} {other}"
    return "  no or different numbers of runs"


def main():
    builds = sys.argv[1:]
    if len(builds) < 2:
        sys.exit(__doc__)
    passed = failed = 0
    for simulation in SIMULATIONS:
        runs = {build: runs_of(build, simulation) for build in builds}
        same = runs[builds[0]] != {} and all(run == runs[builds[0]] for run in runs.values())
        passed += same
        failed += not same
        print(("same" if same else "DIFFERENT") + ":", *simulation, flush=True)
        for build in builds[1:]:
            if runs[build] != runs[builds[0]] or not same:
                print(f"{builds[0]} and {build}:\n{first_difference(runs[builds[0]], runs[build])}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
