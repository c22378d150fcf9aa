"""Where the package's own files (models, config, launch) lie: in a checkout, a colcon install or a pip install."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

PACKAGE = "dyna_nav"


def share_roots() -> list[Path]:
    """Folders that may hold the package's files, best first: checkout, where this package was installed, sourced
    workspaces, this interpreter's.
    """
    checkout = Path(__file__).resolve().parent.parent
    roots = [checkout] if (checkout / "package.xml").is_file() else []
    # PREFIX/lib/python3.X/site-packages/dyna_nav: the only way to find what pip installed for one user.
    prefixes = [str(prefix) for prefix in checkout.parents[2:3]]
    prefixes += [prefix for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    prefixes += [sysconfig.get_path("data"), sys.prefix]
    return roots + [Path(prefix) / "share" / PACKAGE for prefix in prefixes]


def share_path(relative: str) -> Path:
    """Path of one of the package's files or folders, e.g. ``models/default``.

    Raises FileNotFoundError with one sentence that names the file and the places searched.
    """
    roots = share_roots()
    for root in roots:
        if (root / relative).exists():
            return root / relative
    searched = ", ".join(str(root) for root in roots)
    raise FileNotFoundError(f"{relative} is not among the files of {PACKAGE}; searched {searched}")
