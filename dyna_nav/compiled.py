"""Where compiled kernels are kept: in a folder of their own for every state of the sources that they are made from.

Numba looks at the file of a kernel alone when it asks whether what it has compiled is still true. The kernels that this
one calls, and the constants that it reads, lie in other files, and are compiled into it: without this, a robot would
go on driving by an old braking rule after an upgrade.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

_NAME = "numba-"
_WITHOUT = ("evaluation", "nodes")  # packages in which nothing is compiled
_KEPT = 4  # folders of older sources that stay, the last ones used


def keep_compiled(package: Path) -> None:
    """Have numba keep what it compiles in a folder of the sources of a package as they are now.

    It lies beside the sources, or in the user's cache where these may not be written. NUMBA_CACHE_DIR, where it is set
    by somebody else, is left as it is.
    """
    given = os.environ.get("NUMBA_CACHE_DIR", "")
    if given and not Path(given).name.startswith(_NAME):
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / package.name
    for parent in (package / "__pycache__", cache):
        folder = parent / f"{_NAME}{digest(package)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.utime(folder)
        except OSError:
            continue
        os.environ["NUMBA_CACHE_DIR"] = str(folder)
        if "numba" in sys.modules:  # it has read its environment
            sys.modules["numba"].config.CACHE_DIR = str(folder)
        with suppress(OSError):  # another process was quicker
            _forget_old(parent)
        return


def digest(package: Path) -> str:
    """Twelve hexadecimal digits of the sources that kernels of a package are compiled from."""
    content = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        if file.relative_to(package).parts[0] not in _WITHOUT:
            content.update(f"{file.relative_to(package)}\0".encode() + file.read_bytes() + b"\0")
    return content.hexdigest()[:12]


def _forget_old(parent: Path) -> None:
    """Remove folders of sources that nobody has used for longest."""
    folders = sorted(parent.glob(f"{_NAME}*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[1 + _KEPT :]:
        shutil.rmtree(folder, ignore_errors=True)
