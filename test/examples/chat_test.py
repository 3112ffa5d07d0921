#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of chat_server, by socat and over raw sockets: chat_test.py PATH/TO/chat_server [unittest options]."""
import re
import socket
import subprocess
import threading

import server
from server import ServerCase

CLIENTS = 20


class Lines:
    """Reads lines until the wanted number has been received or reported as missed."""

    def __init__(self, file):
        self.file = file
        self.heard = []
        self.missed = 0

    def count(self, wanted):
        while len(self.heard) + self.missed < wanted:
            line = self.file.readline()
            if not line:
                raise EOFError("the server closed after %d lines" % len(self.heard))
            match = re.fullmatch(rb"\*\*\* (\d+) lines missed\n", line)
            if match:
                self.missed += int(match.group(1))
            else:
                self.heard.append(line)
        return self


class Chat(ServerCase):
    def tearDown(self):
        self.doCleanups()  # the clients close before the test checks that the server has closed them too
        super().tearDown()

    def socat(self):
        process = subprocess.Popen(["socat", "-", "TCP:127.0.0.1:%d" % self.server.port], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.terminate()
        process.wait(server.TIMEOUT_S)
        process.stdin.close()
        process.stdout.close()

    def connect(self, receive_buffer=None):
        conn = socket.socket()
        if receive_buffer is not None:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        conn.settimeout(server.TIMEOUT_S)
        conn.connect(("127.0.0.1", self.server.port))
        self.addCleanup(conn.close)
        return conn

    def test_each_line_goes_to_all(self):
        clients = [self.socat() for _ in range(CLIENTS)]
        for number, client in enumerate(clients):  # each receives its own line: then it is subscribed
            client.stdin.write(b"here is %d\n" % number)
            client.stdin.flush()
            while b"here is %d\n" % number not in client.stdout.readline():
                pass
        for number, client in enumerate(clients):
            client.stdin.write(b"from %d\n" % number)
            client.stdin.flush()
        orders = set()
        for client in clients:
            heard = []
            while len(heard) < CLIENTS:
                line = client.stdout.readline()
                self.assertTrue(line, "the server closed")
                if b"from" in line:
                    heard.append(re.sub(rb"^\[\d+\] ", b"", line))
            self.assertEqual(sorted(heard), sorted(b"from %d\n" % number for number in range(CLIENTS)))
            orders.add(tuple(heard))
        self.assertEqual(len(orders), 1, "all hear it in the same order")

    def test_a_slow_reader_misses_lines_and_delays_no_other(self):
        count = 60000
        speaker = self.connect()
        slow = self.connect(receive_buffer=4096)
        fast = Lines(speaker.makefile("rb"))
        late = Lines(slow.makefile("rb"))
        slow.sendall(b"I am slow\n")
        late.count(1)
        speaker.sendall(b"ready?\n")
        while not fast.heard or b"ready?" not in fast.heard[-1]:
            fast.count(len(fast.heard) + 1)
        late.count(2)
        before = len(fast.heard)
        text = b"".join(b"%08d %s\n" % (number, b"x" * 150) for number in range(count))
        thread = threading.Thread(target=server.send_all, args=(speaker, text), daemon=True)
        thread.start()
        fast.count(before + count)  # while the slow client reads nothing
        thread.join(server.TIMEOUT_S)
        late.count(2 + count)
        self.assertGreater(late.missed, 0)
        for lines, skip in ((fast, before), (late, 2)):
            numbers = [int(line.split()[1]) for line in lines.heard[skip:]]
            self.assertEqual(numbers, sorted(set(numbers)), "in order, and none twice")
            self.assertEqual(len(numbers) + lines.missed, count)
        self.assertEqual(int(late.heard[-1].split()[1]), count - 1, "the last lines are kept")

    def test_long_lines_and_sudden_ends(self):
        one = self.connect()
        file = one.makefile("rb")
        one.sendall(b"y" * 500 + b"\n")
        said = b"".join(re.sub(rb"^\[\d+\] ", b"", file.readline()).rstrip(b"\n") for _ in range(3))
        self.assertEqual(said, b"y" * 500)
        other = self.connect()
        other.sendall(b"gone\n")
        other.close()
        self.assertIn(b"gone", file.readline())


class Options(server.OptionCase):
    pass


if __name__ == "__main__":
    server.main()
