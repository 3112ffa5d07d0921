# SPDX-License-Identifier: MIT
"""The mutants of the model checker and of the simulator quote the source as it is."""
import re

from kit import mutants

LIST = "test/model/mutants.txt"
SIMULATED = "test/sim/mutants.txt"

RULES = ("mutant",)


def check(tree, report):
    for path in (LIST, SIMULATED):
        try:
            found = mutants.parse(tree.texts.get(path, ""))
        except ValueError as error:
            report(path, 1, "mutant", str(error))
            continue
        for mutant in found:
            for wrong in wrongs(tree, path, mutant):
                report(path, mutant.line, "mutant", f"{mutant.name}: {wrong}")


def wrongs(tree, path, mutant):
    if mutant.file not in tree.texts:
        yield f"there is no {mutant.file}"
    elif mutant.count_in(tree.texts[mutant.file]) != 1:
        yield f"the old lines are {mutant.count_in(tree.texts[mutant.file])} times in {mutant.file}"
    if path == SIMULATED:
        if mutant.words not in (["found"], ["missed"]):
            yield "its head is not [NAME] FILE EXPECTED"
    elif len(mutant.words) != 2 or not re.fullmatch(r"\w+\.\w+", mutant.words[0]):
        yield "its head is not [NAME] FILE SCENARIO KIND"
    else:
        program = mutant.words[0].split(".")[0]
        if not any(f"test/model/{folder}/{program}.c" in tree.texts for folder in ("scenarios", "selftest")):
            yield f"there is no scenario program {program}.c"
