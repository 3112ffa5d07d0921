# SPDX-License-Identifier: MIT
"""Shared by the tests of the example servers: starts a server, connects to it over raw sockets, and stops it."""
import os
import re
import socket
import subprocess
import sys
import threading
import time
import unittest

SERVER = None  # the path of the program under test
TIMEOUT_S = 10  # of every wait; long enough for slow machines and sanitizers


class Server:
    """A running server on a port that the kernel chooses."""

    def __init__(self, *options, preexec_fn=None):
        self.process = subprocess.Popen([SERVER, "--port", "0", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, preexec_fn=preexec_fn)
        self.lines = []
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.ready.wait(TIMEOUT_S)
        match = re.search(r"listening on (?:http://)?127\.0\.0\.1:(\d+)", "\n".join(self.lines))
        if match is None:
            self.stop()
            raise RuntimeError("the server did not start; its messages: %s" % self.lines)
        self.port = int(match.group(1))

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))
            if "listening on" in self.lines[-1]:
                self.ready.set()
        self.ready.set()

    def alive(self):
        return self.process.poll() is None

    def open_files(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def connect(self):
        conn = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return conn

    def stop(self):
        """Ends the process and returns its exit status."""
        self.process.terminate()
        try:
            self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(TIMEOUT_S)
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode


class ServerCase(unittest.TestCase):
    """One server for all tests of the class; each test checks that it still runs and has closed its connections."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        self.open_files = self.server.open_files()

    def tearDown(self):
        self.assertTrue(self.server.alive(), "the server died; its messages: %s" % self.server.lines)
        wait_until(lambda: self.server.open_files() <= self.open_files, "the server still holds connections that have ended")


class OptionCase(unittest.TestCase):
    """Command lines; the same for all servers."""

    request = b"GET / HTTP/1.1\r\n\r\n"  # one that the server responds to

    def run_server(self, *options):
        return subprocess.run([SERVER, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S)

    def workers_option(self):
        return next((o for o in ("--workers", "--threads") if o in self.run_server("--help").stdout), None)

    def test_help(self):
        result = self.run_server("--help")
        self.assertEqual(result.returncode, 0)
        for word in (os.path.basename(SERVER), "--port N", "--help"):
            self.assertIn(word, result.stdout)
        self.assertEqual(result.stderr, "")

    def test_nonsense_is_refused_with_a_message(self):
        nonsense = [["--nonsense"], ["-x"], ["extra"], ["--port"], ["--port", ""], ["--port", "http"], ["--port", "-1"],
                    ["--port", "65536"], ["--port", "99999999999999999999"], ["--port", "80x"], ["--port=8080x"], ["--help=x"],
                    ["--port", "0", "extra"]]
        workers = self.workers_option()
        if workers:
            nonsense += [[workers], [workers, "0"], [workers, "-1"], [workers, "100000"], [workers, "many"], [workers, ""]]
        for options in nonsense:
            with self.subTest(options=options):
                result = self.run_server(*options)
                self.assertEqual(result.returncode, 2)
                self.assertEqual(result.stdout, "")
                self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
                self.assertIn(options[0].split("=")[0] if options[-1] != "extra" else "extra", result.stderr)
                self.assertRegex(result.stderr, "give a number from|--help shows the options")

    def test_ready_line(self):
        server = Server()
        self.addCleanup(server.stop)
        name = os.path.basename(SERVER)
        self.assertRegex("\n".join(server.lines), r"^%s: listening on (http://127\.0\.0\.1:\d+/|127\.0\.0\.1:\d+)$" % name)
        self.assertEqual("http" in name or "file" in name or "epoll" in name, "http://" in server.lines[0])

    def test_port_is_taken_as_given(self):
        with socket.socket() as probe:  # a port that is free now; no other program takes ports here
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = Server("--port", str(port))
        self.addCleanup(server.stop)
        self.assertEqual(server.port, port)

    def test_port_in_use(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            result = self.run_server("--port", str(port))
        self.assertEqual(result.returncode, 1)
        self.assertLessEqual(result.stderr.count("\n"), 2, result.stderr)  # the library logs it too
        for line in result.stderr.splitlines():
            self.assertIn(str(port), line)
        self.assertIn("in use", result.stderr)
        self.assertIn("--port", result.stderr)

    def test_restart_on_the_same_port(self):
        server = Server()
        with server.connect() as conn:
            conn.sendall(self.request)
            self.assertNotEqual(conn.recv(10), b"")
            server.stop()  # the server closes first, so its port stays in TIME_WAIT
        again = Server("--port", str(server.port))
        self.addCleanup(again.stop)
        self.assertEqual(again.port, server.port)


def wait_until(condition, message):
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(message)
        time.sleep(0.005)


def send_all(conn, data):
    """Like sendall, whose time limit is for all the data: here it is for each piece that the peer takes."""
    left = memoryview(data)
    while left:
        left = left[conn.send(left):]


def receive_all(conn):
    """Returns all data up to the end of the stream."""
    pieces = []
    while piece := conn.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def main():
    global SERVER
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: %s PROGRAM [unittest options]" % sys.argv[0])
    SERVER = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
