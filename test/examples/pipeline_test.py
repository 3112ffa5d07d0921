#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Test of pipeline: pipeline_test.py PATH/TO/pipeline [unittest options]."""
import re
import subprocess
import unittest

import server


def run(*args):
    return subprocess.run([server.SERVER, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


class Pipeline(unittest.TestCase):
    def test_nothing_is_lost_and_no_queue_grows(self):
        result = run("10000")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        first, second = result.stdout.splitlines()
        self.assertEqual(first, "10000 numbers, the sum of their squares is 333383335000")
        match = re.fullmatch(r"never more than (\d+) of them were under way", second)
        self.assertIsNotNone(match, second)
        # Two channels of 4, and one number in each stage.
        self.assertLessEqual(int(match.group(1)), 11)
        self.assertGreaterEqual(int(match.group(1)), 2)

    def test_usage(self):
        result = run()
        self.assertEqual(result.returncode, 2)
        self.assertIn("usage", result.stderr)


if __name__ == "__main__":
    server.main()
