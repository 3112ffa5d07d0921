# SPDX-License-Identifier: MIT
"""The programs that tools/bench runs keep to what it expects of them.

    programs_test.py MICRO VIRTUAL_MICRO OPEN_LOOP SERVER...
"""
import json
import os
import re
import socket
import subprocess
import sys
import unittest

MICRO = VIRTUAL_MICRO = OPEN_LOOP = None
SERVERS = []
TIMEOUT_S = 30
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def output_of(*command):
    child = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if child.returncode != 0:
        raise AssertionError("%s ended with %d: %s" % (command, child.returncode, child.stderr))
    return child.stdout


class Server:
    def __init__(self, path, *options):
        self.process = subprocess.Popen([path, "--port", "0", "--workers", "2", *options], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        match = re.search(r"listening on http://127\.0\.0\.1:(\d+)/", self.process.stderr.readline())
        self.port = int(match.group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        sys.stderr.write(self.process.stderr.read())  # a sanitizer's report fails the test
        self.process.stderr.close()


def receive(conn, size):
    data = b""
    while len(data) < size:
        piece = conn.recv(size - len(data))
        if not piece:
            raise AssertionError("the server ended the connection after %r" % data)
        data += piece
    return data


def check_histogram(test, histogram, percentiles_us):
    """The buckets ascend, and a percentile is reported at most 1/64 too long (the program rounds it to 0.1 us)."""
    tops = [top for top, _ in histogram]
    test.assertEqual(tops, sorted(set(tops)))
    test.assertTrue(all(count > 0 for _, count in histogram))
    total = sum(count for _, count in histogram)
    for percent, value_us in percentiles_us.items():
        index = min(int(total * percent / 100), total - 1)
        seen = 0
        for top, count in histogram:
            seen += count
            if seen > index:
                break
        test.assertTrue(value_us * 1000 - 51 <= top <= value_us * 1000 * (1 + 1 / 64) + 51, (percent, value_us, top))


class Micro(unittest.TestCase):
    def test_lists_its_cases(self):
        names = [line.split()[0] for line in output_of(MICRO, "--list").splitlines()]
        for name in ("spawn_join", "yield_many", "timers", "live"):
            self.assertIn(name, names)

    def test_a_line_of_json_a_figure(self):
        out = output_of(MICRO, "--quick", "--rounds", "2", "--lines", "--count", "1000", "spawn_join", "live")
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([line["case"] for line in lines if line["unit"] == "ns/op"], ["spawn_join"] * 2)
        self.assertEqual(len(lines), 2 * (1 + 6))
        self.assertTrue(all(line["value"] > 0 for line in lines if not line["unit"].startswith("bytes")))

    def test_delays_are_lines_of_histograms(self):
        out = output_of(MICRO, "--quick", "--rounds", "2", "--lines", "takeover")
        lines = [json.loads(line) for line in out.splitlines()]
        spread = {line["case"]: line["buckets"] for line in lines if "buckets" in line}
        self.assertEqual(sorted(spread), ["takeover_busy", "takeover_sleep"])
        waited = [line["value"] for line in lines if line["case"] == "takeover_sleep_max"][-1]
        check_histogram(self, spread["takeover_sleep"], {100: waited})

    def test_one_kind_of_tasks_alone(self):
        for kind, other in (("stackless", "fibers"), ("fibers", "stackless")):
            out = output_of(MICRO, "--rounds", "1", "--lines", "--count", "100", "--tasks", kind, "live")
            self.assertIn(kind, out)
            self.assertNotIn(other, out)

    def test_virtual_time_is_the_same_in_each_run(self):
        """Sleeps of 2 to 3 s: the clock jumps, and only task runs move it otherwise."""
        command = (VIRTUAL_MICRO, "--rounds", "1", "--lines", "--workers", "1", "--count", "1000", "--tasks", "stackless",
                   "timers")
        first, second = ([json.loads(line) for line in output_of(*command).splitlines()][0] for _ in range(2))
        self.assertEqual(first["unit"], "ms beyond 3 s")
        self.assertEqual(first["value"], second["value"])
        self.assertTrue(0 < first["value"] + 3 < 10, first)

    def test_unknown_cases_are_refused(self):
        child = subprocess.run([MICRO, "no_such_case"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        self.assertEqual(child.returncode, 2)
        self.assertIn("no_such_case", child.stderr)


class Servers(unittest.TestCase):
    def test_an_answer_a_request_however_they_are_cut(self):
        for path in SERVERS:
            with self.subTest(server=path), Server(path) as server:
                with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as conn:
                    conn.sendall(REQUEST)
                    answer = receive(conn, 79)
                    self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\nHello, world!\n"))
                    conn.sendall(REQUEST * 100)
                    self.assertEqual(receive(conn, 7900), answer * 100)
                    for cut in (1, len(REQUEST) - 3, len(REQUEST) - 1):
                        conn.sendall(REQUEST[:cut])
                        conn.sendall(REQUEST[cut:])
                        self.assertEqual(receive(conn, 79), answer)
                    conn.setblocking(False)
                    self.assertRaises(BlockingIOError, conn.recv, 1)

    def test_options_that_change_what_a_server_does(self):
        for path in SERVERS:
            for options in (("--block", "sleep"), ("--block", "busy"), ("--buffer", "none")):
                with self.subTest(server=path, options=options), Server(path, *options) as server:
                    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as conn:
                        conn.sendall(REQUEST)
                        receive(conn, 79)

    def test_a_fixed_rate_counts_every_request_that_was_due(self):
        with Server(SERVERS[0]) as server:
            out = output_of(OPEN_LOOP, "--port", str(server.port), "--connections", "8", "--rate", "500", "--seconds", "1",
                            "--warm", "0")
        report = json.loads(out)
        self.assertEqual(report["requests"], 500)
        self.assertTrue(0 < report["p50_us"] <= report["p99_us"] <= report["p99.9_us"] <= report["max_us"])
        self.assertEqual(sum(count for _, count in report["buckets"]), 500)
        check_histogram(self, report["buckets"], {99: report["p99_us"], 100: report["max_us"]})

    def test_a_server_that_stands_still_pays_for_all_requests_of_that_time(self):
        """Blocked 100 ms of each 200: half of the requests are due in such a time, and wait 50 ms on average."""
        epoll = next(path for path in SERVERS if "epoll" in path)
        with Server(epoll, "--block", "sleep") as server:
            out = output_of(OPEN_LOOP, "--port", str(server.port), "--connections", "2", "--rate", "1000", "--seconds", "2",
                            "--warm", "0")
        self.assertGreater(json.loads(out)["p99_us"], 80000)

    def test_marks_around_the_requests_that_are_counted(self):
        with Server(SERVERS[0]) as server:
            out = output_of(OPEN_LOOP, "--closed", "--port", str(server.port), "--connections", "8", "--seconds", "1",
                            "--warm", "0")
        begin, end, report = out.splitlines()
        self.assertEqual((begin, end), ("begin", "end"))
        self.assertGreater(json.loads(report)["requests"], 0)

    def test_held_connections_stay_until_stdin_ends(self):
        with Server(SERVERS[0]) as server:
            client = subprocess.Popen([OPEN_LOOP, "--port", str(server.port), "--connections", "20", "--requests", "2", "--hold"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            with client:
                self.assertEqual(client.stdout.readline(), "ready\n")
                self.assertGreaterEqual(len(os.listdir("/proc/%d/fd" % server.process.pid)), 20)


if __name__ == "__main__":
    MICRO, VIRTUAL_MICRO, OPEN_LOOP, *SERVERS = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
