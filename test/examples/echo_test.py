#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of echo_server, over raw sockets: echo_test.py PATH/TO/echo_server [unittest options]."""
import os
import socket
import struct
import threading
import time

import server
from server import ServerCase, receive_all


def receive(conn, size):
    data = b""
    while len(data) < size:
        piece = conn.recv(size - len(data))
        if not piece:
            raise EOFError("the server closed after %d of %d bytes" % (len(data), size))
        data += piece
    return data


class Echo(ServerCase):
    def connect(self):
        conn = self.server.connect()
        self.addCleanup(conn.close)
        return conn

    def test_lines(self):
        with self.connect() as conn:
            for line in (b"hello\n", b"x", bytes(range(256))):
                conn.sendall(line)
                self.assertEqual(receive(conn, len(line)), line)

    def test_half_close(self):
        data = os.urandom(20000)
        with self.connect() as conn:
            conn.sendall(data)
            conn.shutdown(socket.SHUT_WR)
            self.assertEqual(receive_all(conn), data)

    def test_client_that_reads_late(self):
        """More data than the sockets hold: the server must wait until it can write, and lose nothing."""
        data = os.urandom(16 << 20)
        with self.connect() as conn:
            sender = threading.Thread(target=lambda: (server.send_all(conn, data), conn.shutdown(socket.SHUT_WR)), daemon=True)
            sender.start()
            time.sleep(0.3)
            with self.connect() as other:  # no other client is delayed
                other.sendall(b"ping")
                self.assertEqual(receive(other, 4), b"ping")
            self.assertTrue(receive_all(conn) == data, "the echo differs")
            sender.join(server.TIMEOUT_S)

    def test_200_connections(self):
        conns = [self.connect() for _ in range(200)]
        for turn in range(5):
            for number, conn in enumerate(conns):
                conn.sendall(b"%d:%d" % (turn, number))
            for number, conn in enumerate(conns):
                expected = b"%d:%d" % (turn, number)
                self.assertEqual(receive(conn, len(expected)), expected)
        for conn in conns:
            conn.close()

    def test_reset(self):
        for data in (b"", b"x", os.urandom(1 << 16)):
            with self.subTest(size=len(data)):
                conn = self.connect()
                conn.sendall(data)
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                conn.close()
                with self.connect() as other:
                    other.sendall(b"still there?")
                    self.assertEqual(receive(other, 12), b"still there?")


class Options(server.OptionCase):
    pass


if __name__ == "__main__":
    server.main()
