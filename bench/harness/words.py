# SPDX-License-Identifier: MIT
"""Names of programs, cases and units in words, for pictures that are read without bench/README.md."""

PROGRAMS = {"tournant": "tournant", "tokio": "Tokio", "go": "Go", "threads": "threads", "epoll": "epoll, a loop per core",
            "epoll_1": "epoll, one loop", "libuv": "libuv, one loop", "h2o": "h2o",
            "uring": "io_uring, a ring per core", "uring_sends": "epoll, sends by io_uring",
            "go_barging": "Go, sync.Mutex (not fair)",
            "threads_barging": "pthread mutex (not fair)",
            "nginx": "nginx, usual settings", "nginx_caching": "nginx, open_file_cache, log in a buffer",
            "openssl": "a loop around OpenSSL"}

AREAS = {"server": "HTTP server", "scale": "As the load grows", "memory": "Waiting tasks and connections",
         "redis": "mini_redis under redis-benchmark", "tls": "TLS: https_server, handshakes",
         "mixed": "HTTP server beside blocking tasks"}

CASES = {
    "switch_loop": "switch contexts, no scheduler",
    "spawn_join": "spawn a task and join it",
    "spawn_many_local": "spawn 10,000 tasks from a task",
    "spawn_many_remote": "spawn 10,000 tasks from outside",
    "yield_many": "yield, 200 tasks in turn",
    "ping_pong": "spawn a partner, exchange two numbers",
    "chained_spawn": "spawn the next task and end",
    "chan_pingpong": "round trip over two channels",
    "mpsc_1": "send a message, 1 sender",
    "mpsc_4": "send a message, 4 senders",
    "mutex_2": "lock a fair mutex, 2 tasks",
    "mutex_64": "lock a fair mutex, 64 tasks",
    "mutex_wake": "lock a fair mutex, holder yields",
    "mutex_free": "lock and unlock a free mutex",
    "mutex_free, try": "try to lock a free mutex, unlock",
    "semaphore_wake": "wake a task by a semaphore",
    "wake_local": "wake a task of the same worker",
    "await_ready": "await a ready future",
    "await_until": "await a ready future, shared deadline",
    "await_for": "await a ready future, own deadline",
    "select_ready": "select over two ready futures",
    "timeout_unused": "set a deadline that is not needed",
    "first_touch": "touch a new page, no scheduler",
    "timers": "1,000,000 sleepers",
    "lateness_idle": "sleeping tasks, idle runtime",
    "lateness_busy": "sleeping tasks, busy workers",
    "takeover_sleep": "task behind one that sleeps",
    "takeover_busy": "task behind one that computes",
    "thread_wake": "wake a plain thread, no scheduler",
    "spawn_blocking_batch": "blocking call, 1000 at once",
    "spawn_blocking_roundtrip": "blocking call, one by one",
    "blocking_run": "short blocking call, on the worker",
    "blocking_run, thread": "short blocking call, on a pool thread",
    "blocking_warm_up": "blocking job, pool warming up",
    "blocking_submit_1": "submit a blocking job, 1 thread",
    "blocking_submit_16": "submit a blocking job, 16 threads",
    "blocking_submit_ratio": "submit blocking jobs, 16 threads / 1",
    "blocking_sleepers": "512 blocking jobs of 100 ms, cold",
    "blocking_sleepers_again": "512 blocking jobs of 100 ms, warm",
    "block_declared": "declare a blocking section",
    "block_eager": "hand the core over, eagerly",
    "block_eager_call": "call that hands the core over",
    "files_small": "read a cached file of 4 KiB",
    "files_large": "read a cached GiB",
    "read_lines": "read a line, 2048 at once",
    "read_lines_hand": "read a line by hand, 2048 at once",
    "read_lines_each": "read a line, one at once",
    "read_lines_each_hand": "read a line by hand, one at once",
    "read_frames": "read a frame, 2048 at once",
    "read_frames_hand": "read a frame by hand, 2048 at once",
    "read_frames_each": "read a frame, one at once",
    "read_frames_each_hand": "read a frame by hand, one at once",
    "io_read": "read 32 bytes by tn_io",
    "io_read_stream": "read 32 bytes by tn_stream",
    "live_spawn": "spawn a task that waits",
    "live_size": "hold a task that waits",
    "live_wake": "wake a task that waits",
    "cpu": "requests as fast as possible",
    "closed": "requests as fast as possible",
    "connections": "requests as fast as possible",
    "rate": "requests at a fixed rate",
    "idle": "connection that never sent",
    "served": "connection after 3 requests",
    "pipelined": "requests, 16 at once per connection",
    "stream": "requests of 512 bytes, 64 at once, 4 connections",
    "counters": "requests as fast as possible",
    "instructions": "requests under callgrind",
    "http": "answer an HTTP request",
    "live": "spawn, hold and wake a task",
    "burst_fibers": "20,000 fibers at once",
    "burst_stackless": "300,000 stackless tasks at once",
    "ping_mbulk": "PING", "set": "SET", "get": "GET", "incr": "INCR",
    "response": "1 KiB over TLS, keep-alive connections", "keep_alive": "idle keep-alive connection over TLS",
    "full": "full handshake of TLS 1.3", "resumed": "resumed handshake of TLS 1.3",
    "row": "a row of PostgreSQL as JSON", "row_idle": "idle keep-alive connection",
    "mixed_undisturbed": "no blocking tasks",
    "mixed_sleep": "tasks that sleep in their thread",
    "mixed_declared": "tasks that sleep in their thread, and say so",
    "mixed_busy": "tasks that compute for 100 ms",
    "mixed_1_percent": "one request of 100 sleeps in its thread",
}

