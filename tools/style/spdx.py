# SPDX-License-Identifier: MIT
"""Each source file names its license in its first lines."""

TAG = "SPDX-License-Identifier: MIT"
ENDINGS = (".c", ".h", ".S", ".cpp", ".py", ".sh", ".cmake", ".go", ".rs", "CMakeLists.txt")

RULES = ("spdx",)


def check(tree, report):
    for path, text in sorted(tree.texts.items()):
        if (path.endswith(ENDINGS) or text.startswith("#!")) and TAG not in "\n".join(text.split("\n")[:2]):
            report(path, 1, "spdx", f"a comment with `{TAG}` must be the first line, after the interpreter line of a script")
