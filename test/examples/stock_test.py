#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of stock_server, over raw sockets: stock_test.py PATH/TO/stock_server [unittest options]."""
import server
from server import ServerCase, receive_all


class Stock(ServerCase):
    def ask(self, requests):
        with self.server.connect() as conn:
            conn.sendall(requests)
            return conn.makefile("rb").readline()

    def test_takes_until_it_is_sold_out(self):
        self.assertEqual(self.ask(b"take 3\n"), b"left 997\n")
        self.assertEqual(self.ask(b"take 998\n"), b"sold out\n")
        self.assertEqual(self.ask(b"take 997\n"), b"left 0\n")
        self.assertEqual(self.ask(b"take 1\n"), b"sold out\n")

    def test_wrong_requests_end_the_connection(self):
        for request in (b"give 3\n", b"x" * 64):
            with self.server.connect() as conn:
                conn.sendall(request)
                self.assertEqual(receive_all(conn), b"")


class Options(server.OptionCase):
    request = b"take 1\n"


if __name__ == "__main__":
    server.main()
