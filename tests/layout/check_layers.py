#!/usr/bin/env python3
"""Checks that includes go one way and that a few words stay where they belong.

usage: check_layers.py [SOURCE_DIRECTORY]

Each file has a layer: the first entry of LAYERS whose pattern matches its path. The layer lists
the directories its #includes may come from. A violation is printed as file:line: message; the
exit status is 1 if there is one.
"""
import fnmatch
import os
import re
import sys

PUBLIC = ["shared/include/", "client/include/"]
PLATFORM = ["shared/include/", "shared/platform/"]
REGION = PLATFORM + ["shared/region/"]
SHARED = REGION + ["shared/protocol/"]
CORE = SHARED + ["daemon/core/"]
CLIENT = SHARED + ["client/"]

# (pattern of the file, directories it may include from). `*` matches across `/`; the first wins.
LAYERS = [
    ("shared/include/*", ["shared/include/"]),
    ("shared/platform/*", PLATFORM),
    ("shared/region/*", REGION),
    ("shared/protocol/*", SHARED),
    ("shared/*", ["shared/include/"]),
    ("client/include/*", PUBLIC),
    ("client/embedded*", CLIENT + ["daemon/core/"]),
    ("client/local*", CLIENT + ["daemon/core/"]),
    ("client/new/*", PUBLIC),
    ("client/*", CLIENT),
    ("daemon/core/*", CORE),
    ("daemon/*", SHARED + ["daemon/"]),
    ("tools/allotctl/offline/*", CORE + ["tools/allotctl/offline/"]),
    ("tools/*", SHARED + ["client/include/", "tools/"]),
    ("examples/*", PUBLIC + ["examples/"]),
    ("bench/*", PUBLIC + ["bench/"]),
    ("tests/*", [""]),
]

# (pattern of the word, what it is, where it may stand, where it is looked for)
EVERYWHERE = ["shared/*", "client/*", "daemon/*", "tools/*", "examples/*", "bench/*", "tests/*"]
WORDS = [
    (r"\bmemory_order(_|::)seq_cst\b", "a sequentially consistent order", [], EVERYWHERE),
    (r"\batomic_thread_fence\b", "a free-standing fence", [], EVERYWHERE),
    # Of the compiler alone: for who may be killed between two stores, not for other threads.
    (r"\batomic_signal_fence\b", "a compiler's fence outside the vault", ["daemon/core/vault.hpp"],
     EVERYWHERE),
    (r"\bstd::atomic(_ref|_flag)?\b", "a bare atomic (use Atomic<T>)",
     ["shared/include/*"], ["shared/*", "client/*", "daemon/*"]),
    (r"\b(sleep_for|sleep_until|usleep|nanosleep)\s*\(", "a sleep (wait for the event)", [],
     ["shared/*", "client/*", "daemon/*", "tests/*"]),
    (r"\bboost/asio\b|\bboost::asio\b", "Asio outside the daemon's adapters", ["daemon/*", "tests/*"],
     EVERYWHERE),
    (r"\bboost/asio\b|\bboost::asio\b", "Asio in the daemon's core", [], ["daemon/core/*"]),
]

SUFFIXES = (".hpp", ".cpp", ".h")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
OWN_ROOTS = ("shared/", "client/", "daemon/", "tools/", "examples/", "bench/", "tests/")


def matches(path, patterns):
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def without_comments(text):
    """The text with comments and string literals blanked; line numbers stay."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)

    def blank(match):
        # An #include's path is not a literal to hide.
        start = text.rfind("\n", 0, match.start()) + 1
        if match.group().startswith('"') and re.match(r"\s*#\s*include", text[start:match.start()]):
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())

    return token.sub(blank, text)


def resolve(root, path, bracket, name):
    """The included file as a path from the root, or None if it is not one of ours."""
    if name.startswith(OWN_ROOTS):
        return name
    if name.startswith("allot/"):
        for base in PUBLIC:
            if os.path.exists(os.path.join(root, base, name)):
                return base + name
        return "shared/include/" + name
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    if bracket == '"' and os.path.exists(os.path.join(root, beside)):
        return beside
    return None


def check_file(root, path):
    allowed = next(dirs for pattern, dirs in LAYERS if fnmatch.fnmatchcase(path, pattern))
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = without_comments(file.read())
    for number, line in enumerate(text.splitlines(), start=1):
        include = INCLUDE.match(line)
        if include:
            target = resolve(root, path, *include.groups())
            if target and not any(target.startswith(directory) for directory in allowed):
                yield f"{path}:{number}: may not include {target}"
        for word, what, home, scope in WORDS:
            if re.search(word, line) and matches(path, scope) and not matches(path, home):
                yield f"{path}:{number}: {what}"


def source_files(root):
    for top in OWN_ROOTS:
        for directory, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith(SUFFIXES):
                    yield os.path.relpath(os.path.join(directory, name), root)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    violations = [message for path in source_files(root) for message in check_file(root, path)]
    print("\n".join(violations) if violations else "layers: ok")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
