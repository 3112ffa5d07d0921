# SPDX-License-Identifier: MIT
"""The adapter of libcurl, against an nginx that this test starts: curl_test.py PROGRAM."""
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = None
TIMEOUT_S = 60
FILES = 1000

CONFIGURATION = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 512; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {folder}/files; }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fnv(data):
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return value


class Adapter(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if nginx is None:
            raise RuntimeError("nginx is missing: install the package nginx-light")
        cls.folder = tempfile.mkdtemp(prefix="tn-curl-")
        os.chmod(cls.folder, 0o755)
        os.mkdir(os.path.join(cls.folder, "files"))
        chance = random.Random(7)
        cls.hashes = []
        for number in range(FILES):
            data = chance.randbytes(chance.choice((0, 1, 100, 2000)) if number % 100 else 50000)
            cls.hashes.append(fnv(data))
            with open(os.path.join(cls.folder, "files", str(number)), "wb") as file:
                file.write(data)
        cls.port = free_port()
        cls.base = "http://127.0.0.1:%d" % cls.port
        configuration = os.path.join(cls.folder, "nginx.conf")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(folder=cls.folder, port=cls.port))
        cls.nginx = subprocess.Popen([nginx, "-c", configuration, "-p", cls.folder], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", cls.port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > limit or cls.nginx.poll() is not None:
                    raise
                time.sleep(0.05)

    @classmethod
    def tearDownClass(cls):
        cls.nginx.terminate()
        cls.nginx.wait(TIMEOUT_S)
        shutil.rmtree(cls.folder)

    def demo(self, *arguments):
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=2 * TIMEOUT_S)

    def check_files(self, command):
        result = self.demo(command, self.base, str(FILES))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.splitlines(), ["%d %016x" % pair for pair in enumerate(self.hashes)])

    def test_tasks(self):
        self.check_files("tasks")

    def test_session(self):
        self.check_files("session")

    def test_missing_file(self):
        result = self.demo("session", self.base, str(FILES + 1))
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stdout.splitlines()), FILES)
        self.assertIn("HTTP response code said error", result.stderr)

    def test_refused(self):
        result = self.demo("tasks", "http://127.0.0.1:%d" % free_port(), "5")
        self.assertEqual(result.returncode, 1)
        self.assertIn("Couldn't connect", result.stderr)

    def test_deadline(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
            result = self.demo("deadline", "http://127.0.0.1:%d/" % silent.getsockname()[1])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("timed out", result.stdout)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
