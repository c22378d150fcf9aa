"""The names of robots: each becomes the namespace of its topics, so ROS's rules for names hold.

A robot that is alone may have none, as robots that are driven with Nav2 usually do: its topics are then ``odom``,
``scan``, ... in the namespace of the nodes.
"""

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


def robots_served(names: Sequence[str]) -> tuple[str, ...]:
    """The robots that a node serves whose parameter names these; none: the one of the node's own namespace, "".

    Raises ValueError as :func:`check_robot_names` does.
    """
    if names:
        check_robot_names(names)
    return tuple(names) or ("",)


def in_namespace(robot: str, name: str) -> str:
    """A topic, service or frame of a robot."""
    return f"{robot}/{name}" if robot else name


def called(robot: str) -> str:
    """What people are told a robot is called."""
    return robot or "the robot"
