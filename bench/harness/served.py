# SPDX-License-Identifier: MIT
"""A server of any project on a port that we choose: what wrk's requests and idle connections cost it."""
import os
import socket
import subprocess
import time

from kit.processes import Failure, start, stop
from kit.servers import Wrk, cpu_s_of, status_number

START_S, CONNECTION_S = 20, 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(name, port):
    for _ in range(START_S * 100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise Failure("%s did not start" % name)


class Served:
    """Runs the server that `command_of(port)` starts, in `folder`. `log`: the file of its standard output."""

    def __init__(self, name, command_of, folder=None, log=os.devnull):
        self.name = name
        self.port = free_port()
        with open(log, "w", encoding="utf-8") as out:
            self.child = start(command_of(self.port), cwd=folder, stdin=subprocess.DEVNULL, stdout=out,
                               stderr=subprocess.DEVNULL)

    def __enter__(self):
        try:
            wait_until_ready(self.name, self.port)
        except Failure:
            stop(self.child)
            raise
        return self

    def __exit__(self, *_):
        stop(self.child)

    def processes(self):
        """nginx works in children of its first process."""
        with open("/proc/%d/task/%d/children" % (self.child.pid, self.child.pid)) as children:
            return [self.child.pid] + [int(number) for number in children.read().split()]

    def cpu_s(self):
        return sum(cpu_s_of(number) for number in self.processes())

    def resident_bytes(self):
        return sum(1024 * status_number("/proc/%d/status" % number, "VmRSS:") for number in self.processes())

    def load(self, url, connections, seconds):
        """Keep-alive connections of wrk. Returns a dict unit -> value."""
        used = self.cpu_s()
        report = Wrk(url, connections, seconds).report()
        used = self.cpu_s() - used
        wrong = {key: report[key] for key in ("non_2xx", "connect", "read", "write", "timeout") if report[key]}
        if wrong:
            raise Failure("wrk had errors: %s" % wrong)
        return {"cpu_us/request": used / report["requests"] * 1e6, "p99_us": report["p99_us"]}

    def bytes_per_connection(self, counts, request, end, wrap=lambda conn: conn):
        """Each connection has had a response, which ends with `end`, and sends nothing more. It is the slope between two counts
        of them: what a server allocates once does not count."""
        connections, sizes = [], []
        for count in counts:
            while len(connections) < count:
                raw = socket.create_connection(("127.0.0.1", self.port), timeout=CONNECTION_S)
                connections.append(wrap(raw))
                exchange(connections[-1], request, end)
            sizes.append(self.resident_bytes())
        for conn in connections:
            conn.close()
        return (sizes[1] - sizes[0]) / (counts[1] - counts[0])


def exchange(conn, request, end):
    received = b""
    conn.sendall(request)
    while not received.endswith(end):
        part = conn.recv(65536)
        if not part:
            raise Failure("the server has ended a connection")
        received += part
