#!/usr/bin/env python3
"""docs/clients.md shows lines of the client programs here: checks that they are the same, or with
--write makes them so. A snippet is what stands between `docs: begin` and `docs: end` in its
program, once or more, and in the page it stands below a comment `<!-- tests/interop/FILE -->`."""

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "clients.md"
SNIPPET = re.compile(r"(<!-- (tests/interop/\S+) -->\n```\w+\n)(.*?)(```\n)", re.S)


def snippet(file):
    text = (ROOT / file).read_text()
    parts = re.findall(r"^[^\n]*docs: begin\n(.*?)^[^\n]*docs: end", text, re.S | re.M)
    if not parts:
        raise ValueError(f"{file} has no lines between 'docs: begin' and 'docs: end'")
    return "\n".join(textwrap.dedent(part).strip("\n") + "\n" for part in parts)


def renewed(page):
    return SNIPPET.sub(lambda found: found[1] + snippet(found[2]) + found[4], page)


def stale(page):
    """The files whose snippet in the page is another."""
    return [file for _, file, text, _ in SNIPPET.findall(page) if text != snippet(file)]


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(renewed(PAGE.read_text()))
    elif sys.argv[1:]:
        sys.exit("usage: snippets.py [--write]")
    elif files := stale(PAGE.read_text()):
        sys.exit(f"{PAGE} is behind {', '.join(files)}: run {__file__} --write")
