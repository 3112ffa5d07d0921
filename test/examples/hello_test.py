#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Test of hello: hello_test.py PATH/TO/hello [unittest options]."""
import re
import subprocess
import unittest

import server


class Hello(unittest.TestCase):
    def test_tasks_wait_at_the_same_time(self):
        result = subprocess.run([server.SERVER], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        lines = result.stdout.splitlines()
        self.assertEqual(lines[:3], ["salad is ready", "soup is ready", "roast is ready"])
        match = re.fullmatch(r"600 ms of cooking in (\d+) ms", lines[3])
        self.assertIsNotNone(match, lines)
        self.assertEqual(len(lines), 4)
        self.assertGreaterEqual(int(match.group(1)), 300)
        self.assertLess(int(match.group(1)), 600)  # not one after the other


if __name__ == "__main__":
    server.main()
