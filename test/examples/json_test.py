# SPDX-License-Identifier: MIT
"""json_api against a PostgreSQL server that this test starts, over TLS with sslmode=verify-full: json_test.py PROGRAM."""
import http.client
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import certificates
import pq_test

PROGRAM = None
TIMEOUT_S = 30


class Database(pq_test.Server):
    """With certificates; the key must be the server's alone."""

    def start(self):
        if self.process is None:
            certificates.make_all(self.folder)
            user = pwd.getpwnam("postgres") if self.as_user else None
            for end in (".crt", ".key"):
                name = shutil.copy(os.path.join(self.folder, "server" + end), os.path.join(self.data, "server" + end))
                os.chmod(name, 0o600)
                if user is not None:
                    os.chown(name, user.pw_uid, user.pw_gid)
            with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as file:
                file.write("ssl = on\n")
            with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="utf-8") as file:
                file.write("hostssl all all 127.0.0.1/32 trust\n")
        super().start()


class Api:
    def __init__(self, database, *options, host="localhost"):
        conninfo = ("host=%s hostaddr=127.0.0.1 port=%d user=tester dbname=postgres sslmode=verify-full sslrootcert=%s" %
                    (host, database.port, os.path.join(database.folder, "authority.crt")))
        self.messages = tempfile.TemporaryFile()
        self.process = subprocess.Popen([PROGRAM, conninfo, "--port", "0", *options], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        line = self.process.stderr.readline().decode()
        self.port = int(re.search(r"listening on http://127\.0\.0\.1:(\d+)/", line).group(1))
        self.rest = []
        self.reader = threading.Thread(target=lambda: self.rest.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def ask(self, method, target, body=None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        conn.request(method, target, body)
        response = conn.getresponse()
        text = response.read()
        conn.close()
        return response.status, json.loads(text) if text else None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(TIMEOUT_S)
        self.reader.join(TIMEOUT_S)
        self.process.stderr.close()
        self.messages.close()
        return status


class Json(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Database()

    @classmethod
    def tearDownClass(cls):
        cls.database.remove()

    def api(self, *options, **more):
        if "--deadline-ms" not in options:
            options += ("--deadline-ms", "20000")  # the first connection may take long
        api = Api(self.database, *options, **more)
        self.addCleanup(lambda: self.assertEqual(api.stop(), 0, api.rest))
        return api

    def active(self, text):
        command = ["psql", "-XAt", "-U", "tester", "-c", "select count(*) from pg_stat_activity where state = 'active'"
                   " and query like '%%%s%%' and pid <> pg_backend_pid()" % text,
                   "host=127.0.0.1 port=%d dbname=postgres" % self.database.port]
        return int(subprocess.run(command, capture_output=True, check=True, timeout=TIMEOUT_S).stdout)

    def test_rows(self):
        api = self.api()
        status, row = api.ask("POST", "/items", "O'Neill \\ \"x\"")
        self.assertEqual((status, row["name"]), (200, "O'Neill \\ \"x\""))
        self.assertEqual(api.ask("GET", "/items/%d" % row["id"]), (200, row))
        self.assertEqual(api.ask("GET", "/items/999999")[0], 404)
        self.assertEqual(api.ask("GET", "/items/x")[0], 404)

    def test_deadlines_reach_the_database(self):
        api = self.api("--deadline-ms", "1000", "--connections", "2")
        end = time.monotonic() + TIMEOUT_S
        while api.ask("GET", "/items/999999")[0] != 404:  # the first connection may take longer than the deadline
            self.assertLess(time.monotonic(), end, api.rest)
        self.assertEqual(api.ask("GET", "/sleep/60")[0], 504)
        end = time.monotonic() + TIMEOUT_S
        while self.active("pg_sleep(60)") > 0:
            self.assertLess(time.monotonic(), end, "the query still runs")
        self.assertEqual(api.ask("GET", "/sleep/0"), (200, {"slept": 0}))  # the connection is used again

    def test_the_name_is_verified(self):
        api = self.api(host="wrong.test")
        end = time.monotonic() + TIMEOUT_S
        while not any(b"does not match host name" in line for line in api.rest):
            self.assertIn(api.ask("GET", "/items/1")[0], (503, 504))
            self.assertLess(time.monotonic(), end, api.rest)

    def test_a_flood_is_refused(self):
        api = self.api("--per-second", "1")
        found = [api.ask("GET", "/items/999999")[0] for _ in range(30)]
        self.assertEqual(found[0], 404)
        self.assertIn(429, found)

    def test_the_database_goes_and_comes_back(self):
        api = self.api("--deadline-ms", "2000")
        wrk = subprocess.Popen(["wrk", "-t1", "-c8", "-d3s", "--timeout", "30s", "http://127.0.0.1:%d/items/1" % api.port],
                               stdout=subprocess.PIPE, text=True)
        self.assertIn(api.ask("GET", "/sleep/0")[0], (200, 504))
        self.database.stop()
        self.assertIn(api.ask("GET", "/sleep/0")[0], (503, 504))
        self.database.start()
        end = time.monotonic() + TIMEOUT_S
        while api.ask("GET", "/sleep/0")[0] != 200:
            self.assertLess(time.monotonic(), end, api.rest)
        output = wrk.communicate(timeout=TIMEOUT_S)[0]
        self.assertNotIn("Socket errors", output)  # each request gets a response

    def test_drain(self):
        api = Api(self.database, "--deadline-ms", "10000")
        found = []
        client = threading.Thread(target=lambda: found.append(api.ask("GET", "/sleep/1")))
        client.start()
        end = time.monotonic() + TIMEOUT_S
        while self.active("pg_sleep(1)") == 0:
            self.assertLess(time.monotonic(), end)
        self.assertEqual(api.stop(), 0)
        client.join(TIMEOUT_S)
        self.assertEqual(found, [(200, {"slept": 1})])


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
