# SPDX-License-Identifier: MIT
"""Instructions, calls, ordered instructions and system calls per operation: no clock, and so the same on each machine."""
import subprocess

from kit.processes import Failure, output_of, start, stop
from kit.servers import Server

from harness import callgrind
from harness.loads import OPEN_LOOP
from harness.rounds import Job, run_all
from harness.rows import OURS, Row, Rows

RUN_S = 600  # under callgrind, on a busy machine
ROUNDS, QUICK_ROUNDS = 1, 1
PROGRAMS = [OURS, "tokio"]  # Go's runtime does not run under valgrind; the others have no cases with one worker

# Case: --count of two runs, and operations per count. A figure is the difference of the runs per operation: start-up and warm-up
# cancel out. The counts are large enough for what happens once in some hundred operations.
MICRO = {
    "spawn_join": (1000, 21000, 1), "spawn_many_local": (2, 6, 10000), "spawn_many_remote": (2, 6, 10000),
    "yield_many": (1, 2, 200000), "ping_pong": (2, 12, 1000), "chained_spawn": (10, 50, 1000),
    "chan_pingpong": (1000, 21000, 1), "mpsc_1": (10000, 110000, 1), "mpsc_4": (10000, 110000, 1),
    "mutex_2": (6400, 70400, 1), "mutex_64": (6400, 70400, 1), "mutex_wake": (6400, 38400, 1),
    "timeout_unused": (10000, 110000, 1), "timers": (2000, 12000, 1), "live": (2000, 12000, 1),
    "read_lines": (4096, 12288, 1), "read_lines_each": (4096, 12288, 1), "read_frames": (4096, 12288, 1),
    "read_frames_each": (4096, 12288, 1),
    "spawn_blocking_batch": (5, 25, 1000), "spawn_blocking_roundtrip": (500, 5500, 1),
}
OWN = [case for case in MICRO if case.startswith("read_")]  # no peer has them
KINDS = {"timers": ["stackless", "fibers"], "live": ["stackless", "fibers"]}  # a peer has one kind of task
HTTP = "http"
CASES = list(MICRO) + [HTTP]
CONNECTIONS, FEW, MANY = 64, 50, 250  # requests per connection in the two runs
BESIDE = ["epoll_1"]


def rows_of(case, unit, params, figures, program):
    """A row per figure."""
    for name, value in figures.items():
        yield Row(case, "%s/%s" % (name, unit), params, beside=BESIDE), program, round(value, 4) + 0.0


def count_micro(objects, command):
    run = callgrind.Run(objects, command)
    output_of(run.command, RUN_S, env=callgrind.ENVIRONMENT)
    return run.figures()


def micro_job(program, case, objects, kinds):
    """`kinds` of tasks: a tournant program runs one, a peer's figures are those of all."""
    few, many, operations = MICRO[case]
    more = ["--tasks", kinds[0]] if kinds and program.name == OURS else []

    def run():
        counts = [count_micro(objects, program.counted_micro() + [case, "--workers", "1", "--count", str(times)] + more)
                  for times in (few, many)]
        figures = callgrind.difference(*counts, (many - few) * operations)
        for kind in kinds or [None]:
            yield from rows_of(case, "op", {"workers": 1, **({"tasks": kind} if kind else {})}, figures, program.name)

    return Job(program.name, " ".join(["instructions of", case] + more[1:]), run)


def micro_jobs(programs, cases, objects):
    jobs = []
    for case in cases:
        kinds = KINDS.get(case, [])
        having = [OURS] if case in OWN else PROGRAMS
        for program in [program for program in programs if program.name in having]:
            if program.name == OURS and kinds:
                jobs += [micro_job(program, case, objects, [kind]) for kind in kinds]
            else:
                jobs.append(micro_job(program, case, objects, kinds))
    return jobs


def count_requests(objects, command, times):
    """Counts a server from its start until each connection has had `times` requests; all connections are still open then. The
    client has precedence on the server's processor, so all requests of a round are sent before the server sees the first."""
    run = callgrind.Run(objects, command)
    server = Server(run.command, env=callgrind.ENVIRONMENT)
    client = start(callgrind.before_it() + [OPEN_LOOP, "--hold", "--port", str(server.port), "--connections", str(CONNECTIONS),
                                            "--requests", str(times)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if client.stdout.readline() != "ready\n":
            raise Failure("open_loop had no answers")
        server.child.terminate()
        server.child.wait(RUN_S)  # callgrind writes its file
    except subprocess.TimeoutExpired:
        raise Failure("callgrind did not end") from None
    finally:
        stop(client)
        stop(server.child)
    return run.figures()


def http_job(program, objects):
    workers = 1 if program.name in PROGRAMS else 2

    def run():
        counts = [count_requests(objects, program.counted_server(workers), times) for times in (FEW, MANY)]
        figures = callgrind.difference(*counts, (MANY - FEW) * CONNECTIONS)
        yield from rows_of(HTTP, "request", {"connections": CONNECTIONS}, figures, program.name)

    return Job(program.name, "instructions of http", run)


def http_jobs(programs, objects):
    return [http_job(program, objects) for program in programs if program.server and program.name != "go"]


def jobs_of(programs, cases):
    objects = callgrind.Objects()
    found = micro_jobs(programs, [case for case in cases if case != HTTP], objects)
    return found + (http_jobs(programs, objects) if HTTP in cases else [])


def run(programs, cases, options):
    rows, jobs = Rows(), jobs_of(programs, cases)
    run_all(jobs, options.rounds, rows)
    rows.broken += [job.text for job in jobs if job.misses and job.program == OURS and job.text not in rows.broken]
    return rows
