#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of mini_redis by the tools of Redis, and beside redis-server: redis_test.py PATH/TO/mini_redis [unittest options]."""
import csv
import io
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import server
from server import ServerCase, wait_until

TOOLS = all(shutil.which(tool) for tool in ("redis-server", "redis-benchmark", "redis-cli"))
REQUESTS = 20000
RUN_S = 100  # of a tool of Redis, on a slow machine

os.environ["G_SLICE"] = "always-malloc"  # GLib's own allocator passes blocks between threads unseen by ThreadSanitizer


def request(*words):
    """A request as bytes; each argument is bytes or text."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


# Replies are compared byte by byte with those of redis-server. Each is a request, or raw bytes.
STRINGS = [line.split(" ") for line in """
PING|PING hi|ping a b|ECHO|ECHO x|ECHO a b|GET|GET none|GET a b|SET a|SET a b|GET a|SET a c NX|SET fresh c NX
SET fresh d NX EX 5|SET a b EX 0|SET a b EX -1|SET a b EX x|SET a b EX|SET a b FOO|SET a b nx ex 100|SET t 1 EX 100|TTL t|SET t 2
TTL t|set n 12|INCR n|INCR a|GET n|SET n 9223372036854775807|INCR n|INCR|INCR new|INCR new|DEL|DEL a n none n|GET a|EXPIRE
EXPIRE a 5|SET a 1|EXPIRE a 50|TTL a|EXPIRE a x|INCR a|TTL a|EXPIRE a -1|TTL a|GET a|SET b 2|TTL b|TTL|TTL none|MGET
MGET b none b new|PUBLISH|PUBLISH a|PUBLISH a b|SUBSCRIBE|FOO|FOO a b c|foo 'quoted'|SET n 012|INCR n|SET n -5|INCR n
SET n -0|INCR n|SET n +1|INCR n|SET n -9223372036854775808|INCR n|SET n 99999999999999999999|INCR n
EXPIRE b 9223372036854775807|EXPIRE b 99999999999|TTL b|SET a b EX 9223372036854775807|DEL b fresh new n t
""".replace("\n", "|").split("|") if line]
RAW = [request("FOO", "x" * 200), request("FOO", "a\r\nb", "\x01"), request("x" * 200),
       request("SET", "bytes", bytes(range(256))), request("GET", "bytes"), request("SET", "", ""), request("GET", ""),
       request("DEL", "", "bytes"), request(""), request("SET", "large", b"0123456789" * 30000), request("GET", "large"),
       request("MGET", "large", "none", "large"), request("DEL", "large"), b"*0\r\n*-5\r\nPING\r\n", b"\r\nPING\r\n",
       b"  ECHO   typed \r\n", b"GET a\n", b"*1\r\n$4\r\nPINGxx" + request("PING")]
WRONG = [b"*1\r\n+PING\r\n", b"*x\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$x\r\n", b"*1\r\n$600000000\r\n",
         b"*2\r\n$4\r\nECHO\r\n:1\r\n", request("PING") + b"*1\r\nPING\r\n", b"x" * 70000]
SUBSCRIBED = [request("SUBSCRIBE", "a", "a", "b"), request("GET", "x"), request("PING"), request("PING", "x"),
              request("FOO", "x"), request("SUBSCRIBE", "c"), request("GET")]


class Redis:
    """A redis-server on a free port, with its own folder."""

    def __init__(self):
        self.folder = tempfile.mkdtemp()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir",
                                         self.folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.is_ready, "redis-server did not start")

    def is_ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


class Client:
    """A connection that sends requests and returns whole replies."""

    def __init__(self, port):
        self.conn = socket.create_connection(("127.0.0.1", port), timeout=server.TIMEOUT_S)
        self.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.conn.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.conn.close()

    def send(self, data):
        self.conn.sendall(data)

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the server closed")
        if line[:1] == b"$" and line != b"$-1\r\n":
            line += self.file.read(int(line[1:]) + 2)
        if line[:1] == b"*":
            line += b"".join(self.reply() for _ in range(int(line[1:])))
        return line

    def ask(self, *words):
        self.send(request(*words))
        return self.reply()

    def all_after(self, data, count):
        """Sends, and returns as many replies as one."""
        self.send(data)
        return b"".join(self.reply() for _ in range(count))

    def to_the_end(self, data):
        self.send(data)
        return self.file.read()


@unittest.skipUnless(TOOLS, "redis-server and redis-tools are not installed")
class Equal(ServerCase):
    """The same requests to mini_redis and redis-server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.redis = Redis()

    @classmethod
    def tearDownClass(cls):
        cls.redis.stop()
        super().tearDownClass()

    def compare(self, data, ask):
        replies = []
        for port in (self.server.port, self.redis.port):
            with Client(port) as client:
                replies.append(ask(client, data))
        self.assertEqual(replies[0], replies[1], data[:100])
        return replies[0]

    def test_one_by_one(self):
        scripted = [request(*words) for words in STRINGS]
        for data in scripted + RAW:
            reply = self.compare(data, lambda client, data: client.all_after(data, 1))
            self.assertGreater(len(reply), 3)

    def test_all_at_once_and_byte_by_byte(self):
        """Replies to requests that arrive together, or in pieces, are the same."""
        whole = b"".join(request(*words) for words in STRINGS)
        expected = self.compare(whole, lambda client, data: client.all_after(data, len(STRINGS)))
        with Client(self.server.port) as client:
            for i in range(0, len(whole), 7):
                client.send(whole[i:i + 7])
            got = b"".join(client.reply() for _ in STRINGS)
        self.assertEqual(got, expected)

    def test_what_breaks_the_protocol_is_named_and_ends_the_connection(self):
        for data in WRONG:
            reply = self.compare(data, Client.to_the_end)
            self.assertIn(b"-ERR Protocol error: ", reply)

    def test_subscribed(self):
        replies = [2 + 1] + [1] * 6
        for port in (self.server.port, self.redis.port):
            with Client(port) as client, Client(port) as publisher:
                got = [client.all_after(data, count) for data, count in zip(SUBSCRIBED, replies)]
                got += [publisher.ask("PUBLISH", channel, b"message \r\n %d" % i) for i in range(3) for channel in "abcd"]
                got += [client.reply() for _ in range(9)]
            if port == self.server.port:
                ours = got
        self.assertEqual(ours, got)


