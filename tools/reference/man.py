# SPDX-License-Identifier: MIT
"""Man pages from Doxygen's XML: one for each function, type and function-like macro, one for each header, and tournant(7).

Doxygen's own man pages are one for each header, with names such as `mutex.h.3` and `base.h.3` that belong to no project.
"""

import os
import re
import xml.etree.ElementTree as ElementTree

WIDTH = 78  # of the code in a synopsis


def write(xml, folder, version):
    """All pages, in man3 and man7 below the folder."""
    compounds = read(xml)
    headers = [compound for compound in compounds if compound.get("kind") == "file" and include_of(compound).endswith(".h")]
    types = [compound for compound in compounds if compound.get("kind") in ("struct", "union")]
    pages, links = {}, {}
    for header in headers:
        for members in runs(header):
            first, *others = [text_of(member, "name") for member in members]
            pages[f"{first}.3"] = member_page(members, include_of(header))
            links.update((f"{name}.3", f"{first}.3") for name in others)
    for compound in types:
        name = text_of(compound, "compoundname")
        if "." not in name and "@" not in name:
            pages[f"{name}.3"] = type_page(compound)
    for header in headers:
        pages[page_of_header(include_of(header))] = header_page(header)
    pages["tournant.7"] = overview(headers)
    store(folder, pages, links, version)


def store(folder, pages, links, version):
    known = set(pages) | set(links)
    for name, (title, body, refs) in pages.items():
        own = {name} | {link for link, target in links.items() if target == name}
        also = sorted((ref for ref in refs | {"tournant.7"} if ref in known and ref not in own), key=lambda ref: (ref[-1], ref))
        also = [f".BR {escaped(ref[:-2])} ({ref[-1]}){',' if ref != also[-1] else ''}" for ref in also]
        head = f'.TH "{title}" {name[-1]} "" "tournant {version}" "tournant"'
        put(folder, name, "\n".join([head, *body] + ([".SH SEE ALSO", *also] if also else [])) + "\n")
    for name, target in links.items():
        put(folder, name, f".so man{target[-1]}/{target}\n")


def put(folder, name, text):
    path = os.path.join(folder, "man" + name[-1], name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(folder):
    paths = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".xml") and name != "index.xml")
    return [compound for path in paths for compound in ElementTree.parse(path).getroot().iter("compounddef")]


def text_of(element, tag):
    found = element.find(tag)
    return "".join(found.itertext()).strip() if found is not None else ""


def include_of(header):
    """`tn/mutex.h`"""
    return header.find("location").get("file")


def page_of_header(name):
    return name.replace("/", "_") + ".3"


# --- Which pages ------------------------------------------------------------------------------------------------------


def is_apart(member):
    """Has it a page of its own?"""
    kind = member.get("kind")
    return kind in ("function", "typedef") or (kind == "define" and member.find("param") is not None)


def runs(header):
    """The members with a page; those that share a comment and are next to each other share the page."""
    members = sorted((member for member in header.iter("memberdef") if is_apart(member)), key=line_of)
    run = []
    for member in members:
        if run and said(member) and said(member) == said(run[-1]) and member.get("kind") == run[-1].get("kind"):
            run.append(member)
            continue
        if run:
            yield run
        run = [member]
    if run:
        yield run


def line_of(member):
    return int(member.find("location").get("line"))


def said(member):
    return text_of(member, "briefdescription") + "|" + text_of(member, "detaileddescription")


# --- Text -------------------------------------------------------------------------------------------------------------


def escaped(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)


def inline(element):
    """The text of an element in one line; code and names are bold."""
    out = escaped(element.text or "")
    for child in element:
        inner = inline(child)
        if child.tag in ("ref", "computeroutput", "bold") and inner:
            inner = "\\fB" + inner.replace("\\fB", "").replace("\\fR", "") + "\\fR"
        elif child.tag in ("simplesect", "itemizedlist", "verbatim", "table", "programlisting"):
            inner = ""
        out += inner + escaped(child.tail or "")
    return " ".join(out.split())


def blocks(element):
    """roff lines of a description, and its slots as (title, lines)."""
    lines, slots = [], []
    for para in element.findall("para") if element is not None else ():
        text = inline(para)
        if text:
            lines += [".PP", guarded(text)]
        for child in para:
            if child.tag == "simplesect":
                slots.append((text_of(child, "title"), blocks(child)[0]))
            elif child.tag == "itemizedlist":
                for item in child.findall("listitem"):
                    inner = blocks(item)[0]
                    lines += [".IP \\- 2", *(line for line in inner if line != ".PP")]
            elif child.tag == "verbatim":
                lines += [".PP", ".nf", *map(escaped, "".join(child.itertext()).strip("\n").split("\n")), ".fi"]
    return lines, slots


def guarded(line):
    return "\\&" + line if line[:1] in (".", "'") else line


def description(member):
    """The sections DESCRIPTION and CONTRACT."""
    brief = brief_of(member)
    lines, slots = blocks(member.find("detaileddescription"))
    loose = [line for title, inner in slots if not title for line in inner]  # paragraphs behind the slots
    if brief:
        lines = [".PP", guarded(brief)] + (lines[1:] if lines[:1] == [".PP"] else lines)
    out = [".SH DESCRIPTION", *lines[1:], *loose] if lines else []
    slots = [(title, inner) for title, inner in slots if title]
    if slots:
        out.append(".SH CONTRACT")
    for title, inner in slots:
        out += [".TP", f".B {title}", *(line for line in inner if line != ".PP")]
    return out


