"""What states are worth to each robot: the potential of its way, plus what both memories add to it.

The decision problem of one run as arrays, which is how the kernels of rollouts.py read it.
"""

from __future__ import annotations

import numpy as np

from dyna_nav.mdp import GoalTolerance, Reward, RobotModel
from dyna_nav.planning.fleet_state import Scene
from dyna_nav.planning.lattice import HEADINGS, Lattice
from dyna_nav.planning.memory import ValueMemory
from dyna_nav.planning.rollouts import NO_WAY, greedy_action, potential_of, way_to_go
from dyna_nav.planning.straight_way import motion_of


class Values:
    """``fields`` [robots, rows, cols, headings] are the times to go [s] of the potentials that the robots follow."""

    def __init__(
        self,
        robots: int,
        robot: RobotModel,
        actions: np.ndarray,
        lattice: Lattice,
        *,
        permanent: ValueMemory,
        transient: ValueMemory,
        reward: Reward,
        tolerance: GoalTolerance,
        missing_speed: float,
        promise: float,
        margins: np.ndarray,
    ):
        """actions [actions, 2] (m/s, rad/s); missing_speed: share of the time to regain full speed that counts.

        promise: what both memories may add to the potential at most. margins [2]: what rollouts keep from things that
        stand [m], and how much more per m/s.
        """
        self.permanent, self.transient, self.actions, self._promise = permanent, transient, actions, promise
        self.radius, self.discount, self.margins = robot.radius, reward.discount, margins
        self.lattice = np.array([*lattice.origin, lattice.resolution])
        self.reward = np.array([reward.goal, reward.step, reward.collision])
        self.motion = motion_of(robot, tolerance, missing_speed)
        self.limits = np.array([robot.acceleration, robot.deceleration, robot.turn_acceleration])
        self.tolerance = np.array([tolerance.position, tolerance.heading, tolerance.speed])
        self.fields = np.zeros((robots, *lattice.clearance.shape, HEADINGS), np.float32)

    def memories(self) -> tuple[np.ndarray | float, ...]:
        """Both memories as they are now, as Scene has them."""
        permanent, transient = self.permanent, self.transient
        return (
            permanent.layout, permanent.keys, permanent.weights, transient.layout, transient.keys, transient.weights,
            self._promise,
        )  # fmt: skip

    def potential(self, robot: int, pose: np.ndarray, speed: float) -> float:
        """Phi of a state of one robot: pose [3] (map frame), speed [m/s]."""
        return potential_of(self.fields[robot], self.lattice, *pose, speed, self.motion, self.reward)

    def learned(self, robot: int, pose, speed: float, battery: float, goal_index: int) -> float:
        """What both memories hold of a state: pose [3] (map frame), speed [m/s], battery 0..1.

        It may be more than they may promise, and is learned back then.
        """
        return self.permanent.value(pose, speed, battery, goal_index) + self.transient.value(
            pose, speed, battery, robot
        )

    def leads_on(self, field: np.ndarray, pose: np.ndarray) -> bool:
        """Whether a potential's field [rows, cols, headings] has a way from a pose [3], or from close by."""
        return way_to_go(field, self.lattice, *pose, self.motion[0]) < NO_WAY

    def greedy(self, scene: Scene, robot: int, allowed: np.ndarray) -> int:
        """The action with the best nominal outcome for a robot as it is now, of those allowed: bool [actions]."""
        state = scene.state
        return greedy_action(
            self.fields[robot], self.lattice, scene.memories, robot, state.pose[robot], state.twist[robot],
            state.battery[robot], state.goal_index, self.actions, self.motion, self.limits, self.reward, self.radius,
            scene.clearance, scene.geometry, allowed,
        )  # fmt: skip
