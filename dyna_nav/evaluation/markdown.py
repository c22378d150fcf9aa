"""Small pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns after the first align right when all their cells are numbers."""
    rows = [list(row) for row in rows]
    right = [k > 0 and all(_numeric(row[k]) for row in rows) for k in range(len(head))]
    lines = [head, ["--:" if is_right else "---" for is_right in right], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def anchor(title: str) -> str:
    """What a heading's link is called."""
    return re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")


def listed(values: Iterable[str]) -> str:
    """Each value once, in order."""
    return "; ".join(dict.fromkeys(values))


def _numeric(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "-+"
