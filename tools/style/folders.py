# SPDX-License-Identifier: MIT
"""The order of the folders inside the layers: an include never goes up, and no two files of a layer have one name."""

import os
import re

# Low to high: a file includes headers of its own folder and of lower ones. "": the layer's own folder.
FOLDERS = {
    "runtime": ("include", "base", "os", "fiber", "task", "time", "io", "scope", "sched", "future", "watch", "life"),
    "sync": ("include", ""),
    "blocking_pool": ("include", "pool", "fs", "names"),
    "net": ("include", "address", "endpoint", "stream", "listener", "connect", "io", "copy", "reader", "serve", "fd", "process"),
}
UMBRELLA = r"runtime/(include/)?tn\.h"  # includes every public header, of all layers

RULES = ("folders", "unique")


def check(tree, report):
    for source in tree.sources.values():
        if source.in_layer:
            check_place(tree, source, report)
            check_includes(tree, source, report)
    for cycle in cycles(graph(tree)):
        report(cycle[0], 1, "folders", f"a cycle of includes: {' -> '.join(cycle)}")
    check_names(tree, report)


def folder(source):
    """In its layer; the public headers are one folder."""
    inside = os.path.dirname(source.path.partition("/")[2])
    return "include" if inside == "include/tn" or source.is_public_header else inside


def rank(source):
    """None: its layer has no such folder, or no folders at all."""
    folders = FOLDERS[source.layer]
    return folders.index(folder(source)) if folder(source) in folders else None


def check_place(tree, source, report):
    has_folders = any(other.path.count("/") > 1 for other in tree.sources.values() if other.layer == source.layer)
    if rank(source) is None and (has_folders or folder(source)):
        report(source.path, 1, "folders", f"`{folder(source)}` is no folder of {source.layer}: see FOLDERS in style/folders.py")


def included(tree, source):
    """(line, header) of each header of the layers that a file of a layer includes."""
    if re.fullmatch(UMBRELLA, source.path):
        return
    for number, name, quoted in source.includes():
        header = tree.header(name, source.layer) if quoted or re.match(r"tn(/|_|\.h$)", name) else None
        if header is not None:
            yield number, header


def check_includes(tree, source, report):
    for number, header in included(tree, source):
        ranks = rank(source), rank(header)
        if header.layer == source.layer and None not in ranks and ranks[0] < ranks[1]:
            report(source.path, number, "folders", f"{folder(header)}/{header.name} is above {folder(source)}/")


def graph(tree):
    """{LAYER/FOLDER: the others that its files include}."""
    edges = {}
    for source in tree.sources.values():
        if source.in_layer:
            here = f"{source.layer}/{folder(source)}".rstrip("/")
            edges.setdefault(here, set())
            for _, header in included(tree, source):
                edges[here].add(f"{header.layer}/{folder(header)}".rstrip("/"))
            edges[here].discard(here)
    return edges


def cycles(edges):
    """One cycle, as a list of folders that begins and ends with the same one, for each way into one."""
    done, found = set(), []

    def visit(node, path):
        if node in path:
            found.append([*path[path.index(node) :], node])
        elif node not in done:
            for other in sorted(edges.get(node, ())):
                visit(other, [*path, node])
            done.add(node)

    for node in sorted(edges):
        visit(node, [])
    return found


def check_names(tree, report):
    """Two objects of one name cannot be told apart in an archive, nor two headers in an include line."""
    seen = {}
    for source in tree.sources.values():
        if source.in_layer and not source.is_public_header:
            other = seen.setdefault(source.name, source)
            if other is not source:
                report(source.path, 1, "unique", f"there is {other.path}, too")


def print_graph(tree):
    """A line for each folder, low to high, with those that it includes. The number of cycles."""
    edges = graph(tree)
    order = [f"{layer}/{name}".rstrip("/") for layer, names in FOLDERS.items() for name in names]
    for node in [node for node in order if node in edges] + sorted(set(edges) - set(order)):
        print(node, "->", " ".join(sorted(edges[node], key=lambda n: order.index(n) if n in order else -1)) or "nothing")
    found = cycles(edges)
    for cycle in found:
        print("a cycle:", " -> ".join(cycle))
    if not found:
        print("no cycle")
    return len(found)
