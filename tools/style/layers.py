# SPDX-License-Identifier: MIT
"""Which header a file may include, and which one it includes first."""

import re

# The layers whose headers a file of a layer may include.
ALLOWED = {
    "runtime": {"runtime"},
    "sync": {"sync", "runtime"},
    "blocking_pool": {"blocking_pool", "runtime"},
    "net": {"net", "sync", "blocking_pool", "runtime"},
}
UMBRELLA = r"runtime/(include/)?tn\.h"  # includes every public header, of all layers
PUBLIC_ONLY = ("examples/", "bench/", "test/examples/", "test/install/")

RULES = ("layers", "own-header")


def check(tree, report):
    for source in tree.sources.values():
        if source.name.endswith(".S"):
            continue
        check_includes(tree, source, report)
        check_own_header(tree, source, report)


def check_includes(tree, source, report):
    for number, name, quoted in source.includes():
        header = tree.header(name, source.layer) if quoted or re.match(r"tn(/|_|\.h$)", name) else None
        if header is None:
            continue
        if source.in_layer:
            if header.layer not in ALLOWED[source.layer] and not re.fullmatch(UMBRELLA, source.path):
                report(source.path, number, "layers", f"{source.layer} may not include {header.layer}'s {header.name}")
        elif source.path.startswith(PUBLIC_ONLY) and not header.is_public_header:
            report(source.path, number, "layers", f"{header.name} is private: only public headers may be included here")


def check_own_header(tree, source, report):
    """The header of a source comes first, so that it is compiled with nothing before it."""
    if source.is_header or not source.in_layer:
        return
    stem = source.name[:-2]
    own = [h for h in tree.headers.values() if h.layer == source.layer and h.name in (f"{stem}.h", f"tn_{stem}.h")]
    for number, name, _ in source.includes():
        if own and tree.header(name, source.layer) not in own:
            report(source.path, number, "own-header", f"{own[0].name} must be the first include: it must stand alone")
        break
