"""An emergency stop that was pressed stays pressed when the gate's process dies and another takes its place."""

from __future__ import annotations

import os
from pathlib import Path


class EmergencyMemory:
    """One small file for each topic that is pressed, in the ROS home of this machine."""

    def __init__(self, domain: int) -> None:
        """domain: the ROS domain; the same topic of another domain is another emergency stop."""
        home = Path(os.environ.get("ROS_HOME") or Path.home() / ".ros")
        self._folder, self._domain = home / "dyna_nav", domain

    def file(self, topic: str) -> Path:
        """Where a topic (its full name) is remembered."""
        return self._folder / f"emergency_stop.{self._domain}{topic.replace('/', '.')}"  # no ROS name has a dot

    def is_pressed(self, topic: str) -> bool:
        """Whether the topic was pressed and not released since."""
        return self.file(topic).exists()

    def remember(self, topic: str, pressed: bool) -> None:
        """Keep the newest word of a topic. Raises OSError where the ROS home cannot be written."""
        if not pressed:
            self.file(topic).unlink(missing_ok=True)
        elif not self.is_pressed(topic):
            self._folder.mkdir(parents=True, exist_ok=True)
            self.file(topic).write_text(f"{topic} is pressed; {how_to_release(topic)}\n")


def how_to_release(topic: str) -> str:
    """What to type to release the emergency stop of a topic."""
    return f"release it with: ros2 topic pub --once {topic} std_msgs/msg/Bool '{{data: false}}'"
