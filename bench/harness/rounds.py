# SPDX-License-Identifier: MIT
"""Interleaving: in each round every job once, in turn, so that a bad minute hits all programs and not one."""
import sys
import time

from kit.processes import Failure, say

from harness.rows import OURS

MISSES_MAX = 3  # a program that fails as often is left alone


class Job:
    """One run of one program, in a fresh process: `run()` gives (row, name of the program, value)."""

    def __init__(self, program, text, run):
        self.program = program
        self.text = text
        self.run = run
        self.misses = 0


def progress(text):
    if sys.stderr.isatty():
        print("\r\033[K" + text, end="", file=sys.stderr, flush=True)
    else:
        say(text)


def run_all(jobs, rounds, rows):
    """All jobs, `rounds` times. Who fails is said, and left out after a while; `rows` remembers it of tournant."""
    began = time.monotonic()
    total = len(jobs) * rounds
    for number in range(rounds):
        for index, job in enumerate(jobs):
            done = number * len(jobs) + index
            left = (time.monotonic() - began) / done * (total - done) if done else 0
            progress("round %d/%d, %d/%d, about %d s left: %s on %s" % (number + 1, rounds, done + 1, total, left, job.text,
                                                                      job.program))
            if job.misses < MISSES_MAX:
                run_one(job, rows)
    if sys.stderr.isatty():
        print(file=sys.stderr)


def run_one(job, rows):
    try:
        for row, program, value in list(job.run()):
            rows.add(row, program, value)
    except (Failure, OSError, ValueError) as failure:
        job.misses += 1
        say("%s on %s: %s" % (job.text, job.program, failure))
        if job.misses == MISSES_MAX:
            say("%s on %s is left out from here on" % (job.text, job.program))
        if job.misses == MISSES_MAX and job.program == OURS:
            rows.broken.append(job.text)
