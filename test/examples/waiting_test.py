#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Test of deadline, one_second and first_response: waiting_test.py PATH/TO/PROGRAM [unittest options]."""
import os
import re
import subprocess
import unittest

import server


def run(*arguments):
    result = subprocess.run([server.SERVER, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50)
    if (result.returncode, result.stderr) != (0, ""):
        raise AssertionError(f"status {result.returncode}: {result.stderr}")
    return result.stdout.splitlines()


class ProgramCase(unittest.TestCase):
    """Tests of one of the programs; those of the others are skipped."""

    program = None

    def setUp(self):
        if os.path.basename(server.SERVER) != self.program:
            self.skipTest("another program")


class Deadline(ProgramCase):
    program = "deadline"

    def test_nested_calls_keep_one_deadline(self):
        self.assertEqual(
            run("1000"),
            [
                "order 1: served",
                "order 2: no reply from the cellar, served without wine",
                "order 3: out of time in the kitchen, table wiped",
            ],
        )

    def test_an_inner_scope_is_never_longer(self):
        lines = run("5")  # less than the 50 ms for the wine
        self.assertEqual(lines, [f"order {n}: out of time in the kitchen, table wiped" for n in (1, 2, 3)])


class OneSecond(ProgramCase):
    program = "one_second"

    def test_reads_until_the_second_is_over(self):
        *lines, last = run()
        match = re.fullmatch(r"(\d+) lines in (\d+) ms", last)
        self.assertIsNotNone(match, last)
        self.assertEqual(int(match.group(1)), len(lines))
        self.assertGreater(len(lines), 0)
        self.assertLessEqual(len(lines), 10 + int(match.group(2)) // 100)
        self.assertEqual(lines, [f"line {n}" for n in range(1, len(lines) + 1)])
        self.assertGreaterEqual(int(match.group(2)), 1000)


class FirstResponse(ProgramCase):
    program = "first_response"

    def test_the_first_good_response_wins(self):
        self.assertEqual(
            run(),
            ["slow was cancelled", "the response is 42, from quick", "broken failed", "the response is 42, from slow"],
        )


if __name__ == "__main__":
    server.main()
