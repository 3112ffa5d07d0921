# SPDX-License-Identifier: MIT
"""The mutants of the model checker and of the simulator quote the source as it is."""

import re

LIST = "test/model/mutants.txt"
SIMULATED = "test/sim/mutants.txt"

RULES = ("mutant",)


def check(tree, report):
    for line, head, old in entries(tree.texts.get(LIST, "")):
        match = re.fullmatch(r"\[([\w-]+)\] (\S+) (\w+)\.\w+ \S+", head)
        if not match:
            report(LIST, line, "mutant", f"`{head}` is not [NAME] FILE SCENARIO KIND")
            continue
        name, file, program = match.groups()
        if file not in tree.texts:
            report(LIST, line, "mutant", f"{name}: there is no {file}")
        elif tree.texts[file].count(old) != 1:
            report(LIST, line, "mutant", f"{name}: the old lines are {tree.texts[file].count(old)} times in {file}")
        if not any(f"test/model/{folder}/{program}.c" in tree.texts for folder in ("scenarios", "selftest")):
            report(LIST, line, "mutant", f"{name}: there is no scenario program {program}.c")


    for line, head, old in entries(tree.texts.get(SIMULATED, "")):
        match = re.fullmatch(r"\[([\w-]+)\] (\S+) (found|missed)", head)
        if not match:
            report(SIMULATED, line, "mutant", f"`{head}` is not [NAME] FILE EXPECTED")
        elif tree.texts.get(match.group(2), "").count(old) != 1:
            report(SIMULATED, line, "mutant", f"{match.group(1)}: the old lines are not once in {match.group(2)}")


def entries(text):
    """(line, head, old lines) of each."""
    line, head, old = 0, None, []
    for number, content in enumerate([*text.split("\n"), "["], 1):
        if content.startswith("["):
            if head is not None:
                yield line, head, "\n".join(old)
            line, head, old = number, content, []
        elif content.startswith("- ") or content == "-":
            old.append(content[2:])
