#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Handshakes of bench/tls: both programs make full and resumed ones. Argument: the program."""
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples"))
import certificates  # noqa: E402

PROGRAM = os.path.abspath(sys.argv[1])
TIMEOUT_S = 50


class Handshakes(unittest.TestCase):
    def test_all(self):
        with tempfile.TemporaryDirectory(prefix="tn-handshakes-") as folder:
            certificates.make_all(folder)
            files = [os.path.join(folder, name) for name in ("server.crt", "server.key", "authority.crt")]
            for name in ("tournant", "openssl"):
                for kind in ("full", "resumed"):
                    result = subprocess.run([PROGRAM, name, kind, "3", *files], capture_output=True, text=True, timeout=TIMEOUT_S)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertGreater(int(result.stdout), 0)

    def test_misuse(self):
        self.assertEqual(subprocess.run([PROGRAM], capture_output=True, timeout=TIMEOUT_S).returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
