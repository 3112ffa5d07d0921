# SPDX-License-Identifier: MIT
"""Words that this project's texts do not use, and what they use instead.

The list is a floor, not a goal: a text that passes may still be hard to read. Spelling is codespell's.
"""

import re

from style import prose

# Where the list holds: folders and files, with what is below them. It grows to everything.
CLEAN = (
    ".ci",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CMakePresets.json",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "blocking_pool",
    "cmake",
    "examples",
    "net",
    "runtime",
    "sync",
    "test/README.md",
    "test/docs",
    "test/examples",
    "test/model/README.md",
    "test/plain",
    "test/port",
    "test/stress",
    "test/support",
    "tools",
)

# (expression, what to write instead). Names of code are not looked at: they are renamed, not listed here.
WORDS = [
    # Who acts: threads, tasks and workers are things.
    (r"who(ever)?", "`the caller`, `the waiter`, `a thread that …`"),
    (r"whom|whose turn", "`which`, `that`"),
    (r"(some|no|any|every)body|someone", "`a thread`, `another task`, `no thread`, `each waiter`"),
    (r"he|she|his|him|hers", "`it`, `its`"),
    # What functions and words do.
    (r"answer(s|ed|ing)?", "`return`, `report`, `respond`"),
    (r"tells?|told", "`report`, `return`, `show`"),
    (r"serv(e|es|ed|ing) (it|them|itself|the (queue|inbox|word|mark|requests?))", "`process`, `drain`, `handle`"),
    (r"look(s|ed|ing)? (around|about|after|out of turn)", "`check`, `poll`, `monitor`"),
    (r"(a|the|its|each|every|this|last|next|first|second|other|another|one) look(?! up)", "`check`, `poll`, `load`"),
    (r"thr(ow|ows|own|owing|ew) away", "`discard`"),
    (r"(let|lets|letting) go( of)?", "`release`, `unregister`, `cancel the wait`"),
    (r"(hand|hands|handed|handing) out", "`allocate`, `return`"),
    (r"(go|goes|went|gone|going) off", "`fire`, `expire`"),
    (r"goes? the way of|has to do with|comes? of it", "a plain verb"),
    (r"settl(e|es|ed|ing|er|ers)", "`complete`, `finish`"),
    (r"mend(s|ed|ing)?", "`repair`, `restore`"),
    (r"foresees?|foreseen|outlasts?|reckons?( with)?", "`predict`, `wait until`, `expect`"),
    (r"appoint(s|ed|ing)?", "`wake or start`"),
    (r"(is|are|was|were) to be", "`must be`, `is` and the participle"),
    # Metaphors.
    (r"errands?", "`deferred action`"),
    (r"deput(y|ies)", "`standby thread`"),
    (r"guests?", "`handle held outside the runtime`"),
    (r"hurr(y|ies|ied)", "`backoff`"),
    (r"calm(s|ed|er|ly)?", "`reset`, `decongest`"),
    (r"crowd(s|ed)?", "`contended`"),
    (r"births?|born", "`creation`, `is created`"),
    (r"(no|any)body's business|orphan(s|ed)?", "`is not runnable`, `is never run`"),
    (r"in vain", "`spuriously`, `without effect`, `fails`"),
    (r"for nothing", "`without effect`"),
    (r"doors?", "`OS layer`, `interface`"),
    # Terms of the field.
    (r"next slots?", "`LIFO slot`"),
    (r"foreign", "`external`"),
    (r"spares?", "`idle worker thread`, `replacement thread`, `hand-over`"),
    (r"spill(s|ed|ing)?", "`overflow`"),
    (r"lent|lend(s|ing|er)?", "`run on the pool`, `stack-allocated job`"),
    (r"brief(ly)?", "`short-running`, `inline-eligible`"),
    (r"eagerly|lazily", "`at once`, `when the core is needed`"),
    (r"room for|(wait|waits|waiting|waited) for room|there is room|has room", "`capacity`, `a free slot`"),
    (r"(one|two|once|twice|a \w+|\d+) an? (core|worker|thread|task|runtime|connection|request|job|round)", "`per …`"),
    (r"on the average", "`on average`"),
    (r"the system(?! calls?| errors?)", "`the kernel`"),
    # Sentences taken from another language.
    (r"stands? (in|on|at|here|there|above|below|beside|behind|under)", "`is in`, `is listed in`"),
    (r"(lies|lay|lying) (in|at|on|beside|below|above|behind|low)", "`is in`, `is stored in`"),
    (r"as ever|on end|all the same|of late|at the latest|so far as", "`as before`, `in a row`, `recently`, `at most`"),
    (r"what for", "`purpose`"),
    # American spelling.
    (r"flavour(s|ed)?|colour(s|ed)?|neighbour(s|ing)?|behaviours?|favour(s|ed|ite)?|greys?|centred?", "American spelling"),
    (r"(optimi|initiali|seriali|normali|synchroni|recogni|organi|minimi|maximi|summari|reali|utili)s(e[sdr]?|ing|ation)",
     "American spelling"),
]

# (expression for files, text in which a word is allowed, reason)
ALLOWED = [
    (r"(bench|examples)/.*|README\.md", r"requests? (\w+ ){0,2}answered|answer(s|ed|ing)? \w* ?requests?", "servers do"),
    (r".*", r"(tell|tells|telling|told)( \w+)? apart", "to distinguish"),
    (r"tools/reference/comments\.py", r"brief", "a command of Doxygen"),
    (r"tools/style/words\.py", r".*", "the list itself"),
    (r"tools/style/cases_prose\.py", r".*", "planted offences"),
]

EXPRESSIONS = [(re.compile(expression.replace(" ", r"\s+"), re.I), instead) for expression, instead in WORDS]
ANY = re.compile(r"\b(?:" + "|".join(expression.replace(" ", r"\s+") for expression, _ in WORDS) + r")\b", re.I)

RULES = ("word",)


def check(tree, report):
    for path in sorted(tree.texts):
        if tree.strict or is_in(path, CLEAN):
            check_file(tree, path, report)


def is_in(path, places):
    return any(path == place or path.startswith(place.rstrip("/") + "/") for place in places)


def check_file(tree, path, report):
    for first, text in prose.pieces(tree, path):
        text = prose.without_names(text)
        allowed = allowances(path, text)
        for match in ANY.finditer(text):
            if any(start <= match.start() and match.end() <= end for start, end in allowed):
                continue
            instead = next(instead for expression, instead in EXPRESSIONS if expression.fullmatch(match.group(0)))
            line = first + text.count("\n", 0, match.start())
            report(path, line, "word", f"`{' '.join(match.group(0).split())}`: {instead}")


def allowances(path, text):
    """(start, end) of what the table allows in a text of the file."""
    found = []
    for files, expression, _ in ALLOWED:
        if re.fullmatch(files, path):
            found += [match.span() for match in re.finditer(rf"\b(?:{expression})\b", text, re.I | re.S)]
    return found
