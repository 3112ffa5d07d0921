#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs_test.py [CMAKE]: does tools/docs build the reference, and does it notice what is missing or dead in it?"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from reference import check  # noqa: E402
from style.source import Tree, read_headers  # noqa: E402

CMAKE = sys.argv.pop(1) if len(sys.argv) > 1 else "cmake"
DOCS = os.path.join(ROOT, "tools", "docs.py")
HEADER = """/* tournant: a part. */
#ifndef TN_PART_H
#define TN_PART_H

/* What a part has. More of it: TN_PART_MAX. */
typedef struct tn_part {
    int size; /* bytes; see tn_part_open */
} tn_part;

/* The most. */
#define TN_PART_MAX 3

/* Opens one. As it is `*now`, <b>, @see, 100 %, #1.
 *
 * Suspends: no. Callable from: anywhere. Ownership: none.
 * Errors: TN_PART_MAX of tn_part.size.
 * Cancellation: no. */
TN_API int tn_part_open(tn_part *part);
TN_API int tn_part_close(tn_part *part);

#endif
"""


def run(command, **kwargs):
    """With its output, errors too, in `stdout`."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **kwargs)


def docs(*args):
    return run([sys.executable, "-B", DOCS, *args])


class Small(unittest.TestCase):
    """A tree of one header."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.output = os.path.join(self.folder, "docs")

    def build(self, header):
        path = os.path.join(self.folder, "net", "include", "tn", "part.h")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(header)
        return docs("--root", self.folder, "--output", self.output)

    def refused(self, header, text):
        done = self.build(header)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(text, done.stdout)

    def page(self, path):
        with open(os.path.join(self.output, path), encoding="utf-8") as file:
            return file.read()

    def test_a_function_is_in_html_and_man(self):
        done = self.build(HEADER)
        self.assertEqual(done.returncode, 0, done.stdout)
        page = self.page("man/man3/tn_part_open.3")
        self.assertIn("int tn_part_open(tn_part *part);", page)
        self.assertIn("As it is \\fB*now\\fR, <b>, @see, 100 %, #1.", page)
        self.assertIn(".TP\n.B Suspends\nNo.\n", page)
        self.assertIn(".BR tn_part (3)", page)
        self.assertIn("tn_part_open, tn_part_close \\- opens one\n", page)
        self.assertEqual(self.page("man/man3/tn_part_close.3"), ".so man3/tn_part_open.3\n")
        self.assertIn(">As it is <code>*now</code>, &lt;b&gt;, @see, 100 %, #1.<", self.page("html/part_8h.html"))

    def test_a_name_that_no_header_declares(self):
        for old, new in (("tn_part_open", "tn_part_create"), ("tn_part.size", "tn_part.length"), ("TN_PART_MAX", "TN_MAX")):
            with self.subTest(new):
                header = HEADER.replace(f"see {old}", new).replace(f"of {old}", new).replace(f"it: {old}", new)
                self.refused(header, f"a comment names {new}, which no public header declares")

    def test_a_warning_of_doxygen(self):
        """A private member is hidden, so a link to it has no target."""
        header = HEADER.replace("    int size;", "    uint64_t opaque[3];\n    int size;")
        self.refused(header.replace("of tn_part.size", "of tn_part.opaque"), "unable to resolve reference")

    def test_a_function_that_is_missing(self):
        close = "TN_API int tn_part_close(tn_part *part);"
        self.refused(HEADER.replace(close, f"#if 0\n{close}\n#endif"), "tn_part_close is not in the HTML reference")

    def test_no_header(self):
        self.assertEqual(docs("--root", self.folder, "--output", self.output).returncode, 1)


class Whole(unittest.TestCase):
    """The tree of the project, built once by its CMake target; each test damages a copy."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.prefix = os.path.join(cls.folder, "prefix")
        build = os.path.join(cls.folder, "build")
        off = [f"-DTN_BUILD_{part}=OFF" for part in ("TESTS", "EXAMPLES", "BENCH")]
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        for command in (
            [CMAKE, *generator, "-S", ROOT, "-B", build, "-DTN_DOCS=ON", *off],
            [CMAKE, "--build", build, "--target", "docs"],
            [CMAKE, "--install", build, "--component", "Documentation", "--prefix", cls.prefix],
        ):
            done = run(command)
            if done.returncode != 0:
                raise AssertionError(done.stdout)
        cls.built = os.path.join(build, "docs")
        cls.tree = read_headers(ROOT)

    def damaged(self, path, change):
        """What is found when a file of the reference is changed, or without it (None)."""
        file_path = os.path.join(self.built, path)
        with open(file_path, encoding="utf-8") as file:
            text = file.read()
        changed = None if change is None else change(text)
        self.assertNotEqual(changed, text)
        os.remove(file_path)
        if changed is not None:
            with open(file_path, "w", encoding="utf-8") as file:
                file.write(changed)
        try:
            return check.findings(self.tree, self.built)
        finally:
            with open(file_path, "w", encoding="utf-8") as file:
                file.write(text)

    def test_it_is_whole_and_installed(self):
        self.assertEqual(check.findings(self.tree, self.built), [])
        for path in ("share/man/man3/tn_mutex_lock.3", "share/man/man7/tournant.7", "share/doc/tournant/html/index.html"):
            self.assertTrue(os.path.exists(os.path.join(self.prefix, path)), path)

    def test_a_new_function(self):
        path = "sync/include/tn/mutex.h"
        text = self.tree.texts[path] + "\nTN_API void tn_mutex_new(void);\n"
        found = check.findings(Tree(self.tree.texts | {path: text}), self.built)
        self.assertEqual(len(found), 3, found)  # HTML, search, man

    def test_a_page_without_a_function(self):
        found = self.damaged("man/man3/tn_mutex_lock.3", None)
        self.assertIn("sync/include/tn/mutex.h: tn_mutex_lock has no man page", found)
        found = self.damaged("html/mutex_8h.html", lambda text: re.sub(r'(id|name)="a', r'\1="b', text))
        self.assertIn("sync/include/tn/mutex.h: tn_mutex_lock is not in the HTML reference", found)

    def test_a_dead_link(self):
        found = self.damaged("html/cancellation_points.html", lambda text: text.replace("mutex_8h.html#a", "mutex_8h.html#b"))
        self.assertIn("html/cancellation_points.html: the link to mutex_8h.html#b", "\n".join(found))
        found = self.damaged("html/classes.html", None)
        self.assertIn("the link to classes.html is dead", "\n".join(found))
        found = self.damaged("man/man3/tn_mutex_unlock.3", lambda text: text.replace("tn_mutex.h (3)", "tn_mutes.h (3)"))
        self.assertEqual(found, ["man/man3/tn_mutex_unlock.3: tn_mutes.h(3) does not exist"])

    @unittest.skipIf(shutil.which("groff") is None, "groff is missing")
    def test_roff(self):
        folder = os.path.join(self.built, "man")
        pages = [f"{section}/{name}" for section in ("man3", "man7") for name in os.listdir(os.path.join(folder, section))]
        done = run(["groff", "-k", "-z", "-man", "-ww", *pages], cwd=folder)
        self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main()
