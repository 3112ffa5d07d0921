# SPDX-License-Identifier: MIT
"""The adapter of libpq, against a PostgreSQL server that this test starts: pq_test.py PROGRAM."""
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM = None
TIMEOUT_S = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """PostgreSQL in a folder of its own. It refuses to run as root."""

    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        if not found:
            raise RuntimeError("PostgreSQL is missing: install the package postgresql")
        self.programs = os.path.dirname(found[-1])
        self.folder = tempfile.mkdtemp(prefix="tn-pq-")
        self.data = os.path.join(self.folder, "data")
        self.port = free_port()
        self.as_user = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        command = [*self.as_user, os.path.join(self.programs, "initdb"), "-D", self.data, "-A", "trust", "-U", "tester", "-N"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=self.folder)
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [*self.as_user, os.path.join(self.programs, "postgres"), "-D", self.data, "-p", str(self.port), "-k", self.folder,
             "-h", "127.0.0.1", "-F", "-c", "max_connections=200"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=self.folder)
        limit = time.monotonic() + TIMEOUT_S
        while subprocess.run(["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode != 0:
            if time.monotonic() > limit or self.process.poll() is not None:
                raise RuntimeError("PostgreSQL does not start")
            time.sleep(0.1)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(2)  # fast shutdown: it does not wait for clients
        self.process.wait(TIMEOUT_S)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder)


class Adapter(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.conninfo = "hostaddr=127.0.0.1 port=%d user=tester dbname=postgres sslmode=disable" % cls.server.port

    @classmethod
    def tearDownClass(cls):
        cls.server.remove()

    def demo(self, *arguments):
        result = subprocess.run([PROGRAM, self.conninfo, *arguments], capture_output=True, text=True, timeout=2 * TIMEOUT_S)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def test_sleeps_are_at_the_same_time(self):
        output = self.demo("sleep", "100")
        match = re.fullmatch(r"100 of 100 slept, ([\d.]+) s\n", output)
        self.assertIsNotNone(match, output)
        self.assertGreaterEqual(float(match.group(1)), 1)
        self.assertLess(float(match.group(1)), 15)  # about 1 s; one after the other takes 100 s

    def test_copy(self):
        self.assertEqual(self.demo("copy", "100000"), "100000 rows, sum %d\n" % sum(range(100000)))

    def test_notify(self):
        self.assertEqual(self.demo("notify", "100"), "100 notifications in order\n")

    def test_deadline(self):
        output = self.demo("deadline")
        self.assertRegex(output, r"timed out.*, then 42, [\d.]+ s")
        self.assertLess(float(output.split()[-2]), 30)  # the query would take 60 s

    def test_copy_is_cut_short(self):
        lines = self.demo("cut").splitlines()
        self.assertEqual(len(lines), 2, lines)
        self.assertRegex(lines[0], r"^out: .*timed out.*, then ")
        self.assertRegex(lines[1], r"^in: .*timed out.*, then ")

    def test_cancel_is_not_answered(self):
        # The kernel accepts the connection of the request for a server that is stopped; the query runs on.
        with subprocess.Popen([PROGRAM, self.conninfo, "unanswered"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as process:
            self.assertEqual(process.stdout.readline(), "connected\n")
            self.server.process.send_signal(signal.SIGSTOP)
            limit = threading.Timer(TIMEOUT_S, self.server.process.send_signal, [signal.SIGCONT])
            limit.start()
            try:
                process.stdin.write("\n")
                process.stdin.flush()
                line = process.stdout.readline()
            finally:
                limit.cancel()
                self.server.process.send_signal(signal.SIGCONT)
            process.communicate(timeout=TIMEOUT_S)
        self.assertRegex(line, r"timed out.*, [\d.]+ s$")
        self.assertLess(float(line.split()[-2]), 30)  # the limit is 1 s

    def test_restart(self):
        with subprocess.Popen([PROGRAM, self.conninfo, "survive"], stdout=subprocess.PIPE, text=True) as process:
            self.assertEqual(process.stdout.readline(), "connected\n")
            self.server.stop()
            self.server.start()
            output, _ = process.communicate(timeout=2 * TIMEOUT_S)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(output, "connected\n2 connections\n")

    def test_no_server(self):
        result = subprocess.run([PROGRAM, "hostaddr=127.0.0.1 port=1 sslmode=disable", "notify"], capture_output=True, text=True,
                                timeout=TIMEOUT_S)
        self.assertEqual(result.returncode, 1)
        self.assertIn("refused", result.stderr)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
