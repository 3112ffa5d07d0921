#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compare_test.py CC: does tools/compare_objects.py see what it has to, and nothing else? On small sources."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tools", "compare_objects.py")
CC = sys.argv.pop(1) if len(sys.argv) > 1 else "cc"

HEAD = "void say(const char *, int, const char *, const char *);\n#define SAY(t) say(__FILE__, __LINE__, __func__, t)\n"
CASES = "\n".join(f"    case {i}: return x * {3 * i + 1} + y;" for i in range(9))
SWITCH = HEAD + "int pick(int x, int y)\n{\n    switch (x) {\n" + CASES + "\n    }\n    return 0;\n}\n"
CALLER = HEAD + 'void one(int x)\n{\n    if (x > 1000)\n        SAY("large");\n}\n'
OTHER = HEAD + 'int two(int *x)\n{\n    SAY("second");\n    return *x + 40;\n}\n'
TABLE = "const int table[4] = {1, 2, 3, 4};\nint counter;\nint at(int i) { return table[i & 3] + ++counter; }\n"
STATIC = "__attribute__((noinline)) static int help(int x) { return x * 7; }\nint use(int x) { return help(x) + help(-x); }\n"
FLOAT = "double scale(double x) { return x * 2.5; }\n"


def flags():
    spec = importlib.util.spec_from_file_location("compare_objects", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FLAGS.split()


class Compare(unittest.TestCase):
    def compare(self, old, new, *options, renames=""):
        """(exit status, output) for two sets of sources, {file name: text}."""
        with tempfile.TemporaryDirectory() as folder:
            for side, sources in (("old", old), ("new", new)):
                for name, text in sources.items():
                    path = os.path.join(folder, side, name)
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(text)
                    subprocess.run([CC, "-O2", "-fPIC", *flags(), "-c", path, "-o", path[:-2] + ".o"], check=True)
            more = list(options)
            if renames:
                with open(os.path.join(folder, "renames"), "w", encoding="utf-8") as file:
                    file.write(renames)
                more += ["--rename", file.name]
            sides = [os.path.join(folder, "old"), os.path.join(folder, "new")]
            done = subprocess.run([TOOL, "--objects", *sides, *more], stdout=subprocess.PIPE, text=True, check=False)
            return done.returncode, done.stdout

    def same(self, old, new, **more):
        status, output = self.compare(old, new, **more)
        self.assertEqual(status, 0, output)

    def differs(self, old, new, name, **more):
        status, output = self.compare(old, new, **more)
        self.assertEqual(status, 1, output)
        self.assertIn(f"\n{name}: ", "\n" + output)

    def test_lines_and_files_do_not_count(self):
        self.same({"a.c": CALLER + OTHER}, {"sub/b.c": "\n\n" + CALLER + "\n" + OTHER})

    def test_moved_functions_are_the_same(self):
        self.same({"a.c": CALLER + OTHER, "b.c": SWITCH}, {"a.c": SWITCH + OTHER, "b.c": CALLER})

    def test_renamed_functions_are_the_same(self):
        renamed = OTHER.replace("two(", "other_two(")
        self.same({"a.c": OTHER}, {"a.c": renamed}, renames="two other_two\n")
        self.differs({"a.c": OTHER}, {"a.c": renamed}, "other_two")

    def test_renamed_statics_are_the_same(self):
        self.same({"a.c": STATIC}, {"a.c": STATIC.replace("help", "helper")}, renames="help helper\n")

    def test_a_constant_counts(self):
        self.differs({"a.c": OTHER}, {"a.c": OTHER.replace("40", "41")}, "two")
        self.differs({"a.c": CALLER}, {"a.c": CALLER.replace("1000", "1001")}, "one")

    def test_a_text_counts(self):
        self.differs({"a.c": CALLER}, {"a.c": CALLER.replace("large", "small")}, "one")

    def test_a_floating_constant_counts(self):
        self.differs({"a.c": FLOAT}, {"a.c": FLOAT.replace("2.5", "2.25")}, "scale")

    def test_a_table_counts(self):
        self.differs({"a.c": TABLE}, {"a.c": TABLE.replace("3, 4", "3, 5")}, "table")

    def test_a_jump_table_counts(self):
        self.same({"a.c": SWITCH}, {"b.c": HEAD + SWITCH[len(HEAD) :]})
        self.assertNotEqual(self.compare({"a.c": SWITCH}, {"a.c": SWITCH.replace("case 3", "case 11")})[0], 0)

    def test_another_callee_counts(self):
        self.differs({"a.c": CALLER}, {"a.c": CALLER.replace("say(", "tell(")}, "one")

    def test_a_function_that_is_gone_counts(self):
        self.differs({"a.c": CALLER + OTHER}, {"a.c": CALLER}, "two")

    def test_one_of_two_statics_of_a_name_counts(self):
        other = STATIC.replace("use", "use_too")
        self.differs({"a.c": STATIC, "b.c": other}, {"a.c": STATIC, "b.c": other.replace("7", "9")}, "help")

    def test_nothing_is_not_identical(self):
        self.assertEqual(self.compare({}, {})[0], 2)


if __name__ == "__main__":
    unittest.main()
