# SPDX-License-Identifier: MIT
"""supervise: restarts, output with the number in front, signals passed on, kills. Argument: the program."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = sys.argv.pop(1)


def start(*command):
    return subprocess.Popen([PROGRAM, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path):
    limit = time.monotonic() + 60
    while not os.path.exists(path) and time.monotonic() < limit:
        time.sleep(0.01)
    assert os.path.exists(path), path


def run(*command):
    done = subprocess.run([PROGRAM, *command], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


class Supervise(unittest.TestCase):
    def test_output_and_status_0(self):
        code, out, err = run("sh", "-c", "echo one; echo two")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^\[(\d+)\] one\n\[\1\] two\n$")
        self.assertIn("ended with status 0", err)

    def test_restarts_after_failures(self):
        with tempfile.TemporaryDirectory() as folder:
            script = f"echo x >> {folder}/runs; test $(wc -l < {folder}/runs) -ge 3 || exit 4"
            code, _, err = run("sh", "-c", script)
        self.assertEqual(code, 0)
        self.assertEqual(err.count("ended with status 4"), 2)
        self.assertEqual(err.count("ended with status 0"), 1)
        self.assertEqual(len(set(re.findall(r"supervise: (\d+) ended", err))), 3)

    def test_passes_sigterm_on(self):
        with tempfile.TemporaryDirectory() as folder:
            ready = os.path.join(folder, "ready")
            script = f"trap 'echo bye; exit 3' TERM; touch {ready}; while :; do sleep 0.01; done"
            with start("sh", "-c", script) as process:
                wait_for(ready)
                process.send_signal(signal.SIGTERM)
                out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertRegex(out, r"^\[\d+\] bye\n$")
        self.assertIn("signal 15 for", err)
        self.assertIn("ended with status 3", err)

    def test_kills_at_the_second_signal(self):
        with tempfile.TemporaryDirectory() as folder:
            ready = os.path.join(folder, "ready")
            script = f"trap 'touch {ready}2' TERM; touch {ready}; while :; do sleep 0.01; done"
            with start("sh", "-c", script) as process:
                wait_for(ready)
                process.send_signal(signal.SIGTERM)
                wait_for(ready + "2")
                process.send_signal(signal.SIGTERM)
                _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn("ended by signal 9", err)

    def test_no_program(self):
        code, _, err = run("/no/such/program")
        self.assertEqual(code, 0)
        self.assertIn("execve: no such file or directory", err)


unittest.main()
