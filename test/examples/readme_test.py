#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the first program of README.md as a user would, and exchanges data with it.

Usage: readme_test.py README COMPILER LIBRARY INCLUDE_FOLDER...
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time


def program(readme):
    with open(readme, encoding="utf-8") as file:
        return re.search(r"^```c\n(.*?)^```$", file.read(), re.S | re.M).group(1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port, process):
    for _ in range(500):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            if process.poll() is not None:
                break
            time.sleep(0.02)
    sys.exit("the program does not listen")


def main():
    readme, compiler, library, *includes = sys.argv[1:]
    port = free_port()
    text = program(readme)
    if "127.0.0.1:7000" not in text:
        sys.exit("README.md: the first program does not listen on 127.0.0.1:7000")
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "program.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text.replace("127.0.0.1:7000", "127.0.0.1:%d" % port))
        binary = os.path.join(folder, "program")
        rpath = "-Wl,-rpath," + os.path.dirname(library)
        flags = ["-Wall", "-Wextra", "-Werror", *("-I" + folder for folder in includes)]
        subprocess.run([compiler, *flags, source, library, rpath, "-o", binary], check=True)
        process = subprocess.Popen([binary])
        try:
            with connect(port, process) as conn:
                conn.sendall(b"straight-line code")
                got = b""
                while len(got) < 18:
                    got += conn.recv(100) or sys.exit("the connection ended early")
                assert got == b"straight-line code", got
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
