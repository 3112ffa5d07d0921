#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""simulation_test.py STOCK_SIMULATION STOCK_BROKEN: the simulated stock server passes, and the error of its twin is found."""
import re
import subprocess
import sys
import unittest

SIMULATION, BROKEN = sys.argv[1:3]


def run(*line):
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=100)


class Simulation(unittest.TestCase):
    def test_the_server_passes(self):
        done = run(SIMULATION, "--seeds", "100")
        self.assertEqual(done.returncode, 0, done.stderr)
        for kind in ("reset", "half_open", "refuse"):
            self.assertRegex(done.stdout, rf"(?m)^  {kind} +[1-9]\d* of")

    def test_the_error_is_found_by_a_few_seeds(self):
        done = run(BROKEN, "--seeds", "20")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("does not hold", done.stderr)
        again = re.search(r"(?m)^repeat it by: (.*)$", done.stderr).group(1).split()
        repeated = run(*again)
        self.assertEqual(repeated.returncode, 1)
        self.assertIn("the last client", repeated.stderr)

    def test_two_runs_are_the_same(self):
        self.assertEqual(run(SIMULATION, "--seeds", "5", "--twice").returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
