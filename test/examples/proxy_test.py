#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of tcp_proxy: raw sockets, socat, wrk and the HTTP example, pgbench and PostgreSQL: proxy_test.py PATH/TO/tcp_proxy."""
import glob
import hashlib
import os
import pwd
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from server import send_all

TIMEOUT_S = 60
PROGRAM = ""
IDLE_CONNECTIONS = 10000
SPARE_FILES = 200  # that a process has open beside its connections


class Program:
    """A process that says on stderr where it listens."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"listening on (?:http://)?(127\.0\.0\.1:(\d+))", line)
            if found:
                self.address, self.port = found.group(1), int(found.group(2))
                break
        else:
            raise RuntimeError("%s did not start: %s" % (command[0], self.lines))
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def files(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def stop(self):
        self.process.terminate()
        self.process.wait(TIMEOUT_S)
        self.reader.join(TIMEOUT_S)
        self.process.stderr.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def receive_all(conn):
    digest, size = hashlib.sha256(), 0
    while piece := conn.recv(1 << 16):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def send_and_end(conn, data):
    send_all(conn, data)
    conn.shutdown(socket.SHUT_WR)


class ProxyCase(unittest.TestCase):
    def listen(self, backlog=4096):
        listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.addCleanup(listener.close)
        listener.settimeout(TIMEOUT_S)
        return listener, "127.0.0.1:%d" % listener.getsockname()[1]

    def proxy(self, target, *options):
        proxy = Program(PROGRAM, *options, "127.0.0.1:0", target)
        self.addCleanup(proxy.stop)
        return proxy

    def connect(self, proxy):
        conn = socket.create_connection(("127.0.0.1", proxy.port), timeout=TIMEOUT_S)
        self.addCleanup(conn.close)
        return conn

    def through(self, *options):
        """A proxy, the client's end of a connection through it, and the server's."""
        listener, address = self.listen()
        proxy = self.proxy(address, *options)
        self.idle_files = proxy.files()
        client = self.connect(proxy)
        server, _ = listener.accept()
        self.addCleanup(server.close)
        server.settimeout(TIMEOUT_S)
        return proxy, client, server

    def wait_until(self, condition, what):
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.01)


class Bytes(ProxyCase):
    def test_both_directions_at_once(self):
        proxy, client, server = self.through()
        data = {client: os.urandom(8 << 20), server: os.urandom(12 << 20)}
        senders = [threading.Thread(target=send_and_end, args=item) for item in data.items()]
        results = {}
        readers = [threading.Thread(target=lambda conn=conn: results.update({conn: receive_all(conn)})) for conn in data]
        for thread in senders + readers:
            thread.start()
        for thread in senders + readers:
            thread.join(TIMEOUT_S)
        for conn, other in ((client, server), (server, client)):
            self.assertEqual(results[conn], (hashlib.sha256(data[other]).hexdigest(), len(data[other])))
        self.wait_until(lambda: proxy.files() <= self.idle_files + 2, "the connection is still open")

    def test_half_close_by_socat(self):
        """socat sends its input, half-closes, and still gets the whole response, which the server makes only after the end."""
        listener, address = self.listen()
        proxy = self.proxy(address)
        data = os.urandom(300000)
        with tempfile.TemporaryFile() as given:
            given.write(data)
            given.seek(0)
            socat = subprocess.Popen(["socat", "-t", "30", "-", "TCP:" + proxy.address], stdin=given, stdout=subprocess.PIPE)
        server, _ = listener.accept()
        with server:
            server.settimeout(TIMEOUT_S)
            self.assertEqual(receive_all(server), (hashlib.sha256(data).hexdigest(), len(data)))
            send_all(server, data[::-1])
        output, _ = socat.communicate(timeout=TIMEOUT_S)
        self.assertTrue(output == data[::-1], "the response differs")
        self.assertEqual(socat.returncode, 0)

    def test_reset_is_noticed_by_the_other_side(self):
        proxy, client, server = self.through()
        client.sendall(b"a")
        self.assertEqual(server.recv(1), b"a")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.close()
        self.assertEqual(server.recv(1), b"")
        self.wait_until(lambda: proxy.files() <= self.idle_files + 2, "the connection is still open")

    def test_idle_connection_ends(self):
        _, client, server = self.through("--idle", "1")
        begin = time.monotonic()
        self.assertEqual(client.recv(1), b"")
        self.assertGreaterEqual(time.monotonic() - begin, 0.9)
        self.assertEqual(server.recv(1), b"")

    def test_no_server(self):
        proxy = self.proxy("127.0.0.1:%d" % free_port())
        client = self.connect(proxy)
        self.assertEqual(client.recv(1), b"")
        self.wait_until(lambda: any("refused" in line for line in proxy.lines), "nothing is said of the error")

    def test_unix(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
            path = os.path.join(folder, "socket")
            listener.bind(path)
            listener.listen()
            listener.settimeout(TIMEOUT_S)
            client = self.connect(self.proxy(path))
            server, _ = listener.accept()
            with server:
                server.settimeout(TIMEOUT_S)
                client.sendall(b"abc")
                self.assertEqual(server.recv(10), b"abc")

    def test_usage(self):
        for arguments in ([], ["127.0.0.1:0"], ["--workers", "0", "a", "b"], ["--idle", "x", "a", "b"],
                          ["--what", "1", "a", "b"]):
            result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertIn("usage", result.stderr)


class Many(ProxyCase):
    def test_idle_connections(self):
        """As many as the limit of open files admits, up to 10,000: each has two in the proxy, and two in this process."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        count = min(IDLE_CONNECTIONS, (hard - SPARE_FILES) // 2)
        listener, address = self.listen()
        proxy = self.proxy(address)
        before = proxy.files()
        pairs = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", proxy.port), timeout=TIMEOUT_S)
            server, _ = listener.accept()
            server.settimeout(TIMEOUT_S)
            pairs.append((client, server))
        for client, server in pairs[::97]:
            client.sendall(b"ping")
            self.assertEqual(server.recv(10), b"ping")
            server.sendall(b"pong")
            self.assertEqual(client.recv(10), b"pong")
        self.assertGreaterEqual(proxy.files() - before, 2 * count - 10)  # a few were open only before
        for pair in pairs:
            for conn in pair:
                conn.close()
        self.wait_until(lambda: proxy.files() <= before + 2, "connections are still open")


