# SPDX-License-Identifier: MIT
"""tools/demo: builds the HTTP servers of examples/ and compares them under wrk; see --help."""
import argparse
import collections
import os
import shutil
import signal
import sys
import time

from kit import packages, processes
from kit.checked_load import Load
from kit.processes import say
from kit.servers import Server, Wrk, raise_file_limit

SERVERS = ["examples/http_server", "examples/http_server_threads"]
CONNECTIONS = [64, 1000, 8000]
RATIO_AT = 1000       # connections
DRAIN_KEPT, DRAIN_FRESH = 48, 16  # clients of the drain
DRAIN_AFTER_S = 2
DRAIN_MAX_S = 60

HELP = """Builds the release preset and runs http_server (tournant: one fiber a connection) and http_server_threads (one thread a
connection) under `wrk -t1` at 64, 1000 and 8000 keep-alive connections, in turn, a fresh server each time. Prints one table, and
how much processor time tournant takes of what threads take. Then it ends http_server in the middle of a load whose clients check
each response, and prints how many requests failed. Takes about a minute and a half.

Installs what is missing on Debian 12: """ + " ".join(packages.PACKAGES) + """."""

Run = collections.namedtuple("Run", "server connections requests seconds p50_us p99_us cpu_s kib_a_connection errors")


def counts_that_fit():
    most = raise_file_limit()
    if most < CONNECTIONS[0]:
        raise processes.Failure("no more than %d connections fit into the limit of open files; raise it with ulimit -n" % most)
    if most < CONNECTIONS[-1]:
        say("NOTE: few files may be open here (ulimit -Hn), so the largest run has %d connections" % most)
    return sorted({min(count, most) for count in CONNECTIONS})


# --- Measuring --------------------------------------------------------------------------------------------------------------


def measure(path, connections, seconds):
    server = Server([path])
    cpu_s, rss_kib, files = server.cpu_s(), server.rss_kib(), server.files()
    wrk = Wrk(server.url, connections, seconds)
    wrk.sleep(0.7)  # all connections are there and have been served
    open_connections = max(server.files() - files, 1)
    kib_a_connection = (server.rss_kib() - rss_kib) / open_connections
    report = wrk.report()
    cpu_s = server.cpu_s() - cpu_s
    server.stop()
    errors = collections.Counter({key: report[key] for key in ("non_2xx", "connect", "read", "write", "timeout")})
    errors["missing"] = max(connections - open_connections, 0)
    return Run(server.name, connections, report["requests"], report["duration_us"] / 1e6, report["p50_us"], report["p99_us"],
               cpu_s, kib_a_connection, errors)


def merge(runs):
    """The rounds of one server at one count of connections as one: sums, and the mean where a sum has no meaning."""
    def mean(values):
        return sum(values) / len(runs)

    return Run(runs[0].server, runs[0].connections, sum(r.requests for r in runs), sum(r.seconds for r in runs),
               mean([r.p50_us for r in runs]), mean([r.p99_us for r in runs]), sum(r.cpu_s for r in runs),
               mean([r.kib_a_connection for r in runs]), sum((r.errors for r in runs), collections.Counter()))


def measure_all(paths, counts, seconds, rounds):
    """In turn, so that a machine that is slower for a while is slower for all."""
    runs = collections.defaultdict(list)
    total, number = len(counts) * len(paths) * rounds, 0
    for connections in counts:
        for _ in range(rounds):
            for path in paths:
                number += 1
                say("%2d/%d  %s, %d connections, %d s" % (number, total, os.path.basename(path), connections, seconds))
                runs[connections, path].append(measure(path, connections, seconds))
    return [merge(runs[connections, path]) for connections in counts for path in paths]


# --- The table --------------------------------------------------------------------------------------------------------------


def warning(errors):
    names = {"non_2xx": "responses other than 2xx", "connect": "failed connects", "read": "read errors", "write": "write errors",
             "timeout": "timeouts", "missing": "connections missing"}
    parts = ["%d %s" % (errors[key], name) for key, name in names.items() if errors[key]]
    return "WARNING: " + ", ".join(parts) if parts else ""


def latency(us):
    return "%.2f ms" % (us / 1000)


