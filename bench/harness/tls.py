# SPDX-License-Identifier: MIT
"""TLS: https_server beside nginx, by wrk; handshakes beside a loop around OpenSSL."""
import os
import subprocess
import sys
import tempfile

from kit.packages import BUILD, ROOT, build_release, install_missing
from kit.processes import Failure, output_of, start, stop
from kit.servers import TICKS_PER_S, Wrk, status_number

from harness.redis import free_port, wait_until_ready
from harness.rounds import Job, run_all
from harness.rows import OURS, Row, Rows

sys.path.append(os.path.join(ROOT, "test", "examples"))
import certificates  # noqa: E402

CASES = ["answer", "full", "resumed"]
ROUNDS, QUICK_ROUNDS = 5, 1
CONNECTIONS, ANSWER_BYTES = 64, 1024
SECONDS, QUICK_SECONDS = 5, 2
HANDSHAKES, QUICK_HANDSHAKES = 1000, 50
RUN_S = 120
NGINX, CACHING, OPENSSL = "nginx", "nginx_caching", "openssl"

# As https_server: a log, and no limit of requests on a connection. `caching` also has what https_server does by itself.
SETTINGS = """
worker_processes %(workers)d;
pid %(folder)s/nginx.pid;
error_log %(folder)s/nginx.errors;
daemon off;
events { worker_connections 20000; }
http {
    access_log %(folder)s/nginx.log%(log)s;
    keepalive_requests 1000000000;
    %(caching)s
    server {
        listen 127.0.0.1:%(port)d ssl;
        ssl_certificate %(folder)s/server.crt;
        ssl_certificate_key %(folder)s/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        root %(folder)s/files;
    }
}
"""


def nginx_command(name, port, workers, folder):
    caching = name == CACHING
    path = os.path.join(folder, name + ".conf")
    with open(path, "w") as file:
        file.write(SETTINGS % {
            "workers": workers, "folder": folder, "port": port,
            "log": " combined buffer=64k flush=1s" if caching else "",
            "caching": "open_file_cache max=64; open_file_cache_valid 1s;" if caching else ""})
    return ["nginx", "-p", folder, "-c", path]


def command_of(name, port, workers, folder):
    if name != OURS:
        return nginx_command(name, port, workers, folder)
    return [os.path.join(BUILD, "examples", "https_server"), "--port", str(port), "--workers", str(workers), "--certificate",
            os.path.join(folder, "server.crt"), "--key", os.path.join(folder, "server.key")]


def processes_of(child):
    """nginx works in children of its first process."""
    with open("/proc/%d/task/%d/children" % (child.pid, child.pid)) as children:
        return [child.pid] + [int(number) for number in children.read().split()]


def used_s(numbers):
    total = 0
    for number in numbers:
        with open("/proc/%d/stat" % number) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()  # from the third field on
        total += (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return total


def resident_bytes(numbers):
    return sum(1024 * status_number("/proc/%d/status" % number, "VmRSS:") for number in numbers)


def answer(name, workers, seconds, folder):
    """Returns a dict unit -> value."""
    port = free_port()
    log = open(os.path.join(folder, "access.log"), "w")
    child = start(command_of(name, port, workers, folder), cwd=os.path.join(folder, "files"), stdin=subprocess.DEVNULL,
                  stdout=log, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(name, port)
        numbers = processes_of(child)
        empty, used = resident_bytes(numbers), used_s(numbers)
        wrk = Wrk("https://127.0.0.1:%d/answer" % port, CONNECTIONS, seconds)
        wrk.sleep(0.7)
        full = resident_bytes(numbers)
        report = wrk.report()
        used = used_s(numbers) - used
    finally:
        stop(child)
        log.close()
    wrong = {key: report[key] for key in ("non_2xx", "connect", "read", "write", "timeout") if report[key]}
    if wrong or report["requests"] == 0:
        raise Failure("wrk had errors: %s" % wrong)
    return {"cpu_us/request": used / report["requests"] * 1e6, "p99_us": report["p99_us"],
            "bytes/connection": (full - empty) / CONNECTIONS}


def answer_job(name, options, folder):
    params = {"connections": CONNECTIONS, "workers": options.workers}

    def run():
        for unit, value in answer(name, options.workers, QUICK_SECONDS if options.quick else SECONDS, folder).items():
            yield Row("answer", unit, params), name, value

    return Job(name, "1 KiB over TLS", run)


def handshake_job(name, case, options, folder):
    count = QUICK_HANDSHAKES if options.quick else HANDSHAKES
    command = [os.path.join(BUILD, "bench", "tls", "handshakes"), name, case, str(count)]
    files = [os.path.join(folder, file) for file in ("server.crt", "server.key", "authority.crt")]

    def run():
        yield Row(case, "cpu_ns/handshake", {}), name, float(output_of(command + files, RUN_S))

    return Job(name, case + " handshake", run)


def run(programs, cases, options):
    """The ratio of `answer` is to the better of both nginx."""
    install_missing(["nginx-light", "openssl", "wrk", "libssl-dev", "zlib1g-dev"])
    build_release(["examples_https_server", "bench_tls_handshakes"])
    rows = Rows()
    with tempfile.TemporaryDirectory(prefix="tn-bench-tls-") as folder:
        os.chmod(folder, 0o755)  # nginx's workers are another user's
        certificates.make_all(folder)
        os.mkdir(os.path.join(folder, "files"))
        with open(os.path.join(folder, "files", "answer"), "w") as file:
            file.write("x" * ANSWER_BYTES)
        jobs = []
        for case in cases:
            names = [OURS, NGINX, CACHING] if case == "answer" else [OURS, OPENSSL]
            for name in names:
                jobs.append(answer_job(name, options, folder) if case == "answer" else handshake_job(name, case, options, folder))
        run_all(jobs, options.rounds, rows)
    return rows