def refs_in(elements):
    """The pages that the texts name: functions, types, headers."""
    found = set()
    for element in elements:
        for ref in element.iter("ref"):
            name = "".join(ref.itertext())
            found.add(page_of_header(name) if "/" in name else re.sub(r"\(\)$|\..*", "", name) + ".3")
    return found


def brief_of(member):
    para = member.find("briefdescription/para")
    return inline(para) if para is not None else ""


def names_line(names, brief):
    about = brief.replace("\\fB", "").replace("\\fR", "").rstrip(".:;") or "part of tournant"
    if re.match(r"[A-Z][a-z ]", about):
        about = about[0].lower() + about[1:]
    return [".SH NAME", f"{', '.join(names)} \\- {about}"]


# --- Pages: (title, roff lines, pages that they name) -----------------------------------------------------------------


def signature(member):
    """What to write in a program, wrapped."""
    name = text_of(member, "name")
    if member.get("kind") == "define":
        return [f"{name}({', '.join(text_of(param, 'defname') for param in member.findall('param'))})"]
    if member.get("kind") == "typedef":
        return [re.sub(r"\(\* (\w+)\) \(", r"(*\1)(", text_of(member, "definition")) + ";"]
    left = re.sub(r"\* $", "*", re.sub(r"^static inline ", "", text_of(member, "type")) + " ") + name + "("
    lines, params = [left], re.split(r",\s*(?![^()]*\))", text_of(member, "argsstring").strip("()"))
    for position, param in enumerate(params):
        piece = param.replace(" *", " *") + (", " if position + 1 < len(params) else ");")
        if len(lines[-1] + piece) > WIDTH and lines[-1] != left:
            lines.append(" " * 4)
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def member_page(members, include):
    first = members[0]
    names = [escaped(text_of(member, "name")) for member in members]
    body = names_line(names, brief_of(first))
    body += [".SH SYNOPSIS", ".nf", f"#include <{include}>", ""]
    for member in members:
        body += [f"\\fB{escaped(line)}\\fR" for line in signature(member)]
    body += [".fi", *description(first)]
    return text_of(first, "name"), body, refs_in(members) | {page_of_header(include)}


def type_page(compound):
    name, include = text_of(compound, "compoundname"), include_of(compound)
    body = names_line([escaped(name)], brief_of(compound))
    members = [member for member in compound.iter("memberdef") if "@" not in text_of(member, "type")]
    declared = [f"    {text_of(m, 'type')} {text_of(m, 'name')}{text_of(m, 'argsstring')};".replace("* ", "*") for m in members]
    if not declared:
        declared = ["    /* opaque */"]
    declared = [f"typedef struct {name} {{", *declared, f"}} {name};"]
    body += [".SH SYNOPSIS", ".nf", f"#include <{include}>", "", *(f"\\fB{escaped(line)}\\fR" for line in declared), ".fi"]
    body += description(compound)
    about = [(text_of(member, "name"), blocks(member.find("detaileddescription"))[0][1:]) for member in members]
    if any(lines for _, lines in about):
        body.append(".SH MEMBERS")
    for member, lines in about:
        if lines:
            body += [".TP", f".B {escaped(member)}", *lines]
    return name, body, refs_in([compound]) | {page_of_header(include)}


def header_page(header):
    """What is in the header; constants and plain macros are described here."""
    include = include_of(header)
    body = names_line([escaped(page_of_header(include)[:-2])], brief_of(header))
    body += [".SH SYNOPSIS", f"#include <{include}>", *description(header)]
    listed = []
    for run in runs(header):
        names = (escaped(text_of(member, "name")) for member in run)
        listed += [".TP", "\\fB" + "\\fR, \\fB".join(names) + "\\fR", brief_of(run[0]) or "\\&"]
    body += [".SH CONTENTS", *listed] if listed else []
    constants = list(constants_of(header))
    body += [".SH CONSTANTS", *(line for lines in constants for line in lines)] if constants else []
    return page_of_header(include)[:-2], body, set()


def constants_of(header):
    for member in sorted(header.iter("memberdef"), key=line_of):
        if member.get("kind") == "enum":
            for value in member.findall("enumvalue"):
                lines = blocks(value.find("briefdescription"))[0] + blocks(value.find("detaileddescription"))[0]
                yield [".TP", f".B {escaped(text_of(value, 'name'))}", *([line for line in lines if line != ".PP"] or ["\\&"])]
        elif member.get("kind") == "define" and not is_apart(member):
            yield [".TP", f".B {escaped(text_of(member, 'name'))}", brief_of(member) or "\\&"]


def overview(headers):
    body = names_line(["tournant"], "work\\-stealing task runtime for C")
    body += [".SH SYNOPSIS", "#include <tn.h>", ".PP", "cc ... \\-ltournant", ".SH DESCRIPTION"]
    body += ["A multi\\-threaded, work\\-stealing task scheduler. Each header has a page that lists its contents.", ".SH HEADERS"]
    refs = set()
    for header in headers:
        if brief_of(header):
            body += [".TP", f".B {escaped(include_of(header))}", brief_of(header)]
            refs.add(page_of_header(include_of(header)))
    return "tournant", body, refs
