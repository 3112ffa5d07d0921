# SPDX-License-Identifier: MIT
"""Loads that a server is put under, and what it used meanwhile."""
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

from kit.packages import BUILD
from kit.processes import Failure, forget, output_of, start, stop
from kit.servers import Server, Wrk

OPEN_LOOP = os.path.join(BUILD, "bench", "open_loop")
COMMAND_S = 120
ACCEPT_S = 20


def check(report, connections):
    wrong = {key: report[key] for key in ("non_2xx", "connect", "read", "write", "timeout") if report[key]}
    if wrong:
        raise Failure("at %d connections wrk had errors: %s" % (connections, wrong))


def closed_loop(command, connections, seconds):
    """As fast as it can: a dict unit -> value."""
    server = Server(command)
    try:
        wrk = Wrk(server.url, connections, seconds)
        wrk.sleep(0.7)
        rss_kib = server.rss_kib()
        report = wrk.report()
    finally:
        stop(server.child)
    check(report, connections)
    return {"requests/s": report["requests"] / report["duration_us"] * 1e6, "p50_us": report["p50_us"],
            "p99_us": report["p99_us"], "rss_kib": rss_kib}


def answer_bytes(server):
    """The size of the answer to one request, which differs between servers by their headers."""
    with socket.create_connection(("127.0.0.1", server.port), ACCEPT_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(4096)
            if not part:
                raise Failure("%s ended the connection" % server.name)
            data += part
    head = data[:data.index(b"\r\n\r\n") + 4]
    length = re.search(rb"content-length: *(\d+)", head.lower())
    return len(head) + int(length.group(1) if length else 0)


def between_marks(server, connections, seconds, begin, end, more=()):
    """How many requests were answered between `begin()` and `end()`, while all connections were busy before, then and after."""
    client = start([OPEN_LOOP, "--closed", "--port", str(server.port), "--connections", str(connections), "--seconds",
                    str(seconds), "--warm", "1", "--answer-bytes", str(answer_bytes(server)), *more],
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        for mark, action in (("begin\n", begin), ("end\n", end)):
            if client.stdout.readline() != mark:
                raise Failure("open_loop could not keep %d connections busy" % connections)
            action()
        requests = json.loads(client.stdout.read())["requests"]
    finally:
        stop(client)
    if requests == 0:
        raise Failure("%s answered nothing" % server.name)
    return requests


def steady(command, connections, seconds, more=()):
    """Processor time of the server a request, without opening and closing connections. `more`: options of open_loop."""
    server = Server(command)
    marks = []
    try:
        requests = between_marks(server, connections, seconds, *[lambda: marks.append(server.cpu_s())] * 2, more=more)
    finally:
        stop(server.child)
    return {"cpu_us/request": (marks[1] - marks[0]) / requests * 1e6}


MONITOR = "tn-monitor"  # tournant's thread that looks after stuck workers


def monitor_figures(before, after, seconds):
    """Of what Server.thread(MONITOR) answered at both ends."""
    if before is None or after is None:
        return {}
    return {"monitor_wakes/s": (after[0] - before[0]) / seconds, "monitor_cpu_%": (after[1] - before[1]) / seconds * 100}


def fixed_rate(command, connections, rate, seconds):
    """`rate` requests a second, whatever the server does: a dict unit -> value, and the histogram of the latencies."""
    server = Server(command)
    try:
        cpu_s, monitor, begun_s = server.cpu_s(), server.thread(MONITOR), time.monotonic()
        report = json.loads(output_of([OPEN_LOOP, "--port", str(server.port), "--connections", str(connections), "--rate",
                                       str(rate), "--seconds", str(seconds), "--warm", "1"], seconds + 30))
        cpu_s = server.cpu_s() - cpu_s
        figures = monitor_figures(monitor, server.thread(MONITOR), time.monotonic() - begun_s)
    finally:
        stop(server.child)
    requests = rate * (seconds + 1)  # the second of warming too
    return {"p50_us": report["p50_us"], "p99_us": report["p99_us"], "p99.9_us": report["p99.9_us"],
            "cpu_us/request": cpu_s / requests * 1e6, "generator_lag_p99_us": report["lag_p99_us"],
            "answered/asked": 1 - report["unanswered"] / report["requests"], **figures}, report["buckets"]


def wait_for_files(server, count):
    """Until it has accepted all that the kernel has, and has gone to rest."""
    until = time.monotonic() + ACCEPT_S
    while server.files() < count:
        if time.monotonic() > until:
            raise Failure("%s has accepted fewer than %d connections" % (server.name, count))
        time.sleep(0.05)
    time.sleep(0.2)


def hold(command, connections, requests):
    """Bytes a connection, resident memory with page tables, when each has had so many requests and is idle."""
    server = Server(command)
    files = server.files()
    before_kib = server.rss_kib() + server.page_tables_kib()
    client = start([OPEN_LOOP, "--hold", "--port", str(server.port), "--connections", str(connections), "--requests",
                    str(requests)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if client.stdout.readline() != "ready\n":
            raise Failure("open_loop could not open %d connections" % connections)
        wait_for_files(server, files + connections)
        return (server.rss_kib() + server.page_tables_kib() - before_kib) * 1024 / connections
    finally:
        stop(client)
        stop(server.child)


def counters(command, connections, seconds):
    """System calls and context switches a request, counted by the kernel between the marks."""
    server = Server(command)
    events = {"raw_syscalls:sys_enter": "syscalls/request", "context-switches": "switches/request"}
    control, orders = os.pipe()
    with tempfile.NamedTemporaryFile("r", suffix=".perf") as file:
        try:
            perf = start(["perf", "stat", "-D", "-1", "--control", "fd:%d" % control, "-x", ",", "-o", file.name, "-e",
                          ",".join(events), "-p", str(server.pid())], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, pass_fds=[control])
            requests = between_marks(server, connections, seconds, lambda: os.write(orders, b"enable\n"),
                                     lambda: os.write(orders, b"disable\n"))
            perf.send_signal(signal.SIGINT)
            perf.wait(COMMAND_S)
            forget(perf)
        finally:
            stop(server.child)  # which ends perf, should it still be there
            os.close(control)
            os.close(orders)
        counts = {line.split(",")[2]: line.split(",")[0] for line in file if line.count(",") > 2}
    if not all(counts.get(event, "").isdigit() for event in events):
        raise Failure("perf could not count: %s" % counts)
    return {unit: int(counts[event]) / requests for event, unit in events.items()}
