# SPDX-License-Identifier: MIT
"""Curves: what a figure becomes as connections, tasks, workers or timers grow."""
import os

from harness import loads, micro, server
from harness.rounds import run_all
from harness.rows import Rows

CASES = ["connections", "tasks", "workers", "timers"]
ROUNDS, QUICK_ROUNDS = 5, 1
CONNECTIONS, QUICK_CONNECTIONS = [1, 4, 16, 64, 250, 1000, 4000, 8000], [1, 64]
COUNTS, QUICK_COUNTS = [1_000, 10_000, 100_000, 1_000_000], [1_000, 10_000]
# Spawn, steal, injector, yield, wake, channel, lock.
WORKER_CASES = ["spawn_join", "spawn_many_local", "spawn_many_remote", "yield_many", "ping_pong", "chan_pingpong", "mpsc_4",
                "mutex_64"]
WORKERS_MAX = 16  # also where there are fewer processors: what workers without one cost
WORKERS_AT = 1000  # connections


def worker_counts():
    cpus = len(os.sched_getaffinity(0))
    return sorted({count for count in (1, 2, 4, 8, 16, 32, 64, cpus) if count <= max(cpus, WORKERS_MAX)})


def server_jobs(programs, case, setting):
    def measure(program, count):
        command = program.server_command(setting.workers)
        return dict(loads.closed_loop(command, count, setting.seconds), **loads.steady(command, count, setting.seconds))

    return [server.server_job(program, case, server.params_of(setting, count),
                              lambda program=program, count=count: measure(program, count))
            for count in setting.connections for program in programs if program.server]


def count_jobs(programs, case, options):
    return [micro.job(program, case, options.workers, {"workers": options.workers, "count": count}, ["--count", str(count)])
            for count in (QUICK_COUNTS if options.quick else COUNTS)
            for program in programs if program.micro and case in program.cases()]


def worker_jobs(programs, options):
    jobs = []
    for workers in worker_counts():
        jobs += micro.jobs(programs, WORKER_CASES, workers, options.quick)
        setting = server.Setting(options, [WORKERS_AT], [WORKERS_AT])
        setting.workers = workers
        jobs += server_jobs([program for program in programs if not program.one_thread], "closed", setting)
    return jobs


def run(programs, cases, options):
    rows = Rows()
    jobs = []
    if "connections" in cases:
        jobs += server_jobs(programs, "connections", server.Setting(options, CONNECTIONS, QUICK_CONNECTIONS))
    if "tasks" in cases:
        jobs += count_jobs(programs, "live", options)
    if "workers" in cases:
        jobs += worker_jobs(programs, options)
    if "timers" in cases:
        jobs += count_jobs(programs, "timers", options)
    run_all(jobs, options.rounds, rows)
    return rows
