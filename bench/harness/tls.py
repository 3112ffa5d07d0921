# SPDX-License-Identifier: MIT
"""TLS: https_server beside nginx, by wrk and by idle connections; handshakes beside a loop around OpenSSL."""
import os
import ssl
import sys
import tempfile

from kit.packages import BUILD, ROOT, build_release, install_missing
from kit.processes import output_of

from harness.rounds import Job, run_all
from harness.rows import OURS, Row, Rows
from harness.served import Served

sys.path.append(os.path.join(ROOT, "test", "examples"))
import certificates  # noqa: E402

CASES = ["response", "keep_alive", "full", "resumed"]
ROUNDS, QUICK_ROUNDS = 5, 1
CONNECTIONS, RESPONSE_BYTES = 64, 1024
IDLE, QUICK_IDLE = (100, 1000), (10, 100)  # connections, at both ends of the slope
SECONDS, QUICK_SECONDS = 5, 2
HANDSHAKES, QUICK_HANDSHAKES = 1000, 50
RUN_S = 120
NGINX, CACHING, OPENSSL = "nginx", "nginx_caching", "openssl"

# As https_server: a log, and no limit of requests on a connection, nor of its idle time. `caching`: as https_server, files stay
# open, what is known of one is used for a second, and the log is written many lines at a time.
SETTINGS = """
worker_processes %(workers)d;
pid %(folder)s/nginx.pid;
error_log %(folder)s/nginx.errors;
daemon off;
events { worker_connections 20000; }
http {
    access_log %(folder)s/nginx.log%(log)s;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
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


def served(name, workers, folder):
    return Served(name, lambda port: command_of(name, port, workers, folder), os.path.join(folder, "files"),
                  os.path.join(folder, "access.log"))


def response_job(name, options, folder):
    params = {"connections": CONNECTIONS, "workers": options.workers}

    def run():
        with served(name, options.workers, folder) as server:
            found = server.load("https://127.0.0.1:%d/response" % server.port, CONNECTIONS,
                                QUICK_SECONDS if options.quick else SECONDS)
        for unit, value in found.items():
            yield Row("response", unit, params), name, value

    return Job(name, "1 KiB over TLS", run)


def idle_job(name, options, folder):
    counts = QUICK_IDLE if options.quick else IDLE

    def run():
        context = ssl.create_default_context(cafile=os.path.join(folder, "authority.crt"))
        with served(name, options.workers, folder) as server:
            value = server.bytes_per_connection(counts, b"GET /response HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                                b"x" * RESPONSE_BYTES,
                                                lambda conn: context.wrap_socket(conn, server_hostname="localhost"))
        yield Row("keep_alive", "bytes/connection", {"connections": counts[1], "workers": options.workers}), name, value

    return Job(name, "keep-alive connections", run)


def handshake_job(name, case, options, folder):
    count = QUICK_HANDSHAKES if options.quick else HANDSHAKES
    command = [os.path.join(BUILD, "bench", "tls", "handshakes"), name, case, str(count)]
    files = [os.path.join(folder, file) for file in ("server.crt", "server.key", "authority.crt")]

    def run():
        yield Row(case, "cpu_ns/handshake", {}), name, float(output_of(command + files, RUN_S))

    return Job(name, case + " handshake", run)


def run(programs, cases, options):
    """The ratio of `response` and `keep_alive` is to the better of both nginx."""
    install_missing(["nginx-light", "openssl", "wrk", "libssl-dev", "zlib1g-dev"])
    build_release(["examples_https_server", "bench_tls_handshakes"])
    rows = Rows()
    with tempfile.TemporaryDirectory(prefix="tn-bench-tls-") as folder:
        os.chmod(folder, 0o755)  # nginx's workers are another user's
        certificates.make_all(folder)
        os.mkdir(os.path.join(folder, "files"))
        with open(os.path.join(folder, "files", "response"), "w") as file:
            file.write("x" * RESPONSE_BYTES)
        served = {"response": response_job, "keep_alive": idle_job}
        jobs = []
        for case in cases:
            if case in served:
                jobs += [served[case](name, options, folder) for name in (OURS, NGINX, CACHING)]
            else:
                jobs += [handshake_job(name, case, options, folder) for name in (OURS, OPENSSL)]
        run_all(jobs, options.rounds, rows)
    return rows
