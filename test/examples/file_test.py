#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of file_server: curl fetches whole files and parts of them, wrk fetches many at once."""
import os
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

import server
from server import ServerCase, receive_all

ROOT = None
LARGE = bytes((i * 2654435761 >> 11) & 255 for i in range(1 << 16)) * 80 + b"end"


def setUpModule():
    global ROOT
    ROOT = tempfile.mkdtemp(prefix="tn-files-")
    os.makedirs(os.path.join(ROOT, "inner", "deep"))
    for name, data in (("small", b"0123456789"), ("empty", b""), ("large", LARGE), ("inner/index.html", b"<p>inner"),
                       ("inner/deep/a b", b"space"), ("index.html", b"<p>root")):
        with open(os.path.join(ROOT, name), "wb") as file:
            file.write(data)
    os.mkfifo(os.path.join(ROOT, "fifo"))
    os.chdir(ROOT)  # the server serves the folder in which it is started


def tearDownModule():
    os.chdir("/")
    shutil.rmtree(ROOT)


class Files(ServerCase):
    def curl(self, path, *options):
        """Returns (status, headers, body)."""
        url = "http://127.0.0.1:%d%s" % (self.server.port, path)
        result = subprocess.run(["curl", "-sS", "-i", "--path-as-is", "--max-time", str(server.TIMEOUT_S), *options, url],
                                capture_output=True, timeout=3 * server.TIMEOUT_S)
        self.assertEqual(result.returncode, 0, result.stderr)
        head, _, body = result.stdout.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), body

    def test_whole_files(self):
        for path, data in (("/small", b"0123456789"), ("/empty", b""), ("/large", LARGE), ("/", b"<p>root"),
                           ("/inner/", b"<p>inner"), ("/inner/deep/a%20b", b"space"), ("/small?query", b"0123456789")):
            status, headers, body = self.curl(path)
            self.assertEqual((status, len(body)), (200, len(data)), path)
            self.assertEqual(body, data)
            self.assertEqual(headers["Accept-Ranges"], "bytes")

    def test_parts(self):
        size = len(LARGE)
        for spec, first, last in (("0-0", 0, 0), ("1-5", 1, 5), ("5-", 5, size - 1), ("-7", size - 7, size - 1),
                                  ("%d-%d" % (size - 2, size + 100), size - 2, size - 1), ("-%d" % (2 * size), 0, size - 1),
                                  ("123456-4567890", 123456, 4567890)):
            status, headers, body = self.curl("/large", "-r", spec)
            self.assertEqual(status, 206, spec)
            self.assertEqual(headers["Content-Range"], "bytes %d-%d/%d" % (first, last, size))
            self.assertEqual(body, LARGE[first:last + 1], spec)

    def test_invalid_parts(self):
        for spec in ("bytes=3-2", "bytes=a-b", "bytes=-", "lines=1-2", "bytes=0-1,3-4", "bytes=99999999999999999999-"):
            status, _, body = self.curl("/small", "-H", "Range: " + spec)
            self.assertEqual((status, body), (200, b"0123456789"), spec)
        for spec in ("bytes=10-", "bytes=100-200", "bytes=-0"):
            status, headers, body = self.curl("/small", "-H", "Range: " + spec)
            self.assertEqual((status, headers["Content-Range"], body), (416, "bytes */10", b""), spec)
        self.assertEqual(self.curl("/empty", "-r", "0-")[0], 416)

    def test_what_is_not_served(self):
        for path in ("/none", "/inner", "/inner/deep", "/fifo", "/../etc/passwd", "/inner/../../etc/passwd", "/..",
                     "//etc/passwd",
                     "/%2e%2e/etc/passwd", "/%2fetc/passwd", "/small%00", "/small%", "/small%zz",
                     "/small/"):
            self.assertEqual(self.curl(path)[0], 404, path)
        self.assertEqual(self.curl("/" + "a" * 2000)[0], 414)
        self.assertEqual(self.curl("/small", "-X", "POST", "-d", "x")[0], 405)

    def test_head(self):
        status, headers, body = self.curl("/large", "-I")
        self.assertEqual((status, headers["Content-Length"], body), (200, str(len(LARGE)), b""))

    def test_requests_that_arrive_together(self):
        with self.server.connect() as conn:
            conn.sendall(b"GET /small HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\n"
                         b"GET /empty HTTP/1.1\r\nConnection: close\r\n\r\n")
            data = receive_all(conn)
        self.assertEqual([data.count(b"HTTP/1.1 " + status) for status in (b"200", b"404")], [2, 1])

    def test_garbage(self):
        with self.server.connect() as conn:
            conn.sendall(b"garbage\r\n\r\n")
            self.assertIn(b"400", receive_all(conn))

    def test_clients_that_leave(self):
        for _ in range(20):
            with self.server.connect() as conn:
                conn.sendall(b"GET /large HTTP/1.1\r\n\r\n")
                conn.recv(1000)

    def test_many_at_once(self):
        wrong = []

        def fetch():
            for _ in range(3):
                if self.curl("/large")[2] != LARGE:
                    wrong.append(1)

        threads = [threading.Thread(target=fetch) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


    def wrk(self, path, *options):
        """Returns how many requests got a complete response; fails if any did not."""
        url = "http://127.0.0.1:%d%s" % (self.server.port, path)
        result = subprocess.run(["wrk", "-t1", "-c32", "-d1s", "--timeout", str(server.TIMEOUT_S), *options, url],
                                capture_output=True, text=True, timeout=3 * server.TIMEOUT_S)
        self.assertEqual(result.returncode, 0, result.stderr)
        for word in ("Socket errors", "Non-2xx"):
            self.assertNotIn(word, result.stdout)
        return int(re.search(r"(\d+) requests in", result.stdout).group(1))

    def test_under_load(self):
        for path, options in (("/small", []), ("/large", []), ("/large", ["-H", "Range: bytes=70000-80000"])):
            self.assertGreater(self.wrk(path, *options), 0)


class Options(server.OptionCase):
    pass


if __name__ == "__main__":
    server.main()
