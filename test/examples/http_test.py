#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of an HTTP example server, over raw sockets: http_test.py PATH/TO/http_server [unittest options]."""
import os
import resource
import socket
import struct
import threading
import time
import unittest

import server
from server import ServerCase, receive_all, wait_until

PAGE = b"Hello, world!\n"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
GET_CLOSE = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HEADERS_MAX = 80 * 1024


class Response:
    def __init__(self, head, body):
        lines = head.decode("ascii").split("\r\n")
        self.version, self.status, self.reason = lines[0].split(" ", 2)
        self.status = int(self.status)
        self.headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            assert name.lower() not in self.headers, "%s twice" % name
            self.headers[name.lower()] = value
        self.body = body


class Client:
    """A connection that reads responses one by one."""

    def __init__(self, running):
        self.conn = running.connect()
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    def send(self, data):
        self.conn.sendall(data)

    def response(self, head_only=False):
        while b"\r\n\r\n" not in self.pending:
            self._more()
        head, self.pending = self.pending.split(b"\r\n\r\n", 1)
        response = Response(head, b"")
        size = 0 if head_only else int(response.headers["content-length"])
        while len(self.pending) < size:
            self._more()
        response.body, self.pending = self.pending[:size], self.pending[size:]
        return response

    def ask(self, request):
        self.send(request)
        return self.response(head_only=request.startswith(b"HEAD"))

    def at_end(self):
        """Returns whether the stream has ended; a reset is not an end."""
        return self.pending == b"" and self.conn.recv(1) == b""

    def _more(self):
        piece = self.conn.recv(65536)
        if not piece:
            raise EOFError("the server closed in the middle of: %r" % self.pending)
        self.pending += piece


def split_responses(data):
    responses = []
    while data:
        head, data = data.split(b"\r\n\r\n", 1)
        response = Response(head, b"")
        size = int(response.headers["content-length"])
        response.body, data = data[:size], data[size:]
        responses.append(response)
    return responses


class HttpCase(ServerCase):
    def client(self):
        client = Client(self.server)
        self.addCleanup(client.conn.close)
        return client

    def check_page(self, response):
        self.assertEqual((response.version, response.status, response.reason), ("HTTP/1.1", 200, "OK"))
        self.assertEqual(response.body, PAGE)
        self.assertEqual(response.headers["content-type"], "text/plain")

    def check_error(self, response, status):
        self.assertEqual(response.status, status)
        self.assertGreater(len(response.body), 0)


