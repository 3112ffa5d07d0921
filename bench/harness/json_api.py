# SPDX-License-Identifier: MIT
"""json_api beside its twin in Go: net/http and lib/pq. One PostgreSQL for both; only the processor time of the servers counts."""
import os
import subprocess
import sys

from kit.packages import BUILD, ROOT, build_release, install_missing
from kit.processes import run_step

from harness.programs import PEERS, try_step
from harness.rounds import Job, run_all
from harness.rows import OURS, Row, Rows
from harness.served import Served

sys.path.append(os.path.join(ROOT, "test", "examples"))
import pq_test  # noqa: E402

CASES = ["row", "row_idle"]
ROUNDS, QUICK_ROUNDS = 5, 1
CONNECTIONS = 64
IDLE, QUICK_IDLE = (100, 1000), (10, 100)  # connections, at both ends of the slope
SECONDS, QUICK_SECONDS = 5, 2
DEADLINE_MS = 20000  # on a busy machine the first connections to the database take long
TABLE = "create table items (id serial primary key, name text not null); insert into items (name) values ('a name')"
PROGRAM = os.path.join(PEERS, "go_json", "json_api")


def build_go():
    """Debian's libraries of Go are for GOPATH, not for modules."""
    install_missing(["golang-go", "golang-github-lib-pq-dev"])
    environment = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="", GOTOOLCHAIN="local")
    os.makedirs(os.path.dirname(PROGRAM), exist_ok=True)
    run_step(["/usr/bin/go", "build", "-o", PROGRAM, os.path.join(ROOT, "bench", "peers", "go_json", "main.go")],
             "building the peer in Go", env=environment)


def served(name, workers, conninfo):
    program = os.path.join(BUILD, "examples", "json_api") if name == OURS else PROGRAM
    return Served(name, lambda port: [program, conninfo, "--port", str(port), "--workers", str(workers),
                                     "--deadline-ms", str(DEADLINE_MS)])


def load_job(name, options, conninfo):
    params = {"connections": CONNECTIONS, "workers": options.workers}

    def run():
        with served(name, options.workers, conninfo) as server:
            found = server.load("http://127.0.0.1:%d/items/1" % server.port, CONNECTIONS,
                                QUICK_SECONDS if options.quick else SECONDS)
        for unit, value in found.items():
            yield Row("row", unit, params), name, value

    return Job(name, "a row as JSON", run)


def idle_job(name, options, conninfo):
    counts = QUICK_IDLE if options.quick else IDLE

    def run():
        with served(name, options.workers, conninfo) as server:
            value = server.bytes_per_connection(counts, b"GET /items/1 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"}\n")
        yield Row("row_idle", "bytes/connection", {"connections": counts[1], "workers": options.workers}), name, value

    return Job(name, "keep-alive connections", run)


def run(programs, cases, options):
    """Both have eight connections to the database, and send each query as one message."""
    install_missing(["postgresql", "libpq-dev"])
    build_release(["examples_json_api"])
    names = [OURS]
    if "go" in [program.name for program in programs] and try_step(build_go, "NO FIGURES OF GO"):
        names.append("go")
    rows = Rows()
    database = pq_test.Server()
    try:
        target = "host=127.0.0.1 port=%d user=tester dbname=postgres" % database.port
        subprocess.run(["psql", "-Xq", "-c", TABLE, target], check=True)
        jobs = [job(name, options, target + " sslmode=disable") for case, job in (("row", load_job), ("row_idle", idle_job))
                if case in cases for name in names]
        run_all(jobs, options.rounds, rows)
    finally:
        database.remove()
    return rows
