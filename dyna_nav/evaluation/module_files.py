"""The files that a module of somebody else's consists of, found by reading them: nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

OURS = "dyna_nav"  # whose source is told apart by its own key


def module_files(module: str, root: Path) -> list[Path]:
    """The files of a module below the folder that it is imported from, and of all that it imports from there, sorted.

    A file that cannot be parsed imports nothing. Raises OSError for one that cannot be read.
    """
    files: dict[str, Path | None] = {}  # by the name of the module; None: not from there
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in files or name.partition(".")[0] == OURS:
            continue
        stem = root.joinpath(*name.split("."))
        found = next(
            (file for file in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")) if file.is_file()), None
        )
        files[name] = found
        if found:
            package = name if found.name == "__init__.py" else name.rpartition(".")[0]
            waiting += _imports(found, package)
        if "." in name:
            waiting.append(name.rpartition(".")[0])  # its packages run first
    return sorted(file for file in files.values() if file)


def _imports(file: Path, package: str) -> Iterator[str]:
    """Names that a file of a package imports; of ``from a import b`` both a and a.b, one of which may be no module."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (name for alias in node.names for name in (base, f"{base}.{alias.name}") if base)
