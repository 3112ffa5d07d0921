#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares examples/tcp_proxy with haproxy, in turn, a fresh process each time: bench/proxy.py FOLDER/OF/EXAMPLES.

Processor time per request: of the proxy, user and system, while wrk loads the HTTP example through it. Processor time per GiB:
while one connection sends zeros through it. Memory: resident memory of the proxy per idle connection through which a byte has
gone. Each figure is the median of the rounds. Prints a table; needs wrk and haproxy."""
import argparse
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from kit.servers import cpu_s_of  # noqa: E402

HAPROXY = """global
    nbthread %(workers)d
    maxconn 6000
defaults
    mode tcp
    timeout connect 10s
    timeout client 10m
    timeout server 10m
    %(splice)s
listen proxy
    bind 127.0.0.1:%(port)d
    server target 127.0.0.1:%(target)d
"""
START_S = 10
REQUEST_BYTES = 1 << 18


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    def __init__(self, command, port):
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.port = port
        end = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                if time.monotonic() > end or self.child.poll() is not None:
                    sys.exit("%s did not start" % command[0])
                time.sleep(0.02)

    def cpu_s(self):
        return cpu_s_of(self.child.pid)

    def resident_kib(self):
        with open("/proc/%d/status" % self.child.pid) as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def stop(self):
        self.child.kill()
        self.child.wait()


def start(kind, target, options):
    """A proxy of `kind` in front of the port `target`."""
    port = free_port()
    if kind == "tcp_proxy":
        return Process([os.path.join(options.examples, kind), "--workers", str(options.workers), "127.0.0.1:%d" % port,
                        "127.0.0.1:%d" % target], port)
    splice = "option splice-auto" if kind == "haproxy, splice-auto" else ""
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
        config.write(HAPROXY % {"workers": options.workers, "port": port, "target": target, "splice": splice})
        config.flush()
        return Process(["haproxy", "-db", "-q", "-f", config.name], port)


def per_request(kind, options):
    """Microseconds of processor time, and requests per second."""
    port = free_port()
    http = Process([os.path.join(options.examples, "http_server"), "--port", str(port)], port)
    proxy = start(kind, port, options)
    try:
        before = proxy.cpu_s()
        output = subprocess.run(["wrk", "-t1", "-c%d" % options.connections, "-d%ds" % options.seconds,
                                 "http://127.0.0.1:%d/" % proxy.port], capture_output=True, text=True, check=True).stdout
        used = proxy.cpu_s() - before
        if "Socket errors" in output:
            sys.exit("%s: %s" % (kind, output))
        requests = int(re.search(r"(\d+) requests in", output).group(1))
        return used / requests * 1e6, requests / options.seconds
    finally:
        proxy.stop()
        http.stop()


def drain(conn):
    buffer = bytearray(1 << 20)
    while conn.recv_into(buffer):
        pass


def per_gib(kind, options):
    """Seconds of processor time per GiB of one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = start(kind, listener.getsockname()[1], options)
        try:
            listener.accept()[0].close()  # of the probe that waited for the start
            client = socket.create_connection(("127.0.0.1", proxy.port))
            server, _ = listener.accept()
            reader = threading.Thread(target=drain, args=(server,))
            reader.start()
            before = proxy.cpu_s()
            for _ in range(options.mib * (1 << 20) // REQUEST_BYTES):
                client.sendall(bytes(REQUEST_BYTES))
            client.shutdown(socket.SHUT_WR)
            reader.join()
            used = proxy.cpu_s() - before
            client.close()
            server.close()
            return used / options.mib * 1024
        finally:
            proxy.stop()


def per_connection(kind, options):
    """KiB of resident memory."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        proxy = start(kind, listener.getsockname()[1], options)
        try:
            listener.accept()[0].close()
            before = proxy.resident_kib()
            pairs = []
            for _ in range(options.idle):
                client = socket.create_connection(("127.0.0.1", proxy.port))
                server, _ = listener.accept()
                client.sendall(b"a")
                server.recv(1)
                pairs.append((client, server))
            used = proxy.resident_kib() - before
            for pair in pairs:
                for conn in pair:
                    conn.close()
            return used / options.idle
        finally:
            proxy.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", help="the folder with tcp_proxy and http_server")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of one run of wrk")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--idle", type=int, default=2000, help="idle connections")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kinds = ("tcp_proxy", "haproxy", "haproxy, splice-auto")
    found = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for kind in kinds:
            found[kind].append((*per_request(kind, options), per_gib(kind, options), per_connection(kind, options)))
    print("| proxy | processor time per request | requests per second | processor time per GiB | memory per idle connection |")
    print("|---|---|---|---|---|")
    for kind in kinds:
        request, rate, gib, connection = (statistics.median(column) for column in zip(*found[kind]))
        print("| %s | %.1f us | %.0f | %.2f s | %.1f KiB |" % (kind, request, rate, gib, connection))


if __name__ == "__main__":
    main()