# What the last part of a case's name measures.
SUFFIXES = {"_cpu": "processor time", "_tick": "delay of others", "_wakes": "wake-ups", "_p50": "median", "_p90": "p90",
            "_p99": "p99", "_max": "maximum", "_before": "memory before", "_peak": "memory at the peak",
            "_after": "memory after", "_back": "until it is back", "_uncached": "not in the cache"}

NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}

# Units that are percentiles of one distribution.
PERCENTILES = {"p50_us": "median", "p99_us": "p99", "p99.9_us": "p99.9"}

LATENCY = "latency"

# Unit -> (what is measured, the label of its axis). Times have their unit at each tick.
UNITS = {
    "requests/s": ("requests answered", "requests per second"),
    "cpu_us/request": ("processor time per request", "processor time per request, unit at each tick"),
    "requests/cpu_s": ("requests per processor second", "requests per second of processor time"),
    "bytes/connection": ("memory per connection", "bytes per connection"),
    "bytes/task": ("memory per waiting task", "bytes per task"),
    "syscalls/request": ("system calls per request", "system calls per request"),
    "instructions/request": ("instructions per request", "instructions per request"),
    "calls/request": ("function calls per request", "function calls per request"),
    "ordered/request": ("ordered instructions per request", "ordered instructions per request"),
    "switches/request": ("context switches per request", "context switches per request"),
    "p50_us": (LATENCY, "median latency, unit at each tick"),
    "p99_us": (LATENCY, "p99 of the latency, unit at each tick"),
    "p99.9_us": (LATENCY, "p99.9 of the latency, unit at each tick"),
}

# Figures that are counted, not timed.
COUNTED = {"instructions": "instructions", "calls": "function calls", "ordered": "ordered instructions",
           "syscalls": "system calls"}

# Area -> what its percentile curves show, and the axis.
LATENCIES = {
    "micro": ("How late tasks run", "time after it was due"),
    "server": ("HTTP server: latency at a fixed rate of requests", "time since the request was due"),
    "mixed": ("HTTP server beside blocking tasks: latency at a fixed rate", "time since the request was due"),
}

PARAMS = {"connections": "%s connections", "count": "%s tasks", "workers": "%s workers", "buffer": "buffer %s", "tasks": "%s",
          "rate": "%s requests/s"}
AXES = {"connections": "open connections", "count": "number of tasks", "workers": "worker threads"}


def program(name):
    return PROGRAMS.get(name, name)


def case(name):
    """The case in words, with its name: that is what tools/bench and the tables call it."""
    for suffix, words in SUFFIXES.items():
        stem = name[:-len(suffix)]
        if name not in CASES and name.endswith(suffix) and stem in CASES:
            return "%s: %s" % (CASES[stem], words)
    return CASES.get(name, name)


def param(key, value):
    if (key, value) == ("buffer", "none"):
        return "no buffer"
    text = "{:,}".format(value) if isinstance(value, int) else str(value)
    words = PARAMS.get(key, key + " %s") % text
    return words[:-1] if value == 1 and words.endswith("s") else words


def subject(case_name, unit):
    """What a picture of this unit is about."""
    if unit in UNITS:
        return UNITS[unit][0]
    return case(case_name) if time_unit(unit) else "%s, %s" % (case(case_name), unit)


def axis(unit):
    if unit in UNITS:
        return UNITS[unit][1]
    if time_unit(unit) is None:
        return unit
    return "%s, unit at each tick" % ("time per " + unit.split("/")[1] if "/" in unit else "time")


def time_unit(unit):
    """How many nanoseconds one of this unit is; None: it is no time."""
    word = unit.replace("cpu_", "", 1).replace("p99.9_", "").replace("p99_", "").replace("p50_", "").split("/")[0].split(" ")[0]
    return NANOSECONDS.get(word)