def cpu_us(run):
    return run.cpu_s / run.requests * 1e6


def print_table(runs):
    rows = [["server", "connections", "requests/s", "p50", "p99", "CPU us/request", "KiB/connection", ""]]
    for run in runs:
        rows.append([run.server, str(run.connections), "%.0f" % (run.requests / run.seconds), latency(run.p50_us),
                     latency(run.p99_us), "%.1f" % cpu_us(run), "%.1f" % run.kib_a_connection, warning(run.errors)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1])] + [row[-1]]
        print("  ".join(cells).rstrip())
        if number == 0 or (number < len(runs) and runs[number].connections != runs[number - 1].connections):
            print("  ".join("-" * width for width in widths[:-1]))


def print_ratio(runs):
    count = RATIO_AT if any(run.connections == RATIO_AT for run in runs) else runs[-1].connections
    ours, theirs = [next(run for run in runs if run.connections == count and run.server == os.path.basename(path))
                    for path in SERVERS]
    print("CPU a request at %d connections, tournant / threads: %.1f / %.1f us = %.2f"
          % (count, cpu_us(ours), cpu_us(theirs), cpu_us(ours) / cpu_us(theirs)))


# --- The end of a server ----------------------------------------------------------------------------------------------------


def drain(path):
    """Ends the server while clients send requests. Failure when one of these failed."""
    server = Server([path])
    load = Load(server.port, DRAIN_KEPT, DRAIN_FRESH)
    time.sleep(DRAIN_AFTER_S)
    before = load.responses
    load.ending.set()
    began = time.monotonic()
    server.child.send_signal(signal.SIGTERM)
    load.join()
    status = server.child.wait(DRAIN_MAX_S)
    took_s = time.monotonic() - began
    processes.forget(server.child)
    print("SIGTERM in the middle of a load of %d kept and %d new connections: %d responses before it, %d after it, "
          "%d failed requests; the server ended after %.1f s with status %d"
          % (DRAIN_KEPT, DRAIN_FRESH, before, load.responses - before, len(load.failures), took_s, status))
    if load.failures or status != 0:
        raise processes.Failure("requests failed: %s" % load.failures[:3])


# --- The program ------------------------------------------------------------------------------------------------------------


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def parse_options():
    parser = argparse.ArgumentParser(prog="tools/demo", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="build, then leave http_server running in the foreground")
    parser.add_argument("--port", type=int, default=8080, metavar="N", help="the port of --serve; default 8080")
    parser.add_argument("--seconds", type=positive, default=5, metavar="N", help="of each run; default 5")
    parser.add_argument("--rounds", type=positive, default=2, metavar="N", help="runs of each server at each count; default 2")
    parser.add_argument("--also", action="append", default=[], metavar="PROGRAM",
                        help="measure this server too (such as build/release/bench/epoll_server)")
    options = parser.parse_args()
    for program in options.also:
        if shutil.which(os.path.abspath(program)) is None:
            parser.error("--also %s: there is no such program" % program)
    options.also = [os.path.abspath(program) for program in options.also]
    return options


def serve(port):
    """Becomes the server: it gets the terminal's signals itself."""
    path = os.path.join(packages.BUILD, SERVERS[0])
    if port != 0:
        say("try it from another terminal: curl -i http://127.0.0.1:%d/" % port)
    say("Ctrl-C ends the server")
    os.execv(path, [path, "--port", str(port)])


def demo(options):
    packages.install_missing(packages.PACKAGES)
    packages.build_release([path.replace("/", "_") for path in SERVERS])
    counts = counts_that_fit()
    if options.serve:
        serve(options.port)
    paths = [os.path.join(packages.BUILD, path) for path in SERVERS] + options.also
    runs = measure_all(paths, counts, options.seconds, options.rounds)
    print("\n%d processors; wrk -t1 on the same machine; %d x %d s a line\n"
          % (len(os.sched_getaffinity(0)), options.rounds, options.seconds))
    print_table(runs)
    print()
    print_ratio(runs)
    drain(paths[0])


def main():
    options = parse_options()
    return processes.main("demo", lambda: demo(options))


if __name__ == "__main__":
    sys.exit(main())
