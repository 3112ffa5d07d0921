#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of https_server by curl, openssl s_client and wrk; of tls_connect by openssl s_server. Arguments: both programs."""
import gzip
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import certificates

SERVER, CONNECT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
TIMEOUT_S = 20
TEXT = b"All work and no play makes a dull boy.\n" * 2000
FOLDER = None


def setUpModule():
    global FOLDER
    FOLDER = tempfile.mkdtemp(prefix="tn-https-")
    certificates.make_all(FOLDER)
    os.mkdir(os.path.join(FOLDER, "files"))
    for name, data in (("small", b"0123456789"), ("text.txt", TEXT), ("large", bytes(range(256)) * 8000), ("kib", b"x" * 1024)):
        with open(os.path.join(FOLDER, "files", name), "wb") as file:
            file.write(data)


def tearDownModule():
    shutil.rmtree(FOLDER)


def path(name):
    return os.path.join(FOLDER, name)


class Server:
    """A running https_server; its log."""

    def __init__(self, *options, certificate="server"):
        self.process = subprocess.Popen(
            [SERVER, "--port", "0", "--certificate", path(certificate + ".crt"), "--key", path(certificate + ".key"), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=path("files"))
        self.lines, self.log = [], []
        self.changed = threading.Condition()
        self.readers = [threading.Thread(target=self.read, args=pair, daemon=True)
                        for pair in ((self.process.stderr, self.lines), (self.process.stdout, self.log))]
        for reader in self.readers:
            reader.start()
        self.port = int(self.wait_line(r"listening on https://127\.0\.0\.1:(\d+)/").group(1))

    def read(self, stream, lines):
        for line in stream:
            with self.changed:
                lines.append(line.decode())
                self.changed.notify_all()

    def wait_line(self, pattern, lines=None):
        """Waits for a line of stderr (or of `lines`)."""
        lines = self.lines if lines is None else lines
        end = time.monotonic() + TIMEOUT_S
        with self.changed:
            while True:
                found = re.search(pattern, "".join(lines))
                if found:
                    return found
                if not self.changed.wait(end - time.monotonic()):
                    raise AssertionError("no line with %s in %s" % (pattern, lines))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(TIMEOUT_S)
        for reader in self.readers:
            reader.join(TIMEOUT_S)
        self.process.stdout.close()
        self.process.stderr.close()
        return status


def curl(server, target, *options):
    """(exit status, status of HTTP, headers, body, messages)"""
    result = subprocess.run(["curl", "-sS", "-i", "--path-as-is", "--max-time", str(TIMEOUT_S), "--cacert",
                             path("authority.crt"), *options, "https://localhost:%d%s" % (server.port, target)],
                            capture_output=True, timeout=2 * TIMEOUT_S)
    parts = result.stdout.split(b"\r\n\r\n")
    while len(parts) > 2 and parts[0].startswith(b"HTTP/1.1 100"):
        parts.pop(0)
    lines = parts[0].decode(errors="replace").split("\r\n")
    status = int(lines[0].split()[1]) if lines[0] else 0
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return result.returncode, status, headers, b"\r\n\r\n".join(parts[1:]), result.stderr.decode()


def s_client(server, *options, data=b""):
    return subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % server.port, "-CAfile", path("authority.crt"),
                           *options], input=data, capture_output=True, timeout=2 * TIMEOUT_S)


