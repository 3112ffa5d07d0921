"""tools/demo: builds the HTTP servers of examples/ and compares them under wrk; see --help."""
import argparse
import collections
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build", "release")
SERVERS = ["examples/http_server", "examples/http_server_threads"]
PACKAGES = ["cmake", "ninja-build", "gcc", "libc6-dev", "pkg-config", "libuv1-dev", "libck-dev", "libhttp-parser-dev",
            "libcriterion-dev", "wrk"]
CONNECTIONS = [64, 1000, 8000]
RATIO_AT = 1000       # connections
SPARE_FILES = 100     # what a server and wrk open beside their connections
START_S = 10          # a server that is not ready by then is broken
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

HELP = """Builds the release preset and runs http_server (tournant: one fiber a connection) and http_server_threads (one thread a
connection) under `wrk -t1` at 64, 1000 and 8000 keep-alive connections, in turn, a fresh server each time. Prints one table, and
how much processor time tournant takes of what threads take. Takes about a minute and a half.

Installs what is missing on Debian 12: """ + " ".join(PACKAGES) + """."""

Run = collections.namedtuple("Run", "server connections requests seconds p50_us p99_us cpu_s kib_a_connection errors")

children = []  # processes that we started and that may still run
starting = False  # between fork and the entry in `children`: a signal has to wait, or that child would stay behind
signalled = 0


class Failure(Exception):
    """What went wrong and what to do, for the user."""


def say(text):
    print("demo: " + text, file=sys.stderr, flush=True)


# --- Processes --------------------------------------------------------------------------------------------------------------


def on_signal(number, _):
    global signalled
    signalled = number
    if not starting:
        raise SystemExit(128 + number)


def start(*args, **kwargs):
    global starting
    starting = True
    try:
        child = subprocess.Popen(*args, **kwargs)
        children.append(child)
    finally:
        starting = False
    if signalled:
        raise SystemExit(128 + signalled)
    return child


def stop(child):
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(3)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child in children:
        children.remove(child)


def run_step(args, what):
    """A command whose output is shown as progress."""
    child = start(args, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    status = child.wait()
    children.remove(child)
    if status != 0:
        raise Failure("%s failed with status %d: %s" % (what, status, " ".join(args)))


# --- Preparing --------------------------------------------------------------------------------------------------------------


def is_installed(package):
    status = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, text=True).stdout
    return status.endswith(" installed")


def install_missing():
    if shutil.which("dpkg-query") is None:
        say("this is no Debian system; these are needed: " + " ".join(PACKAGES))
        return
    missing = [package for package in PACKAGES if not is_installed(package)]
    if not missing:
        return
    root = []
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            raise Failure("these packages are missing; install them as root: apt-get install " + " ".join(missing))
        root = ["sudo"]
    say("installing " + " ".join(missing))
    run_step(root + ["apt-get", "update", "-q"], "reading the list of packages")
    install = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-q", "-y", "--no-install-recommends"]
    run_step(root + install + missing, "installing packages")


def build():
    say("building build/release")
    os.chdir(ROOT)
    run_step(["cmake", "--preset", "release"], "configuring")
    targets = [path.replace("/", "_") for path in SERVERS]
    run_step(["cmake", "--build", "--preset", "release", "--target"] + targets, "building")


def raise_file_limit():
    """Opens as many files as we may, and answers the connection counts that fit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = hard - SPARE_FILES
    if most < CONNECTIONS[0]:
        raise Failure("the limit of open files is %d here; raise it with ulimit -n" % hard)
    if most < CONNECTIONS[-1]:
        say("NOTE: no more than %d files may be open here (ulimit -Hn), so the largest run has %d connections" % (hard, most))
    return sorted({min(count, most) for count in CONNECTIONS})


# --- Measuring --------------------------------------------------------------------------------------------------------------


class Server:
    """A running server."""

    def __init__(self, path):
        self.name = os.path.basename(path)
        self.messages = 0
        self.child = start([path, "--port", "0"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.ready = threading.Event()
        self.url = None
        threading.Thread(target=self._read, daemon=True).start()
        if not self.ready.wait(START_S) or self.url is None:
            raise Failure("%s did not start" % path)

    def _read(self):
        for line in self.child.stderr:
            match = re.search(r"listening on (http://\S+)", line)
            if match:
                self.url = match.group(1)
                self.ready.set()
            else:
                self.messages += 1
                if self.messages <= 3:
                    sys.stderr.write(line)
        self.ready.set()

    def cpu_s(self):
        with open("/proc/%d/stat" % self.child.pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()  # from the third field on
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def rss_kib(self):
        with open("/proc/%d/statm" % self.child.pid) as statm:
            return int(statm.read().split()[1]) * resource.getpagesize() / 1024

    def files(self):
        return len(os.listdir("/proc/%d/fd" % self.child.pid))


def measure(path, connections, seconds):
    server = Server(path)
    cpu_s, rss_kib, files = server.cpu_s(), server.rss_kib(), server.files()
    wrk = start(["wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds, "--timeout", "5s", "--script",
                 os.path.join(ROOT, "tools", "wrk_report.lua"), server.url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                text=True)
    time.sleep(seconds * 0.7)  # all connections are there and have been served
    open_connections = max(server.files() - files, 1)
    kib_a_connection = (server.rss_kib() - rss_kib) / open_connections
    output = wrk.communicate(timeout=seconds + 30)[0]
    cpu_s = server.cpu_s() - cpu_s
    children.remove(wrk)
    if server.child.poll() is not None:
        raise Failure("%s died with status %d" % (path, server.child.returncode))
    stop(server.child)
    if wrk.returncode != 0 or "\n{" not in output:
        raise Failure("wrk failed with status %d and said: %s" % (wrk.returncode, output))
    report = json.loads(output[output.rindex("\n{"):])
    if report["requests"] == 0:
        raise Failure("%s answered nothing; wrk said: %s" % (path, output))
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
    names = {"non_2xx": "answers that are not 2xx", "connect": "failed connects", "read": "read errors", "write": "write errors",
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
    path = os.path.join(BUILD, SERVERS[0])
    if port != 0:
        say("try it from another terminal: curl -i http://127.0.0.1:%d/" % port)
    say("Ctrl-C ends the server")
    os.execv(path, [path, "--port", str(port)])


def demo(options):
    install_missing()
    build()
    counts = raise_file_limit()
    if options.serve:
        serve(options.port)
    paths = [os.path.join(BUILD, path) for path in SERVERS] + options.also
    runs = measure_all(paths, counts, options.seconds, options.rounds)
    print("\n%d processors; wrk -t1 on the same machine; %d x %d s a line\n"
          % (len(os.sched_getaffinity(0)), options.rounds, options.seconds))
    print_table(runs)
    print()
    print_ratio(runs)


def main():
    options = parse_options()
    for number in SIGNALS:
        signal.signal(number, on_signal)
    try:
        demo(options)
    except Failure as failure:
        say(str(failure))
        return 1
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # this takes a moment and has to be done
        for child in list(children):
            stop(child)
    return 0


if __name__ == "__main__":
    sys.exit(main())
