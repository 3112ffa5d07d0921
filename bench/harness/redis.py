# SPDX-License-Identifier: MIT
"""mini_redis beside redis-server and a twin in Go, under redis-benchmark: requests per second of the server's processor time."""
import csv
import io
import os
import shutil

from kit.packages import BUILD, install_missing
from kit.processes import Failure, output_of

from harness import programs as peers
from harness.rounds import Job, run_all
from harness.rows import OURS, Row, Rows
from harness.served import Served

CASES = ["ping_mbulk", "set", "get", "incr"]
ROUNDS, QUICK_ROUNDS = 5, 1
CONNECTIONS = 200
REQUESTS = {1: 100000, 16: 600000}  # by the depth of the pipelines
QUICK_PART = 10
RUN_S = 300
REDIS = "redis-server"


def command_of(name, port, workers):
    if name == REDIS:
        return [REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"]
    program = os.path.join(peers.GO, "redis") if name == "go" else os.path.join(BUILD, "examples", "mini_redis")
    return [program, "--port", str(port), "--workers", str(workers)]


def measure(name, case, depth, requests, workers):
    """Returns a dict unit -> value."""
    with Served(name, lambda port: command_of(name, port, workers)) as server:
        before = server.cpu_s()
        output = output_of(["redis-benchmark", "-p", str(server.port), "-c", str(CONNECTIONS), "-P", str(depth), "-n",
                            str(requests), "-t", case, "--csv"], RUN_S)
        used = server.cpu_s() - before
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