@unittest.skipUnless(TOOLS, "redis-server and redis-tools are not installed")
class Tools(ServerCase):
    """The load and the client of Redis."""

    def run_tool(self, *command, **more):
        return subprocess.run(command, capture_output=True, timeout=RUN_S, check=True, **more).stdout.decode()

    def benchmark(self, depth):
        output = self.run_tool("redis-benchmark", "-p", str(self.server.port), "-n", str(REQUESTS), "-c", "200", "-P", str(depth),
                               "-t", "ping_inline,ping_mbulk,set,get,incr", "--csv")
        rows = list(csv.reader(io.StringIO(output[output.index('"test"'):])))
        self.assertEqual([row[0] for row in rows[1:]], ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"])
        for row in rows[1:]:
            self.assertGreater(float(row[1]), 0, row)

    def test_benchmark_loses_no_increment(self):
        """200 connections on all workers, one request at a time and 16."""
        with Client(self.server.port) as client:
            client.ask("DEL", "counter:__rand_int__")
            self.benchmark(1)
            self.benchmark(16)
            self.assertEqual(client.ask("GET", "counter:__rand_int__"), b"$5\r\n%d\r\n" % (2 * REQUESTS))
            self.assertEqual(client.ask("GET", "key:__rand_int__")[:4], b"$3\r\n")

    def test_pipe(self):
        data = b"".join(request("SET", "pipe:%d" % i, "value %d" % i) for i in range(REQUESTS))
        output = self.run_tool("redis-cli", "-p", str(self.server.port), "--pipe", input=data)
        self.assertIn("errors: 0, replies: %d" % REQUESTS, output)
        with Client(self.server.port) as client:
            self.assertEqual(client.ask("MGET", "pipe:0", "pipe:%d" % (REQUESTS - 1)),
                             b"*2\r\n$7\r\nvalue 0\r\n$11\r\nvalue 19999\r\n")
            client.ask("DEL", *["pipe:%d" % i for i in range(REQUESTS)])

    def test_client(self):
        port = str(self.server.port)
        self.assertEqual(self.run_tool("redis-cli", "-p", port, "set", "greeting", "hello"), "OK\n")
        self.assertEqual(self.run_tool("redis-cli", "-p", port, "get", "greeting"), "hello\n")
        self.assertEqual(self.run_tool("redis-cli", "-p", port, "del", "greeting"), "1\n")
        self.assertRegex(self.run_tool("redis-cli", "-p", port, "info"), r"(?s)connected_clients:1\r?\n.*keys=\d+")
        self.assertIn("publish", self.run_tool("redis-cli", "-p", port, "command"))


class Sessions(ServerCase):
    def setUp(self):
        super().setUp()
        self.clients = []

    def tearDown(self):
        for client in self.clients:
            client.close()
        super().tearDown()

    def client(self):
        self.clients.append(Client(self.server.port))
        return self.clients[-1]

    def keys(self, client):
        return int(re.search(rb"keys=(\d+)", client.ask("INFO")).group(1))

    def test_keys_expire_also_without_being_asked_for(self):
        client = self.client()
        before = self.keys(client)
        for i in range(100):
            self.assertEqual(client.ask("SET", "short:%d" % i, "x", "EX", "1"), b"+OK\r\n")
        self.assertEqual(client.ask("GET", "short:1"), b"$1\r\nx\r\n")
        wait_until(lambda: client.ask("GET", "short:1") == b"$-1\r\n", "the key does not expire")
        wait_until(lambda: self.keys(client) == before, "keys that have expired are not freed")

    def test_replies_come_before_the_rest_of_the_next_request(self):
        client = self.client()
        client.send(request("PING") + request("ECHO", "rest")[:-7])
        self.assertEqual(client.reply(), b"+PONG\r\n")
        client.send(request("ECHO", "rest")[-7:])
        self.assertEqual(client.reply(), b"$4\r\nrest\r\n")

    def test_many_subscribers_get_all_messages_in_order(self):
        subscribers = [self.client() for _ in range(50)]
        publisher = self.client()
        for subscriber in subscribers:
            self.assertEqual(subscriber.ask("SUBSCRIBE", "news"), b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
        for i in range(100):
            self.assertEqual(publisher.ask("PUBLISH", "news", "message %d" % i), b":50\r\n")
        for subscriber in subscribers:
            for i in range(100):
                self.assertEqual(subscriber.reply(), request("message", "news", "message %d" % i))
            subscriber.close()
        wait_until(lambda: publisher.ask("PUBLISH", "news", "x") == b":0\r\n", "subscribers that have left are not forgotten")

    def test_a_slow_subscriber_is_cut_off_and_delays_none(self):
        slow, fast, publisher = self.client(), self.client(), self.client()
        slow.conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for subscriber in (slow, fast):
            subscriber.ask("SUBSCRIBE", "news")
        message = os.urandom(16384)
        for i in range(3000):
            count = publisher.ask("PUBLISH", "news", message)
            self.assertEqual(fast.reply(), request("message", "news", message))
            if count == b":1\r\n":
                break
        self.assertEqual(count, b":1\r\n", "after %d messages" % i)

    def test_connections_that_end_anywhere(self):
        whole = request("SET", "cut", "x" * 100) + request("SUBSCRIBE", "a") + request("PING")
        for size in range(0, len(whole), 3):
            with Client(self.server.port) as client:
                client.send(whole[:size])
        with Client(self.server.port) as client:
            self.assertEqual(client.ask("PING"), b"+PONG\r\n")

    def test_200_connections_share_a_counter(self):
        clients = [self.client() for _ in range(200)]
        for _ in range(3):
            for client in clients:
                client.send(request("INCR", "shared") * 5)
        numbers = sorted(int(client.reply()[1:]) for _ in range(15) for client in clients)
        self.assertEqual(numbers, list(range(1, 3001)))
        clients[0].ask("DEL", "shared")


class Ends(unittest.TestCase):
    """SIGTERM while clients are connected."""

    def setUp(self):
        self.server = server.Server()
        self.addCleanup(self.server.stop)
        self.clients = [Client(self.server.port) for _ in range(30)]
        for client in self.clients:
            self.addCleanup(client.close)

    def check_end(self):
        """Long before the 20 s of a drain, and no handler is left."""
        self.assertEqual(self.server.stop(), 0, self.server.lines)
        self.assertRegex(self.server.lines[-1], r" 0 left$")

    def test_idle_clients_do_not_delay_it(self):
        silent, subscribers, others = self.clients[:10], self.clients[10:20], self.clients[20:]
        for client in others:
            self.assertEqual(client.ask("PING"), b"+PONG\r\n")
        for client in subscribers:
            self.assertEqual(client.ask("SUBSCRIBE", "a")[:4], b"*3\r\n")
        self.check_end()
        for client in silent + subscribers + others:
            self.assertEqual(client.file.read(), b"")

    def test_subscribers_are_cancelled_at_the_second_signal(self):
        """Messages are on their way to each, and no client reads them, so their sessions wait for that."""
        subscribers, publisher, silent = self.clients[2:], self.clients[0], self.clients[1]
        for client in subscribers:
            self.assertEqual(client.ask("SUBSCRIBE", "a")[:4], b"*3\r\n")
        for _ in range(100):
            self.assertEqual(publisher.ask("PUBLISH", "a", b"x" * 65536)[:1], b":")
        self.server.process.terminate()
        self.assertEqual(silent.file.read(), b"")  # so it drains
        self.check_end()


class Options(server.OptionCase):
    pass


if __name__ == "__main__":
    server.main()
