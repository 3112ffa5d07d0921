#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""http_server as a service: under systemd-socket-activate, with a socket of the test as the service manager's: systemd_test.py
PATH/TO/http_server [unittest options]."""
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import server

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
TIMEOUT_S = 60


class Service(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(self.path)
        self.manager.settimeout(TIMEOUT_S)

    def expect(self, wanted):
        """Skips keep-alive messages."""
        text = "WATCHDOG=1"
        while text == "WATCHDOG=1":
            text = self.manager.recv(4096).decode()
        self.assertEqual(text, wanted)

    def start(self, *command, **more):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stderr.close)
        return process

    def test_states(self):
        environment = dict(os.environ, NOTIFY_SOCKET=self.path, WATCHDOG_USEC="100000")
        process = self.start(server.SERVER, "--port", "0", env=environment)
        self.expect("READY=1")
        for _ in range(3):
            self.assertEqual(self.manager.recv(4096), b"WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        self.expect("STOPPING=1")
        self.assertEqual(process.wait(TIMEOUT_S), 0)

    def test_socket_activation(self):
        with socket.socket() as probe:  # a port that is free now; no other program takes ports here
            probe.bind(("127.0.0.1", 0))
            address = probe.getsockname()
        process = self.start("systemd-socket-activate", "-l", "127.0.0.1:%d" % address[1], "--fdname=http",
                             "-E", "NOTIFY_SOCKET=" + self.path, server.SERVER, "--port", "1")
        response = self.ask(address)
        self.assertIn(b"Hello, world!", response)
        self.expect("READY=1")
        self.assertIn(b"Hello, world!", self.ask(address))
        process.send_signal(signal.SIGTERM)
        self.expect("STOPPING=1")
        self.assertEqual(process.wait(TIMEOUT_S), 0)

    def ask(self, address):
        end = time.monotonic() + TIMEOUT_S
        while True:
            try:
                conn = socket.create_connection(address, timeout=TIMEOUT_S)
                break
            except ConnectionRefusedError:  # it does not listen yet
                self.assertLess(time.monotonic(), end)
                time.sleep(0.02)
        with conn:
            conn.sendall(GET)
            return server.receive_all(conn)


if __name__ == "__main__":
    server.main()