class Http(ProxyCase):
    def test_wrk(self):
        http = Program(os.path.join(os.path.dirname(PROGRAM), "http_server"), "--port", "0")
        self.addCleanup(http.stop)
        proxy = self.proxy(http.address)
        result = subprocess.run(["wrk", "-t1", "-c50", "-d2s", "http://%s/" % proxy.address], capture_output=True, text=True,
                                timeout=TIMEOUT_S)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(int(re.search(r"(\d+) requests in", result.stdout).group(1)), 100, result.stdout)
        for problem in ("Socket errors", "Non-2xx"):
            self.assertNotIn(problem, result.stdout)


class Postgres(ProxyCase):
    """A server of its own, in a folder of its own. It refuses to run as root."""

    def setUp(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        self.assertTrue(found, "PostgreSQL is missing: install the package postgresql")
        self.programs = os.path.dirname(found[-1])
        self.folder = tempfile.mkdtemp(prefix="tn-proxy-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.as_user = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data, self.port = os.path.join(self.folder, "data"), free_port()
        self.run_program([*self.as_user, os.path.join(self.programs, "initdb"), "-D", data, "-A", "trust", "-U", "tester", "-N"])
        self.server = subprocess.Popen(
            [*self.as_user, os.path.join(self.programs, "postgres"), "-D", data, "-p", str(self.port), "-k", self.folder,
             "-h", "127.0.0.1", "-F"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd=self.folder)
        self.addCleanup(self.stop_server)
        ready = ["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        self.wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL does not start")

    def stop_server(self):
        self.server.send_signal(2)  # fast shutdown: it does not wait for clients
        self.server.wait(TIMEOUT_S)

    def run_program(self, command):
        result = subprocess.run(command, capture_output=True, text=True, timeout=2 * TIMEOUT_S, cwd=self.folder)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def test_pgbench(self):
        proxy = self.proxy("127.0.0.1:%d" % self.port)
        at = ["-h", "127.0.0.1", "-p", str(proxy.port), "-U", "tester", "postgres"]
        self.run_program(["pgbench", "-i", "-q", "-s", "1", *at])
        output = self.run_program(["pgbench", "-n", "-c", "8", "-t", "50", *at])
        self.assertIn("number of transactions actually processed: 400/400", output)
        self.assertRegex(output, r"number of failed transactions: 0 ")
        counted = self.run_program(["psql", "-At", *at, "-c", "select count(*) from pgbench_history"])
        self.assertEqual(counted.strip(), "400")


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
