# SPDX-License-Identifier: MIT
"""HTTP clients that check every response, for a server that is ended in the middle of their load."""
import random
import socket
import threading
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b"Hello, world!\n"
PAUSE_MAX_S = 0.05
GRACE_S = 0.9  # the server closes an idle connection 1 s after it has begun to drain
TIMEOUT_S = 60


class Failed(Exception):
    """A response that is missing or wrong."""


class Connection:
    def __init__(self, port):
        self.conn = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    def exchange(self):
        """Returns whether more requests may follow."""
        self.conn.sendall(REQUEST)
        data = b""
        while b"\r\n\r\n" not in data or len(data) < data.index(b"\r\n\r\n") + 4 + len(BODY):
            piece = self.conn.recv(4096)
            if not piece:
                raise Failed("the connection ended before the response, after %r" % data)
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 200 ") or body != BODY:
            raise Failed("a wrong response: %r" % data)
        return b"\r\nConnection: close" not in head

    def expect_end(self):
        if self.conn.recv(1) != b"":
            raise Failed("bytes after the last response")


class Load:
    """`kept` clients that keep their connection, with pauses of 0 to 50 ms, and `fresh` ones that connect for each request, until
    each has learned that the server ends."""

    def __init__(self, port, kept, fresh):
        self.port = port
        self.lock = threading.Lock()
        self.responses = 0
        self.late = 0      # clients that were themselves late: their connection was closed on a timeout
        self.failures = []
        self.ending = threading.Event()
        clients = [self._keep] * kept + [self._connect_anew] * fresh
        self.threads = [threading.Thread(target=self._run, args=(client,), daemon=True) for client in clients]
        for thread in self.threads:
            thread.start()

    def wait_for(self, responses):
        while self.responses < responses and not self.failures:
            time.sleep(0.005)

    def join(self):
        """Waits until all clients have ended."""
        for thread in self.threads:
            thread.join(TIMEOUT_S)
            if thread.is_alive():
                self.failures.append("a client did not end")

    def _run(self, client):
        try:
            client()
        except (Failed, OSError) as error:
            with self.lock:
                self.failures.append("%s: %r" % (client.__name__, error))

    def _count(self):
        with self.lock:
            self.responses += 1

    def _keep(self):
        with Connection(self.port) as connection:
            more = True
            while more:
                answered = time.monotonic()
                time.sleep(random.uniform(0, PAUSE_MAX_S))
                late = time.monotonic() - answered > GRACE_S
                try:
                    more = connection.exchange()
                except (Failed, OSError):
                    if not late or not self.ending.is_set():
                        raise
                    with self.lock:
                        self.late += 1
                    return
                self._count()
            connection.expect_end()

    def _connect_anew(self):
        while True:
            try:
                connection = Connection(self.port)
            except ConnectionRefusedError:
                if not self.ending.is_set():
                    raise
                return
            with connection:
                if not connection.exchange():
                    connection.expect_end()
            self._count()
            time.sleep(random.uniform(0, PAUSE_MAX_S / 4))
