# SPDX-License-Identifier: MIT
"""Bytes: of a task that waits, of a connection that has been served, of one that never said a word; after a burst of tasks."""
from harness import loads, micro, server
from harness.rounds import run_all
from harness.rows import Rows

CASES = ["tasks", "served", "idle", "burst"]
ROUNDS, QUICK_ROUNDS = 3, 2
TASKS, QUICK_TASKS = 1_000_000, 10_000
SERVED_REQUESTS = 3
BUFFERS = {"held": ["tournant", "tokio", "go", "threads"], "none": ["tournant", "tokio", "epoll", "libuv"]}
HAVE_BOTH = ["tournant", "tokio"]  # and take --buffer


def task_jobs(programs, options):
    count = QUICK_TASKS if options.quick else TASKS
    return [micro.job(program, "live", options.workers, {"workers": options.workers, "count": count}, ["--count", str(count)])
            for program in programs if program.micro and "live" in program.cases()]


def burst_jobs(programs, options):
    """Of tournant alone: the program ends with an error if too much memory is left after ten seconds."""
    return [micro.job(program, "burst", options.workers, {"workers": options.workers}, ["--quick"] if options.quick else [])
            for program in programs if program.micro and "burst" in program.cases()]


def connection_jobs(programs, case, setting):
    requests = SERVED_REQUESTS if case == "served" else 0
    jobs = []
    for buffer, names in BUFFERS.items():
        for program in [program for program in programs if program.name in names]:
            more = ["--buffer", buffer] if program.name in HAVE_BOTH else []
            jobs.append(server.server_job(
                program, case, server.params_of(setting, setting.idle, buffer=buffer),
                lambda program=program, more=more: {"bytes/connection": loads.hold(
                    program.server_command(setting.workers, *more), setting.idle, requests)}))
    return jobs


def run(programs, cases, options):
    rows = Rows()
    setting = server.Setting(options, [], [])
    jobs = task_jobs(programs, options) if "tasks" in cases else []
    jobs += burst_jobs(programs, options) if "burst" in cases else []
    for case in [case for case in cases if case in ("served", "idle")]:
        jobs += connection_jobs(programs, case, setting)
    run_all(jobs, options.rounds, rows)
    return rows
