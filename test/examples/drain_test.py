#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The end of http_server: in the middle of a load, and at each stage: drain_test.py PATH/TO/http_server [unittest options]."""
import os
import re
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))

import server  # noqa: E402
from kit.checked_load import Load  # noqa: E402

ROUNDS = 10
KEPT, FRESH = 12, 4


class Ends(unittest.TestCase):
    def start(self):
        running = server.Server()
        self.addCleanup(running.stop)
        return running

    def expect_end(self, running, within_s=60):
        """Returns the exit status and the counts of the last line."""
        status = running.process.wait(within_s)
        running.reader.join(10)
        match = re.search(r"ended: (\d+) connections finished, (\d+) cancelled, (\d+) left", "\n".join(running.lines))
        self.assertIsNotNone(match, running.lines)
        return status, tuple(int(count) for count in match.groups())

    def test_ten_times_in_the_middle_of_a_load(self):
        for turn in range(ROUNDS):
            running = self.start()
            load = Load(running.port, KEPT, FRESH)
            load.wait_for(100 + 20 * turn)
            load.ending.set()
            running.process.send_signal(signal.SIGTERM)
            load.join()
            self.assertEqual(load.failures, [])
            status, (finished, cancelled, left) = self.expect_end(running)
            self.assertEqual((status, cancelled, left), (0, 0, 0))
            self.assertGreaterEqual(finished, KEPT)

    def test_while_it_starts(self):
        """Before it listens to signals it ends by the signal, and afterwards in order."""
        for delay_ms in range(0, 40, 2):
            with subprocess.Popen([server.SERVER, "--port", "0"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
                time.sleep(delay_ms / 1000)
                process.terminate()
                process.communicate(timeout=60)
                self.assertIn(process.returncode, (0, -signal.SIGTERM))

    def test_while_nothing_is_connected(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            running = self.start()
            running.process.send_signal(number)
            self.assertEqual(self.expect_end(running), (0, (0, 0, 0)))

    def test_idle_clients_do_not_keep_it(self):
        running = self.start()
        with running.connect() as silent, running.connect() as kept:
            kept.sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assertIn(b"Hello", kept.recv(4096))
            running.process.terminate()
            self.assertEqual(kept.recv(1), b"")
            self.assertEqual(silent.recv(1), b"")
        self.assertEqual(self.expect_end(running), (0, (2, 0, 0)))

    def test_a_busy_client_is_served_and_the_second_signal_ends_all(self):
        for finishes in (True, False):
            running = self.start()
            with running.connect() as conn:
                conn.sendall(b"GET / HTTP/1.1\r\nHost: ")
                time.sleep(0.2)  # the server has read the first half
                running.process.terminate()
                time.sleep(1.5)  # longer than the grace
                self.assertIsNone(running.process.poll())
                if finishes:
                    conn.sendall(b"localhost\r\n\r\n")
                    self.assertIn(b"\r\nConnection: close\r\n", conn.recv(4096))
                else:
                    running.process.terminate()
                self.assertEqual(conn.recv(1), b"")
            self.assertEqual(self.expect_end(running), (0, (1, 0, 0) if finishes else (0, 1, 0)))


if __name__ == "__main__":
    server.main()
