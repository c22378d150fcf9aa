"""The names of robots: each becomes the namespace of its topics, so ROS's rules for names hold."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*")


def check_robot_names(names: Sequence[str]) -> None:
    """Raises ValueError, one sentence, unless each robot is named once and by what can be a ROS namespace."""
    if not names or len(set(names)) < len(names):
        raise ValueError(f"parameter robots is {list(names)}; it must name each robot once")
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"parameter robots holds {name!r}, which cannot be a ROS namespace; "
                "take letters, digits and underscores, a letter first"
            )
