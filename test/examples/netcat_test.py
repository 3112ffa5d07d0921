#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of netcat, between pipes and sockets: netcat_test.py PATH/TO/netcat [unittest options]."""
import os
import socket
import subprocess
import sys
import tempfile
import unittest

TIMEOUT_S = 60
PROGRAM = ""


def start(*arguments):
    return subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def receive_all(conn):
    pieces = []
    while True:
        piece = conn.recv(65536)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


class Netcat(unittest.TestCase):
    def serve(self, family, address):
        listener = socket.socket(family)
        self.addCleanup(listener.close)
        listener.settimeout(TIMEOUT_S)
        listener.bind(address)
        listener.listen()
        return listener

    def both_ways(self, listener, address):
        """The end of standard input is a half-close; the end of the socket is the end of the program."""
        data = os.urandom(100000)
        program = start(address)
        conn, _ = listener.accept()
        with conn:
            conn.settimeout(TIMEOUT_S)
            program.stdin.write(data)
            program.stdin.close()
            self.assertTrue(receive_all(conn) == data, "what arrives differs")
            conn.sendall(data[::-1][:50000])
        self.assertTrue(program.stdout.read() == data[::-1][:50000], "what is printed differs")
        self.finish(program, 0)

    def finish(self, program, status):
        errors = program.stderr.read().decode()
        self.assertEqual(program.wait(TIMEOUT_S), status, errors)
        for pipe in (program.stdin, program.stdout, program.stderr):
            pipe.close()
        return errors

    def test_tcp(self):
        listener = self.serve(socket.AF_INET, ("127.0.0.1", 0))
        self.both_ways(listener, "127.0.0.1:%d" % listener.getsockname()[1])

    def test_unix(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            self.both_ways(self.serve(socket.AF_UNIX, path), path)

    def test_ends_although_standard_input_is_open(self):
        listener = self.serve(socket.AF_INET, ("127.0.0.1", 0))
        program = start("127.0.0.1:%d" % listener.getsockname()[1])
        conn, _ = listener.accept()
        conn.close()
        self.finish(program, 0)

    def test_standard_input_that_cannot_be_read(self):
        listener = self.serve(socket.AF_INET, ("127.0.0.1", 0))
        folder = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, folder)
        address = "127.0.0.1:%d" % listener.getsockname()[1]
        program = subprocess.Popen([PROGRAM, address], stdin=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        conn, _ = listener.accept()
        with conn:
            errors = program.stderr.read().decode()
            self.assertEqual(program.wait(TIMEOUT_S), 1, errors)
            self.assertIn("irectory", errors)
        program.stdout.close()
        program.stderr.close()

    def test_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            program = start(os.path.join(folder, "none"))
            self.assertIn("netcat: ", self.finish(program, 1))

    def test_usage(self):
        self.assertIn("usage", self.finish(start(), 2))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