class Requests(HttpCase):
    def test_page(self):
        with self.client() as client:
            response = client.ask(GET)
            self.check_page(response)
            self.assertNotIn("connection", response.headers)

    def test_keep_alive(self):
        with self.client() as client:
            for _ in range(100):
                self.check_page(client.ask(GET))

    def test_connection_close(self):
        with self.client() as client:
            response = client.ask(GET_CLOSE)
            self.check_page(response)
            self.assertEqual(response.headers["connection"], "close")
            self.assertTrue(client.at_end())

    def test_http_1_0_closes(self):
        with self.client() as client:
            response = client.ask(b"GET / HTTP/1.0\r\n\r\n")
            self.check_page(response)
            self.assertEqual(response.headers["connection"], "close")
            self.assertTrue(client.at_end())

    def test_http_1_0_keep_alive_on_request(self):
        with self.client() as client:
            for _ in range(3):
                response = client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                self.check_page(response)
                self.assertEqual(response.headers["connection"], "keep-alive")

    def test_head(self):
        with self.client() as client:
            response = client.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(response.status, 200)
            self.assertEqual(response.headers["content-length"], str(len(PAGE)))
            self.check_page(client.ask(GET))  # no body was in between
            self.assertEqual(client.ask(b"HEAD /none HTTP/1.1\r\nHost: x\r\n\r\n").status, 404)
            self.check_page(client.ask(GET))

    def test_head_and_close_sends_no_body(self):
        with self.client() as client:
            client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertTrue(receive_all(client.conn).endswith(b"\r\n\r\n"))

    def test_targets(self):
        found = [b"/", b"/?", b"/?a=b/c", b"http://localhost/", b"http://localhost:8080/?x", b"http://localhost"]
        missing = [b"/x", b"//", b"/index.html", b"/x?/", b"/x/", b"http://localhost/x", b"http://localhost//"]
        with self.client() as client:
            for status, targets in ((200, found), (404, missing)):
                for target in targets:
                    with self.subTest(target=target):
                        response = client.ask(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
                        self.assertEqual(response.status, status)
                        self.assertNotIn("connection", response.headers)

    def test_other_methods(self):
        with self.client() as client:
            for method in (b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"POST"):
                with self.subTest(method=method):
                    response = client.ask(method + b" / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
                    self.check_error(response, 405)
                    self.assertEqual(response.headers["allow"], "GET, HEAD")
            self.check_page(client.ask(GET))
            self.check_error(client.ask(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), 405)
            self.check_error(client.ask(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"), 405)
            self.check_page(client.ask(GET))

    def test_upgrade_is_ignored(self):
        upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        with self.client() as client:
            client.send(upgrade + upgrade + GET)
            for _ in range(3):
                self.check_page(client.response())

    def test_bodies_are_discarded(self):
        chunked = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10;x=y\r\n" + 16 * b"z" + b"\r\n0\r\nTrailer: t\r\n\r\n"
        bodies = [b"Content-Length: 5\r\n\r\nhello", b"Content-Length: 100000\r\n\r\n" + 100000 * b"G", chunked,
                  b"Content-Length: %d\r\n\r\n%s" % (len(GET), GET)]
        with self.client() as client:
            for method, status in ((b"POST", 405), (b"GET", 200)):
                for body in bodies:
                    with self.subTest(method=method, body=body[:40]):
                        self.assertEqual(client.ask(method + b" / HTTP/1.1\r\nHost: x\r\n" + body).status, status)
                        self.check_page(client.ask(GET))


class Packets(HttpCase):
    def test_one_byte_packets(self):
        with self.client() as client:
            for byte in GET:
                client.send(bytes([byte]))
                time.sleep(0.0005)
            self.check_page(client.response())
            self.check_page(client.ask(GET))

    def test_split_at_every_byte(self):
        post = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        both = GET + post
        with self.client() as client:
            for position in range(1, len(both)):
                client.send(both[:position])
                time.sleep(0.001)
                client.send(both[position:])
                self.check_page(client.response())
                self.check_error(client.response(), 405)

    def test_pipelined_in_order_with_one_write(self):
        missing, other = b"GET /no HTTP/1.1\r\nHost: x\r\n\r\n", b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n"
        requests = [(GET, 200), (missing, 404), (other, 405)] * 5
        with self.client() as client:
            client.send(b"".join(request for request, _ in requests))
            data = client.conn.recv(65536)  # one packet: the first read returns all of it
            self.assertEqual([response.status for response in split_responses(data)], [status for _, status in requests])
            self.check_page(client.ask(GET))

    def test_pipelined_at_different_lengths(self):
        short = b"GET / HTTP/1.1\r\n\r\n"  # as many as fit in a read: more responses than the queue holds are due at once
        for count in (2, 63, 64, 65, 127, 128, 129, 200, 227, 228, 1000, 5000):
            with self.subTest(count=count), self.client() as client:
                client.send(count * short)
                for _ in range(count):
                    self.check_page(client.response())
                self.check_page(client.ask(GET))

    def test_pipelined_after_close_gets_no_response(self):
        with self.client() as client:
            client.send(GET + GET_CLOSE + 10 * GET)
            responses = split_responses(receive_all(client.conn))
            self.assertEqual([a.headers.get("connection") for a in responses], [None, "close"])

    def test_empty_lines_between_requests(self):
        with self.client() as client:
            client.send(b"\r\n" + GET + b"\r\n\r\n" + GET)
            self.check_page(client.response())
            self.check_page(client.response())

    def test_client_that_reads_late(self):
        """The server's writes do not fit into the socket: it must wait, and lose nothing."""
        count = 300000  # responses of 24 MB: more than the sockets of both ends hold
        with self.client() as client:
            sender = threading.Thread(target=lambda: client.send(count * b"GET / HTTP/1.1\r\n\r\n" + GET_CLOSE), daemon=True)
            sender.start()
            time.sleep(0.3)
            with self.client() as other:  # no other client is delayed
                self.check_page(other.ask(GET))
            data = receive_all(client.conn)
            sender.join(server.TIMEOUT_S)
            self.assertEqual(data.count(b"HTTP/1.1 200 OK\r\n"), count + 1)
            self.assertEqual(data.count(PAGE), count + 1)

    def test_client_that_never_reads(self):
        """The client closes while the server waits to write."""
        with self.client() as client:
            client.conn.settimeout(0.5)
            with self.assertRaises(TimeoutError):
                client.send(2000000 * b"GET / HTTP/1.1\r\n\r\n")


class Garbage(HttpCase):
    def check_refused(self, data, status=400):
        with self.client() as client:
            client.send(data)
            response = client.response()
            self.check_error(response, status)
            self.assertEqual(response.headers["connection"], "close")
            self.assertTrue(client.at_end())

    def test_garbage(self):
        for data in (b"garbage\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", b"GET\r\n\r\n", b"GET / FTP/1.1\r\n\r\n",
                     b"GET / HTTP/x\r\n\r\n", b"FETCH / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", bytes(100),
                     b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                     b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"get / HTTP/1.1\r\n\r\n",
                     b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"):
            with self.subTest(data=data):
                self.check_refused(data)

    def test_valid_requests_before_get_a_response(self):
        with self.client() as client:
            client.send(GET + GET + b"garbage\r\n\r\n" + GET)
            statuses = [response.status for response in split_responses(receive_all(client.conn))]
            self.assertEqual(statuses, [200, 200, 400])

    def test_response_survives_unread_garbage(self):
        """Closing with unread bytes would reset the connection, and the client could lose the response."""
        for _ in range(20):
            self.check_refused(b"garbage\r\n" + 100000 * b"x")

    def test_header_limit(self):
        line = b"X: " + 1000 * b"y" + b"\r\n"
        under = b"GET / HTTP/1.1\r\n" + (HEADERS_MAX // len(line) - 2) * line + b"\r\n"
        with self.client() as client:
            for _ in range(3):  # the limit holds per request
                self.check_page(client.ask(under))
        over = b"GET / HTTP/1.1\r\n" + 2 * (HEADERS_MAX // len(line)) * line
        self.check_refused(over, 431)
        self.check_refused(b"GET /" + 2 * HEADERS_MAX * b"x", 431)


class Ends(HttpCase):
    def test_client_sends_nothing(self):
        with self.client():
            pass

    def test_half_close(self):
        with self.client() as client:
            client.send(GET + GET)
            client.conn.shutdown(socket.SHUT_WR)
            responses = split_responses(receive_all(client.conn))
            self.assertEqual([response.status for response in responses], [200, 200])

    def test_half_close_later(self):
        with self.client() as client:
            self.check_page(client.ask(GET))
            client.conn.shutdown(socket.SHUT_WR)
            self.assertTrue(client.at_end())

    def test_end_in_the_middle(self):
        for part in (b"G", GET[:-2], b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"):
            with self.subTest(part=part), self.client() as client:
                client.send(part)
                client.conn.shutdown(socket.SHUT_WR)
                self.assertTrue(client.at_end())

    def reset(self, client):
        client.conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.conn.close()

    def test_reset(self):
        for part in (b"", b"GET / HT", GET, 200 * GET, GET + b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"):
            for pause_s in (0, 0.01):
                with self.subTest(part=part[:60], pause_s=pause_s):
                    client = self.client()
                    client.send(part)
                    time.sleep(pause_s)
                    self.reset(client)
                    with self.client() as other:
                        self.check_page(other.ask(GET))

    def test_many_resets_at_once(self):
        clients = [self.client() for _ in range(100)]
        for client in clients:
            client.send(GET)
        for client in clients:
            self.reset(client)
        with self.client() as other:
            self.check_page(other.ask(GET))


class Many(HttpCase):
    def test_200_connections(self):
        clients = [self.client() for _ in range(200)]
        for _ in range(5):
            for client in clients:
                client.send(GET)
            for client in clients:
                self.check_page(client.response())
        for client in clients:
            client.conn.close()

    def test_200_clients_at_once(self):
        errors = []

        def run():
            try:
                for _ in range(3):
                    with Client(self.server) as client:
                        for _ in range(3):
                            self.check_page(client.ask(GET))
                        self.check_page(client.ask(GET_CLOSE))
            except Exception as error:  # reported by the main thread
                errors.append(error)

        threads = [threading.Thread(target=run, daemon=True) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(server.TIMEOUT_S * 3)
        self.assertEqual(errors, [])
        self.assertFalse(any(thread.is_alive() for thread in threads))

    def test_connections_one_after_the_other(self):
        for _ in range(500):
            with self.client() as client:
                self.check_page(client.ask(GET_CLOSE))


class Shortage(unittest.TestCase):
    def start(self, limit, value, *options):
        try:
            running = server.Server(*options, preexec_fn=lambda: resource.setrlimit(limit, (value, value)))
        except RuntimeError:
            self.skipTest("it does not start within this limit; a sanitizer does not")
        self.addCleanup(running.stop)
        return running

    def test_out_of_files(self):
        """The server keeps the connections it has, and accepts the others once descriptors are free."""
        running = self.start(resource.RLIMIT_NOFILE, 64)
        clients = [Client(running) for _ in range(100)]
        for client in clients:
            self.addCleanup(client.conn.close)
            client.send(GET)
        self.assertEqual(clients[0].response().status, 200)
        for client in clients[:70]:
            client.conn.close()
        for client in clients[70:]:
            self.assertEqual(client.response().status, 200)
        self.assertTrue(running.alive())

    def test_out_of_threads(self):
        """A connection that gets no thread is closed, the others stay, and later ones are served."""
        if "threads" not in os.path.basename(server.SERVER):
            self.skipTest("this server does not use one thread per connection")
        running = self.start(resource.RLIMIT_AS, 32 << 20)
        clients = [Client(running) for _ in range(200)]
        refused = 0
        for client in clients:
            self.addCleanup(client.conn.close)
            try:
                self.assertEqual(client.ask(GET).status, 200)
            except (EOFError, ConnectionError):
                refused += 1
        self.assertTrue(0 < refused < 200, "%d of 200 were refused" % refused)
        wait_until(lambda: sum("cannot start a thread" in line for line in running.lines) == refused, "one message for each")
        for client in clients:
            client.conn.close()
        wait_until(lambda: running.open_files() < 10, "the server still holds connections that have ended")
        with Client(running) as client:
            self.assertEqual(client.ask(GET).status, 200)


class Options(server.OptionCase):
    def test_worker_counts(self):
        option = self.workers_option()
        if option is None:
            self.skipTest("this server has no such option")
        for count in ("1", "3"):
            with self.subTest(count=count):
                running = server.Server(option, count)
                self.addCleanup(running.stop)
                clients = [Client(running) for _ in range(10)]
                for client in clients:
                    self.addCleanup(client.conn.close)
                    self.assertEqual(client.ask(GET).status, 200)


if __name__ == "__main__":
    server.main()
