# SPDX-License-Identifier: MIT
"""Fuzzes the parsers by libFuzzer: lines and frames of tn_reader, the requests of mini_redis, of the HTTP examples and of
the admin server.

Each target begins with its corpus in test/fuzz/corpus, and keeps what it finds in build/fuzz/corpus, where the next run goes on.
An input that fails is left in build/fuzz as NAME-crash-…: add it to test/fuzz/corpus/NAME with the fix. The last line is
`N passed, N failed`.
"""
import argparse
import os
import subprocess
import sys

from kit import processes
from kit.packages import PACKAGES, ROOT, install_missing
from kit.processes import run_step, say

SOURCES = os.path.join(ROOT, "test", "fuzz")
BUILD = os.path.join(ROOT, "build", "fuzz")
TARGETS = sorted(name[len("fuzz_"):-len(".c")] for name in os.listdir(SOURCES)
                 if name.startswith("fuzz_") and name.endswith(".c") and name != "fuzz_main.c")
INPUT_MAX = 4096  # bytes
SLACK_S = 60      # of a slow machine, to start and to end
ASAN = "detect_leaks=1:detect_stack_use_after_return=0:allocator_may_return_null=1"


def parse():
    parser = argparse.ArgumentParser(prog="tools/fuzz", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="target", help="only these of " + " ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=10, metavar="N", help="of each target; default 10")
    options = parser.parse_args()
    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown or options.seconds < 1:
        parser.error("there is no target %s" % " ".join(unknown) if unknown else "--seconds wants 1 or more")
    options.targets = options.targets or TARGETS
    return options


def build(targets):
    install_missing(PACKAGES + ["clang", "libclang-rt-dev"])
    run_step(["cmake", "--preset", "fuzz"], "configuring", cwd=ROOT)
    run_step(["cmake", "--build", "--preset", "fuzz", "--target"] + ["fuzz_" + name for name in targets], "building", cwd=ROOT)


def fuzz(name, seconds):
    """Returns whether nothing was found."""
    found = os.path.join(BUILD, "corpus", name)
    os.makedirs(found, exist_ok=True)
    command = [os.path.join(BUILD, "test", "fuzz", "fuzz_" + name), "-max_total_time=%d" % seconds, "-max_len=%d" % INPUT_MAX,
               "-timeout=10", "-print_final_stats=1", "-verbosity=0", "-artifact_prefix=%s/%s-" % (BUILD, name), found,
               os.path.join(SOURCES, "corpus", name)]
    try:
        ended = subprocess.run(command, env=dict(os.environ, ASAN_OPTIONS=ASAN), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True, errors="replace", timeout=seconds + SLACK_S, check=False)
    except subprocess.TimeoutExpired:
        say("%s: does not end" % name)
        return False
    runs = [line.split()[-1] for line in ended.stderr.splitlines() if "number_of_executed_units" in line]
    if ended.returncode == 0 and runs and int(runs[0]) > 0:
        say("%s: %s inputs in %d s, nothing found" % (name, runs[0], seconds))
        return True
    sys.stderr.write(ended.stderr)
    say("%s: FAILED with status %d" % (name, ended.returncode))
    return False


def run():
    options = parse()
    build(options.targets)
    failed = [name for name in options.targets if not fuzz(name, options.seconds)]
    print("%d passed, %d failed" % (len(options.targets) - len(failed), len(failed)))
    sys.stdout.flush()
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(processes.main("fuzz", run))