class Https(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        if status != 0:
            raise AssertionError("status %d: %s" % (status, cls.server.lines))

    def test_files(self):
        for target, data in (("/small", b"0123456789"), ("/text.txt", TEXT), ("/large", bytes(range(256)) * 8000)):
            _, status, headers, body, messages = curl(self.server, target)
            self.assertEqual((status, body), (200, data), messages)
            self.assertEqual(headers["Content-Length"], str(len(data)))
        self.assertEqual(curl(self.server, "/../server.key")[1], 404)
        self.assertEqual(curl(self.server, "/none")[1], 404)
        self.assertEqual(curl(self.server, "/small", "-X", "DELETE")[1], 405)
        self.server.wait_line(r'127\.0\.0\.1:\d+ "GET /small" 200 10 \d', self.server.log)

    def test_parts_and_conditions(self):
        _, status, headers, body, _ = curl(self.server, "/small", "-r", "2-4")
        self.assertEqual((status, body, headers["Content-Range"]), (206, b"234", "bytes 2-4/10"))
        self.assertEqual(headers["Accept-Ranges"], "bytes")
        self.assertEqual(curl(self.server, "/small", "-r", "-3")[3], b"789")
        self.assertEqual(curl(self.server, "/small", "-r", "7-")[3], b"789")
        self.assertEqual(curl(self.server, "/small", "-r", "10-")[1], 416)
        _, _, headers, _, _ = curl(self.server, "/small")
        self.assertEqual(headers["Accept-Ranges"], "bytes")
        self.assertEqual(curl(self.server, "/small", "-H", "If-None-Match: " + headers["ETag"])[1], 304)
        self.assertEqual(curl(self.server, "/small", "-H", 'If-None-Match: "x"')[1], 200)
        self.assertEqual(curl(self.server, "/small", "-H", "If-Modified-Since: " + headers["Last-Modified"])[1], 304)

    def test_compression_in_chunks(self):
        _, status, headers, body, _ = curl(self.server, "/text.txt", "-H", "Accept-Encoding: gzip", "--raw")
        self.assertEqual((status, headers["Transfer-Encoding"]), (200, "chunked"))
        self.assertLess(len(body), len(TEXT) // 10)
        _, _, headers, body, _ = curl(self.server, "/text.txt", "-H", "Accept-Encoding: gzip")
        self.assertEqual(gzip.decompress(body), TEXT)
        self.assertEqual(headers["Accept-Ranges"], "bytes")
        self.assertNotIn("Content-Encoding", curl(self.server, "/large", "-H", "Accept-Encoding: gzip")[2])

    def test_bodies(self):
        self.assertEqual(curl(self.server, "/length", "-d", "x" * 5000)[3], b"5000\n")
        self.assertEqual(curl(self.server, "/length", "-d", "x" * 5000, "-H", "Transfer-Encoding: chunked")[3], b"5000\n")
        code, status, _, body, _ = curl(self.server, "/length", "-d", "x" * 5000, "-H", "Expect: 100-continue",
                                        "--expect100-timeout", str(TIMEOUT_S))
        self.assertEqual((code, status, body), (0, 200, b"5000\n"))
        self.assertEqual(curl(self.server, "/length", "--data-binary", "@" + path("files/large"))[1], 413)

    def test_the_client_verifies(self):
        other = ["--cacert", path("other.crt")]
        self.assertEqual(curl(self.server, "/small", *other)[0], 60)
        self.server.wait_line("alert unknown ca")
        wrong = ["--connect-to", "wrong.test:443:127.0.0.1:%d" % self.server.port]
        result = subprocess.run(["curl", "-sS", "--cacert", path("authority.crt"), *wrong, "https://wrong.test/small"],
                                capture_output=True, timeout=TIMEOUT_S)
        self.assertEqual(result.returncode, 60)

    def test_versions_and_renegotiation(self):
        for option, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            result = s_client(self.server, option, "-alpn", "h2,http/1.1", "-verify_return_error")
            self.assertIn("Verify return code: 0", result.stdout.decode())
            self.assertIn(name, result.stdout.decode())
            self.assertIn("ALPN protocol: http/1.1", result.stdout.decode())
        self.assertNotEqual(s_client(self.server, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0").returncode, 0)
        request = b"GET /small HTTP/1.1\r\nConnection: close\r\n\r\n"
        result = s_client(self.server, "-tls1_2", data=b"R\n" + request)
        self.assertNotIn(b"0123456789", result.stdout)
        self.assertIn(b"no renegotiation", result.stderr)

    def test_key_update(self):
        client = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.server.port, "-tls1_3"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(client.stdout.close)
        self.addCleanup(client.kill)
        os.write(client.stdin.fileno(), b"K\n")  # with a request for a reply
        while b"KEYUPDATE" not in client.stdout.readline():
            self.assertIsNone(client.poll())
        os.write(client.stdin.fileno(), b"GET /small HTTP/1.1\r\nConnection: close\r\n\r\n")
        output = client.stdout.read()
        client.stdin.close()
        client.wait(TIMEOUT_S)
        self.assertIn(b"0123456789", output)
        self.assertIn(b"closed", output)  # by close_notify

    def test_continued_sessions(self):
        for options in (["-tls1_2"], ["-tls1_2", "-no_ticket"]):  # by ticket; by the server's cache
            result = s_client(self.server, *options, "-reconnect")
            self.assertEqual(result.stdout.decode().count("Reused, TLSv1.2"), 5, options)
        saved = path("session")
        request = b"GET /small HTTP/1.1\r\nConnection: close\r\n\r\n"
        s_client(self.server, "-tls1_3", "-sess_out", saved, "-ign_eof", data=request)
        result = s_client(self.server, "-tls1_3", "-sess_in", saved, "-ign_eof", data=request)
        self.assertIn("Reused, TLSv1.3", result.stdout.decode())

    def test_garbage_and_resets(self):
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\x16\x03\x01", os.urandom(300)):
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=TIMEOUT_S) as conn:
                conn.sendall(data)
                conn.shutdown(socket.SHUT_WR)
                while conn.recv(100):
                    pass
        self.assertEqual(curl(self.server, "/small")[1], 200)


    def test_a_change_of_a_file_is_seen(self):
        name = path("files/changing")
        for data in (b"one", b"another"):
            with open(name, "wb") as file:
                file.write(data)
            end = time.monotonic() + TIMEOUT_S
            while curl(self.server, "/changing")[3] != data:  # an open file is used for a second
                self.assertLess(time.monotonic(), end)
        os.mkfifo(path("files/fifo"))
        self.assertEqual(curl(self.server, "/fifo")[1], 404)

    def test_scan(self):
        if shutil.which("sslscan") is None:
            self.skipTest("sslscan is missing")
        output = subprocess.run(["sslscan", "--no-colour", "--no-failed", "--no-ciphersuites", "--no-groups",
                                 "127.0.0.1:%d" % self.server.port], capture_output=True, text=True, timeout=TIMEOUT_S).stdout
        for version, state in (("SSLv2", "dis"), ("SSLv3", "dis"), ("TLSv1.0", "dis"), ("TLSv1.1", "dis"), ("TLSv1.2", "en"),
                               ("TLSv1.3", "en")):
            self.assertRegex(output, r"%s +%sabled" % (re.escape(version), state))
        for line in ("Session renegotiation not supported", "not vulnerable to heartbleed"):
            self.assertIn(line, output)


class Drain(unittest.TestCase):
    """The end of a server that has clients."""

    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.process.stdout.close)
        self.addCleanup(self.server.process.stderr.close)
        self.addCleanup(self.server.process.kill)

    def connect(self):
        context = ssl.create_default_context(cafile=path("authority.crt"))
        raw = socket.create_connection(("127.0.0.1", self.server.port), timeout=TIMEOUT_S)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        conn = context.wrap_socket(raw, server_hostname="localhost")
        self.addCleanup(conn.close)
        return conn

    def begin(self, target):
        """Asks for a file, and reads the first bytes of the response."""
        conn = self.connect()
        conn.sendall(b"GET %s HTTP/1.1\r\n\r\n" % target)
        return conn, conn.recv(10)

    def test_a_request_is_finished(self):
        idle, _ = self.begin(b"/small")
        busy, data = self.begin(b"/large")
        self.server.process.send_signal(signal.SIGTERM)
        while idle.recv(1000):  # ends by close_notify: otherwise recv fails
            pass
        while True:
            part = busy.recv(65536)
            if not part:
                break
            data += part
        self.assertTrue(data.endswith(bytes(range(256)) * 8000))
        self.assertEqual(self.server.process.wait(TIMEOUT_S), 0)
        self.server.wait_line(r"2 connections finished, 0 cancelled")
        self.server.wait_line(r'"GET /large" 200 2048000 ', self.server.log)  # the last lines of the log are written

    def test_a_client_that_never_reads(self):
        self.begin(b"/large")
        self.server.process.send_signal(signal.SIGTERM)
        with self.assertRaises(ConnectionRefusedError):
            while True:
                self.connect()
        self.server.process.send_signal(signal.SIGTERM)
        self.server.process.wait(TIMEOUT_S)
        # Those that connected before the listener was closed may have finished.
        self.server.wait_line(r"ended: \d+ connections finished, [1-9]\d* cancelled, 0 left")


class Load(unittest.TestCase):
    def test_each_request_is_in_the_log(self):
        server = Server()
        result = subprocess.run(["wrk", "-t1", "-c20", "-d1s", "https://127.0.0.1:%d/kib" % server.port],
                                capture_output=True, text=True, timeout=TIMEOUT_S)
        self.assertNotIn("Socket errors", result.stdout)
        self.assertNotIn("Non-2xx", result.stdout)
        self.assertEqual(server.stop(), 0)
        answered = int(re.search(r"(\d+) requests in", result.stdout).group(1))
        self.assertGreaterEqual(len(server.log), answered)  # and what wrk did not wait for
        self.assertLessEqual(len(server.log), answered + 20)
        self.assertTrue(all(re.match(r'127\.0\.0\.1:\d+ "GET /kib" 200 (1024|0) \d+\.\d ms$', line) for line in server.log))


class ClientCertificates(unittest.TestCase):
    def test_they_are_verified(self):
        server = Server("--authorities", path("authority.crt"))
        self.addCleanup(server.stop)
        code, _, _, _, messages = curl(server, "/small")
        self.assertEqual(code, 56, messages)
        server.wait_line("did not return a certificate")
        given = ["--cert", path("client.crt"), "--key", path("client.key")]
        self.assertEqual(curl(server, "/small", *given)[1], 200)
        given = ["--cert", path("other.crt"), "--key", path("other.key")]
        self.assertEqual(curl(server, "/small", *given)[0], 56)
        server.wait_line("127.0.0.1:[0-9]+: self-signed certificate")


class Reload(unittest.TestCase):
    def test_certificates_are_renewed(self):
        for end in (".crt", ".key"):
            shutil.copy(path("server" + end), path("current" + end))
        server = Server(certificate="current")
        self.addCleanup(server.stop)
        self.assertEqual(curl(server, "/small")[1], 200)
        with open(path("current.key"), "w", encoding="utf-8") as file:
            file.write("broken")
        server.process.send_signal(signal.SIGHUP)
        server.wait_line("not reloaded: .*current.key")
        self.assertEqual(curl(server, "/small")[1], 200)
        certificates.make(FOLDER, "expired", "localhost", days=-1)
        for end in (".crt", ".key"):
            shutil.copy(path("expired" + end), path("current" + end))
        server.process.send_signal(signal.SIGHUP)
        server.wait_line("certificates reloaded")
        code, _, _, _, messages = curl(server, "/small")
        self.assertEqual(code, 60)
        self.assertIn("expired", messages)


class Connect(unittest.TestCase):
    """tls_connect against openssl s_server."""

    def start(self, *options, certificate="server"):
        process = subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", path(certificate + ".crt"), "-key",
                                    path(certificate + ".key"), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        self.addCleanup(self.stop, process)
        while True:
            line = process.stdout.readline().decode()
            self.assertNotEqual(line, "", "s_server has ended")
            found = re.match(r"ACCEPT .*:(\d+)", line)
            if found:
                return int(found.group(1))

    @staticmethod
    def stop(process):
        process.kill()
        process.wait(TIMEOUT_S)
        process.stdin.close()
        process.stdout.close()

    @staticmethod
    def connect(port, *options, data=b"GET / HTTP/1.0\r\n\r\n"):
        return subprocess.run([CONNECT, "--authorities", path("authority.crt"), *options, "127.0.0.1:%d" % port], input=data,
                              capture_output=True, timeout=TIMEOUT_S)

    def test_pages(self):
        for option, name in (("-tls1_2", "TLS 1.2"), ("-tls1_3", "TLS 1.3")):
            result = self.connect(self.start("-www", option))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(name, result.stderr.decode())
            self.assertIn(b"s_server", result.stdout)

    def test_refusals(self):
        port = self.start("-www")
        result = self.connect(port, "--name", "wrong.test")
        self.assertEqual(result.returncode, 1)
        self.assertIn("127.0.0.1:%d: hostname mismatch" % port, result.stderr.decode())
        result = self.connect(port, "--authorities", path("other.crt"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("certificate", result.stderr.decode())
        certificates.make(FOLDER, "old", "localhost", days=-1)
        result = self.connect(self.start("-www", certificate="old"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("certificate has expired", result.stderr.decode())

    def test_client_certificates(self):
        port = self.start("-www", "-Verify", "1", "-verify_return_error", "-CAfile", path("authority.crt"))
        self.assertEqual(self.connect(port).returncode, 1)
        given = ["--certificate", path("client.crt"), "--key", path("client.key")]
        result = self.connect(port, *given)
        self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
