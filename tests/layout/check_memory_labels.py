#!/usr/bin/env python3
"""Checks that the labels of acquire and release operations find their partners.

usage: check_memory_labels.py [SOURCE_DIRECTORY]

A label is R or A and a number, and stands in a comment right above its operation:

    // R1 pairs with A1 in RegionView::find_span(): this store is the grant.
    view_.descriptor(first).store_release(head);

Several may stand at one place, and be paired with several: `A4, R5 pair with R4, A5 in ...`. A
place with both kinds may leave their names out: `A4, R4 pair with collect(): ...`.
What is checked, for shared/, client/ and daemon/:

  1. a label names a partner of the other kind, and the partner stands in the code too;
  2. the next operation below an R releases, below an A acquires;
  3. each pair has a row in docs/memory-ordering.md, and that page has no other label.

A violation is printed as file:line: message; the exit status is 1 if there is one.
"""
import os
import re
import sys

TOPS = ("shared", "client", "daemon")
SUFFIXES = (".hpp", ".cpp", ".h")
PAGE = "docs/memory-ordering.md"

LABEL = r"[RA][0-9]+"
LABELS = rf"{LABEL}(?:(?:,|/| and) ?{LABEL})*"
HEAD = re.compile(rf"^({LABELS}) pairs? with (.*)$")
LOOKS_LIKE_HEAD = re.compile(rf"^{LABEL}\b")
COMMENT = re.compile(r"^\s*///?\s?(.*)$")
OPERATION = re.compile(r"\b(store|load|exchange|compare_exchange)_(release|acquire|acq_rel|relaxed)\b")
LINES_BELOW = 8


def labels_in(text):
    return re.findall(rf"\b{LABEL}\b", text)


class Site:
    """One labelled place: its labels, their partners, and the operation below."""

    def __init__(self, path, line, labels, partners, order):
        self.where = f"{path}:{line}"
        self.labels = labels
        self.partners = partners
        self.order = order


def comment_blocks(lines):
    """(number of the first line, its text joined, index of the line after) for each comment."""
    index = 0
    while index < len(lines):
        start, parts = index, []
        while index < len(lines) and (match := COMMENT.match(lines[index])):
            parts.append(match.group(1))
            index += 1
        if parts:
            yield start + 1, parts, index
        else:
            index += 1


def order_below(lines, index):
    """The order of the first operation that is not relaxed in the lines below a comment."""
    for line in lines[index:index + LINES_BELOW]:
        orders = [order for _, order in OPERATION.findall(line) if order != "relaxed"]
        if orders:
            return orders[0]
    return None


def sites_of(path, text):
    """The labelled places of a file, or a message where a comment begins with a broken label."""
    lines = text.splitlines()
    for number, parts, after in comment_blocks(lines):
        for offset, part in enumerate(parts):
            if not LOOKS_LIKE_HEAD.match(part):
                continue
            # The sentence that names the partners may go on in the next lines of the comment.
            sentence = " ".join(parts[offset:])
            head = HEAD.match(sentence)
            if not head:
                yield f"{path}:{number + offset}: a label without 'pairs with'"
                continue
            labels = labels_in(head.group(1))
            partners = labels_in(re.split(r"[:.](?:\s|$)", head.group(2), maxsplit=1)[0])
            if not partners and {label[0] for label in labels} == {"A", "R"}:
                partners = labels
            yield Site(path, number + offset, labels, partners, order_below(lines, after))


def pairs_of(site):
    """Each label of the site with each partner of the other kind."""
    return {(label, partner) for label in site.labels for partner in site.partners
            if label[0] != partner[0]}


def check_site(site, known):
    if not site.partners:
        yield f"{site.where}: {', '.join(site.labels)} names no partner"
    for label in site.labels:
        if site.partners and not any(label in pair for pair in pairs_of(site)):
            yield f"{site.where}: {label} names no partner of the other kind"
        wanted = "release" if label[0] == "R" else "acquire"
        if site.order not in (wanted, "acq_rel"):
            yield f"{site.where}: {label} stands above no operation that has {wanted} order"
    for partner in site.partners:
        if partner not in known:
            yield f"{site.where}: its partner {partner} is nowhere in the code"


def rows_of(page):
    """Sets of labels, one for each row of a table in the page."""
    return [set(labels_in(line)) for line in page.splitlines() if line.startswith("|")]


def check(root):
    sites = []
    for path in source_files(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for found in sites_of(path, file.read()):
                if isinstance(found, str):
                    yield found
                else:
                    sites.append(found)
    known = {label for site in sites for label in site.labels}
    with open(os.path.join(root, PAGE), encoding="utf-8") as file:
        rows = rows_of(file.read())
    for site in sites:
        yield from check_site(site, known)
        for label, partner in sorted(pairs_of(site)):
            if partner in known and not any({label, partner} <= row for row in rows):
                yield f"{site.where}: {label} with {partner} has no row in {PAGE}"
    for label in sorted(set().union(*rows) - known):
        yield f"{PAGE}:1: {label} is nowhere in the code"


def source_files(root):
    for top in TOPS:
        for directory, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith(SUFFIXES):
                    yield os.path.relpath(os.path.join(directory, name), root)


def main():
    violations = list(check(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(violations) if violations else "memory labels: ok")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
