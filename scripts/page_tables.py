"""Tables of pages, made of what was measured; each stands between `<!-- table KIND NAME -->` and `<!-- end KIND NAME -->`."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Tables = Mapping[str, Callable[[str], str]]
"""Kind of table -> what makes one of a name."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def fill(page: str, tables: Tables) -> str:
    """The page with every table made anew."""

    def written(found: re.Match[str]) -> str:
        kind, _, name = found["name"].partition(" ")
        if kind not in tables:
            raise SystemExit(f"table {found['name']!r}: known kinds: {', '.join(tables)}")
        return f"<!-- table {found['name']} -->\n{tables[kind](name)}\n<!-- end {found['name']} -->"

    return re.sub(r"<!-- table (?P<name>[\w /-]+?) -->.*?<!-- end (?P=name) -->", written, page, flags=re.DOTALL)


def main(pages: Sequence[Path], tables: Tables, description: str) -> int:
    """The command: writes what is stale; with --check it changes nothing, and 1 says that a page is not up to date."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a page is not up to date")
    args = parser.parse_args()
    stale = [(page, filled) for page in pages if (filled := fill(text := page.read_text(), tables)) != text]
    for page, filled in stale if not args.check else ():
        page.write_text(filled)
    if stale and args.check:
        names = ", ".join(page.name for page, _ in stale)
        print(f"{parser.prog}: {names} not up to date with what was measured; run scripts/{parser.prog}", file=sys.stderr)
        return 1
    return 0
