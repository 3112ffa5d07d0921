# SPDX-License-Identifier: MIT
"""mini_redis beside redis-server and a twin in Go, under redis-benchmark: requests per second of the server's processor time."""
import csv
import io
import os
import shutil
import socket
import subprocess
import time

from kit.packages import BUILD, install_missing
from kit.processes import Failure, output_of, start, stop
from kit.servers import TICKS_PER_S

from harness import programs as peers
from harness.rounds import Job, run_all
from harness.rows import OURS, Row, Rows

CASES = ["ping_mbulk", "set", "get", "incr"]
ROUNDS, QUICK_ROUNDS = 5, 1
CONNECTIONS = 200
REQUESTS = {1: 100000, 16: 600000}  # by the depth of the pipelines
QUICK_PART = 10
RUN_S, START_S = 300, 20
REDIS = "redis-server"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command_of(name, port, workers):
    if name == REDIS:
        return [REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"]
    program = os.path.join(peers.GO, "redis") if name == "go" else os.path.join(BUILD, "examples", "mini_redis")
    return [program, "--port", str(port), "--workers", str(workers)]


def wait_until_ready(name, port):
    for _ in range(START_S * 100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise Failure("%s did not start" % name)


def cpu_s(child):
    with open("/proc/%d/stat" % child.pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()  # from the third field on
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def measure(name, case, depth, requests, workers):
    """Returns a dict unit -> value."""
    port = free_port()
    child = start(command_of(name, port, workers), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(name, port)
        before = cpu_s(child)
        output = output_of(["redis-benchmark", "-p", str(port), "-c", str(CONNECTIONS), "-P", str(depth), "-n", str(requests),
                            "-t", case, "--csv"], RUN_S)
        used = cpu_s(child) - before
    finally:
        stop(child)
    lines = list(csv.reader(io.StringIO(output[output.index('"test"'):])))
    if len(lines) != 2 or used == 0:
        raise Failure("redis-benchmark measured nothing")
    return {"requests/cpu_s": requests / used, "requests/s": float(lines[1][1])}


def job(name, case, depth, options):
    requests = REQUESTS[depth] // (QUICK_PART if options.quick else 1)
    params = {"connections": CONNECTIONS, "depth": depth, "workers": options.workers}

    def run():
        for unit, value in measure(name, case, depth, requests, options.workers).items():
            yield Row(case, unit, params, "higher"), name, value

    return Job(name, "redis %s %d deep" % (case, depth), run)


def run(programs, cases, options):
    """On two processors the server competes with redis-benchmark, so requests/s say less than requests/cpu_s."""
    install_missing(["redis-server", "redis-tools"])
    names = [program.name for program in programs if program.name in (OURS, "go")] + [REDIS]
    if shutil.which("redis-benchmark") is None:
        raise Failure("redis-benchmark is missing")
    rows = Rows()
    run_all([job(name, case, depth, options) for case in cases for depth in REQUESTS for name in names], options.rounds, rows)
    return rows
