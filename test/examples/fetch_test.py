#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of fetch_many, with a server that sends no response until all requests are there and the client has reported progress."""
import http.server
import os
import subprocess
import sys
import threading
import unittest

PROGRAM = None
TIMEOUT_S = 60  # only a broken program reaches it
AT_ONCE = 40  # fewer than there are replacement threads
TICKS = 3


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 2 * AT_ONCE
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.waiting = 0
        self.all_there = threading.Event()
        self.open = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return "http://127.0.0.1:%d%s" % (self.server_port, path)

    def wait_in(self):
        with self.lock:
            self.waiting += 1
            if self.waiting == AT_ONCE:
                self.all_there.set()
        return self.open.wait(TIMEOUT_S)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        held = self.path.startswith("/held")
        found = self.path != "/none" and (not held or self.server.wait_in())
        body = (self.path * 10000).encode() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Fetch(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def start(self, *urls):
        child = subprocess.Popen([PROGRAM, *urls], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True)
        self.addCleanup(child.kill)
        return child

    def run_to_end(self, *urls):
        child = self.start(*urls)
        out, errors = child.communicate(timeout=TIMEOUT_S)
        sys.stderr.write(errors)  # a sanitizer's report fails the test
        return child.returncode, out, errors

    def test_all_wait_at_the_same_time_and_progress_is_reported(self):
        urls = [self.server.url("/held/%d" % i) for i in range(AT_ONCE)]
        child = self.start(*urls)
        self.assertTrue(self.server.all_there.wait(TIMEOUT_S), "%d of %d requests have come" % (self.server.waiting, AT_ONCE))
        for _ in range(TICKS):  # no response has been sent
            self.assertEqual(child.stderr.readline(), "0 of %d done\n" % AT_ONCE)
        self.server.open.set()
        out, errors = child.communicate(timeout=TIMEOUT_S)
        sys.stderr.write(errors)
        self.assertEqual(child.returncode, 0)
        self.assertIn("progress reports were at most", errors)
        got = {line.split()[-1]: line.split()[:2] for line in out.splitlines()}
        self.assertEqual(got, {url: ["200", str(10000 * len(url[url.index("/held"):]))] for url in urls})

    def test_more_than_there_are_threads(self):
        status, out, _ = self.run_to_end(*[self.server.url("/%d" % i) for i in range(300)])
        self.assertEqual((status, [line.split()[0] for line in out.splitlines()]), (0, ["200"] * 300))

    def test_failures_are_reported(self):
        status, out, _ = self.run_to_end(self.server.url("/"), self.server.url("/none"), "nonsense://x")
        self.assertEqual(status, 1)
        self.assertIn("404 0 bytes", out)
        self.assertIn("failed: nonsense://x", out)

    def test_usage(self):
        for arguments in ([], ["--help"]):
            status, _, errors = self.run_to_end(*arguments)
            self.assertEqual((status, errors), (2, "usage: fetch_many URL...\n"))


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
