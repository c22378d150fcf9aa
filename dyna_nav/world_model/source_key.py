"""Which source made a recording or a network: what other source made is made anew, not taken for its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import dyna_nav

COLLECTED_BY = (  # source that the recorded episodes depend on, beside the numbers in their names
    "simulation", "site", "viewpoint.py", "mdp.py", "controller.py", "ood/features.py", "ood/evaluation.py",
    "world_model/collection.py", "world_model/encoding.py", "world_model/training_sites.py",
)  # fmt: skip
TRAINED_BY = ("world_model/training.py", "world_model/ensemble.py")


def source_key(parts: tuple[str, ...], package: Path = Path(dyna_nav.__file__).parent) -> str:
    """Eight hexadecimal digits that change with the source of these files and folders of the package."""
    digest = hashlib.sha256()
    for part in parts:
        path = package / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(package).as_posix().encode() + b"\n" + file.read_bytes())
    return digest.hexdigest()[:8]
