# SPDX-License-Identifier: MIT
"""The layout of C files is what clang-format makes of them, with the configuration at the top of the tree."""

import os
import re
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VERSION = "14"  # Debian 12's: other versions break some lines elsewhere
ENDINGS = (".c", ".h", ".cpp")

RULES = ("layout",)
PROGRAM = "clang-format"  # and the package that it is in


def check(tree, report):
    here = "tools/style/layout.py"
    if shutil.which(PROGRAM) is None:
        report(here, 1, "layout", f"{PROGRAM} is missing, the package {PROGRAM} has it")
        return
    version = subprocess.run([PROGRAM, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    if not re.search(rf"version {VERSION}\.", version):
        report(here, 1, "layout", f"{PROGRAM} {VERSION} is needed, not: {version.strip()}")
        return
    paths = sorted(path for path in tree.texts if path.endswith(ENDINGS))
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            os.makedirs(os.path.join(folder, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
                file.write(tree.texts[path])
        command = [PROGRAM, f"--style=file:{ROOT}/.clang-format", "--dry-run", *paths]
        output = subprocess.run(command, cwd=folder, stderr=subprocess.PIPE, text=True, check=False).stderr if paths else ""
    found = {}
    for path, line in re.findall(r"(?m)^([^\s:]+):(\d+):\d+: warning: code should be clang-formatted", output):
        found.setdefault(path, []).append(int(line))
    for path, lines in found.items():
        report(path, lines[0], "layout", f"{len(lines)} places differ from clang-format's: {PROGRAM} -i {path}")
