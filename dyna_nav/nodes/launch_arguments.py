"""What the launch files make of their arguments: a bad one is a sentence, and nothing has been started by then.

Launch itself would find some of these out when half of the nodes run, and leave them behind; others would have a node
refuse its command line and be started again for ever.
"""

from __future__ import annotations

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")


def truth(name: str, text: str) -> bool:
    """A launch argument that is true or false, as launch's own conditions read it. Raises ValueError, one sentence."""
    if (word := text.strip().lower()) not in ("true", "1", "false", "0"):
        raise ValueError(f"launch argument {name} is {text!r}; give true or false")
    return word in ("true", "1")


def whole_number(name: str, text: str) -> int:
    """A launch argument that counts something. Raises ValueError, one sentence."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"launch argument {name} is {text!r}; give a whole number, not negative")
    return int(text)


def log_level(text: str) -> str:
    """A level of ROS's logging, or LOGGER:=LEVEL for one logger. Raises ValueError, one sentence."""
    if text.rpartition(":=")[2].lower() not in LOG_LEVELS:
        raise ValueError(f"launch argument log_level is {text!r}; give one of {', '.join(LOG_LEVELS)}")
    return text
