# SPDX-License-Identifier: MIT
"""The adapter of hiredis, against a Redis server that this test starts: hiredis_test.py PROGRAM."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = None
TIMEOUT_S = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Adapter(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        server = shutil.which("redis-server")
        if server is None:
            raise RuntimeError("Redis is missing: install the package redis-server")
        cls.folder = tempfile.mkdtemp(prefix="tn-redis-")
        cls.port = str(free_port())
        command = [server, "--port", cls.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", cls.folder]
        cls.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", int(cls.port)), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > limit or cls.server.poll() is not None:
                    raise
                time.sleep(0.05)

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait(TIMEOUT_S)
        shutil.rmtree(cls.folder)

    def demo(self, *arguments):
        result = subprocess.run([PROGRAM, self.port, *arguments], capture_output=True, text=True, timeout=2 * TIMEOUT_S)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def test_count(self):
        self.assertEqual(self.demo("count", "100", "100"), "100 tasks, 10000\n")

    def test_pipeline(self):
        self.assertEqual(self.demo("pipeline", "100000"), "100000 replies\n")

    def test_publish(self):
        self.assertEqual(self.demo("publish", "500", "20"), "20 subscribers, 500 messages each\n")

    def test_deadline(self):
        self.assertIn("timed out", self.demo("deadline"))

    def test_refused(self):
        result = subprocess.run([PROGRAM, "1", "deadline"], capture_output=True, text=True, timeout=TIMEOUT_S)
        self.assertEqual(result.returncode, 1)
        self.assertIn("refused", result.stderr)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
