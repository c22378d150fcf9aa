"""Goals of the robots as they are asked for: accepted and assigned, or refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node

from dyna_nav.nodes.diagnostics import same_goal
from dyna_nav.nodes.messages import pose_array
from dyna_nav.nodes.planner_reports import PlannerReports
from dyna_nav.nodes.robot_names import in_namespace
from dyna_nav.safety.inputs import InputLimits, goal_fault
from dyna_nav.site import Site


class Goals:
    """``poses`` [robots, 3] are the goals that the robots have (map frame; NaN: none)."""

    def __init__(
        self,
        node: Node,
        robots: tuple[str, ...],
        site: Site,
        radius: float,
        limits: InputLimits,
        assign: Callable[[int, np.ndarray], None],
        reports: PlannerReports,
    ) -> None:
        """radius of a robot [m]; assign(robot, goal [3]) hands a goal on, and may refuse it with a ValueError."""
        self.poses = np.full((len(robots), 3), np.nan)
        self._node, self._robots, self._site, self._radius, self._limits = node, robots, site, radius, limits
        self._assign, self._reports = assign, reports

    def callback(self, robot: int) -> Callable[[PoseStamped], None]:
        """What a robot's ``goal_pose`` calls."""
        return lambda message: self._on_goal(robot, message)

    def _on_goal(self, robot: int, message: PoseStamped) -> None:
        topic = in_namespace(self._robots[robot], "goal_pose")
        goal, refusal = (
            pose_array(message.pose),
            goal_fault(message, self._site, self._radius, topic, limits=self._limits),
        )
        accepted = False
        if refusal is None and not same_goal(goal, self.poses[robot]):
            try:
                self._assign(robot, goal)
            except ValueError as error:
                refusal = f"{topic}: {error}"
            else:
                accepted, self.poses[robot] = True, goal
                self._node.get_logger().info(f"{topic}: accepted ({goal[0]:.2f}, {goal[1]:.2f}, {goal[2]:.2f})")
        if refusal:
            self._node.get_logger().error(f"{refusal}; the robot keeps what it was doing")
        self._reports.asked(robot, self.poses[robot], accepted, refusal or "", goal if refusal else None)
