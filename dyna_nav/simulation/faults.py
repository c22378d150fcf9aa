"""What can happen to a robot or in a hall: shoves, lifts, slippery floors, heavy loads, broken sensors, pallets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from dyna_nav.simulation.config import Pallet
from dyna_nav.simulation.spawn import check_pallet, check_poses, check_walls
from dyna_nav.simulation.world import quaternion, set_payload

if TYPE_CHECKING:
    from dyna_nav.mdp import RobotModel
    from dyna_nav.simulation.config import SimulationConfig
    from dyna_nav.simulation.world import World
    from dyna_nav.site import Site


@dataclass
class _Shove:
    robot: int
    force: np.ndarray  # [2] N, map frame
    ticks: int  # physics steps left


SCAN_FAULTS = (None, "dead", "shifted")


def finite(values, shape: tuple[int, ...], name: str, minimum: float = -math.inf) -> np.ndarray:
    """Values as a float array of this shape. Raises ValueError naming them when they are not, or lie below minimum."""
    array = np.array(values, float)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must be {list(shape)}")
    if not np.isfinite(array).all() or (array < minimum).any():
        wanted = "finite" if minimum == -math.inf else f"finite and at least {minimum}"
        raise ValueError(f"{name} is {array.tolist()}; every number must be {wanted}")
    return array


class Faults:
    """The part of a simulation that goes wrong on request; each fault lasts until it is taken back."""

    # Provided by the simulation.
    robots: int
    config: SimulationConfig
    battery: np.ndarray
    robot_model: RobotModel
    true_pose: np.ndarray
    _hall: Site
    _world: World
    _pallets: dict[int, Pallet]
    _setpoint: np.ndarray
    _latency: np.ndarray

    def __init__(self, robots: int):
        self.payload = np.zeros(robots)  # [kg]
        self._friction = np.ones(robots)
        self._stalled = np.zeros(robots, bool)
        self._charging = np.zeros(robots, bool)
        self._lifted = np.zeros(robots, bool)
        self._held = np.zeros((robots, 7))  # where the lifted ones hang
        self._shoves: list[_Shove] = []
        self._jump = np.zeros((robots, 3))
        self._scan_fault: list[str | None] = [None] * robots
        self._pallets_seen = len(self._pallets)

    def push(self, robot: int, impulse: np.ndarray) -> None:
        """Shove a robot at its centre with impulse [2] (N s, map frame), spread over ``config.push_duration``."""
        ticks = max(1, round(self.config.push_duration / self.config.physics_step))
        force = finite(impulse, (2,), "impulse") / (ticks * self.config.physics_step)
        self._shoves.append(_Shove(self._index(robot), force, ticks))

    def lift(self, robot: int) -> None:
        """Lift a robot off the floor: it hangs still where it is, and its wheels turn in the air."""
        start = self._world.base_qpos[self._index(robot)]
        self._held[robot] = self._world.data.qpos[start : start + 7]
        self._held[robot, 2] = self.config.wheel_radius + self.config.lift_height
        self._lifted[robot] = True

    def lower(self, robot: int) -> None:
        """Put a lifted robot back on the floor."""
        if self._lifted[self._index(robot)]:
            self._world.data.qpos[self._world.base_qpos[robot] + 2] = self.config.wheel_radius
            self._lifted[robot] = False

    def carry(self, poses: dict[int, np.ndarray]) -> None:
        """Set robots down elsewhere, at rest, each at its pose [3] (map frame): somebody came and helped them out.

        Raises ValueError, and moves nothing, where one would stand in a wall or in another robot.
        """
        after = self.true_pose
        for robot, pose in poses.items():
            after[self._index(robot)] = finite(pose, (3,), f"pose of robot {robot}")
        check_poses(self._hall, after, self.robot_model.radius, poses)
        world, data = self._world, self._world.data
        for robot in poses:
            x, y, yaw = after[robot]
            start, dof = world.base_qpos[robot], world.base_qvel[robot]
            data.qpos[start : start + 7] = x, y, self.config.wheel_radius, *quaternion(yaw)
            data.qvel[dof : dof + 6] = 0.0
            data.qvel[world.wheel_qvel[robot]] = 0.0
            self._setpoint[robot] = self._latency[:, robot] = 0.0
        mujoco.mj_forward(world.model, data)
        self._last_scan = None

    def set_friction(self, robot: int, factor: float) -> None:
        """Change the grip of a robot's wheels to a factor of the usual one (0.1: oil on the floor)."""
        factor = float(finite(factor, (), "factor", minimum=0.0))
        self._friction[self._index(robot)] = factor
        self._world.model.geom_friction[self._world.wheel_geom[robot], 0] = factor * self.config.wheel_friction

    def set_payload(self, robot: int, mass: float) -> None:
        """Put a load of this mass [kg] on a robot in place of the one it has."""
        self.payload[self._index(robot)] = float(finite(mass, (), "mass", minimum=0.0))
        set_payload(self._world, robot, self.payload[robot])

    def set_scan_fault(self, robot: int, fault: str | None) -> None:
        """Break a laser: "dead" sees nothing (inf), "shifted" is turned by ``config.scan_shift``; None repairs it."""
        if fault not in SCAN_FAULTS:
            raise ValueError(f"fault is {fault!r}; it must be one of {SCAN_FAULTS}")
        self._scan_fault[self._index(robot)] = fault
        self._last_scan = None

    def jump_odometry(self, robot: int, dx: float, dy: float, dyaw: float) -> None:
        """Shift a robot's localised pose (m, m, rad; map frame) from now on, on top of earlier jumps."""
        self._jump[self._index(robot)] += finite((dx, dy, dyaw), (3,), "jump")

    def stall(self, robot: int, stalled: bool = True) -> None:
        """Make a robot ignore its commands and stand (its drives brake it); False ends it."""
        self._stalled[self._index(robot)] = stalled

    def charge(self, robot: int, charging: bool) -> None:
        """Connect a robot to a charger, or take it off."""
        self._charging[self._index(robot)] = charging

    def add_pallet(self, x: float, y: float, yaw: float = 0.0, **properties: float) -> int:
        """Put a pallet down (properties as in :class:`Pallet`) and return its number, which is never used again.

        Raises ValueError when it would stand in a wall or on a robot.
        """
        pallet, number = Pallet(x, y, yaw, **properties), self._pallets_seen
        check_pallet(self._hall, pallet, self.true_pose, self.robot_model.radius)
        self._pallets[number] = pallet
        self._pallets_seen += 1
        self._rebuild()
        return number

    def remove_pallet(self, number: int) -> None:
        """Take a pallet away. Raises ValueError when there is none of that number."""
        if number not in self._pallets:
            raise ValueError(f"pallet is {number}; there are pallets {sorted(self._pallets)}")
        del self._pallets[number]
        self._rebuild()

    def change_hall(self, hall: Site) -> None:
        """Make the hall really so from now on, for physics and laser; the planner's site stays as it is.

        Raises ValueError, and changes nothing, for a map of another extent or one in whose walls a robot would stand.
        """
        now = self._hall.map
        if (hall.map.shape, hall.map.resolution, hall.map.origin) != (now.shape, now.resolution, now.origin):
            raise ValueError(f"hall {hall.name!r} has another extent or resolution than {self._hall.name!r}")
        check_walls(hall, self.true_pose, self.robot_model.radius)
        self._hall = hall
        self._see_hall()
        self._rebuild()

    def _index(self, robot: int) -> int:
        if not 0 <= robot < self.robots:
            raise ValueError(f"robot is {robot}; it must lie in 0..{self.robots - 1}")
        return robot

    @property
    def _disturbed(self) -> bool:
        return bool(self._shoves) or self._lifted.any()

    def _disturb(self) -> None:
        """Forces and holds of one physics step, just before it."""
        world, data = self._world, self._world.data
        data.xfrc_applied[world.base_body, :2] = 0.0
        for shove in self._shoves:
            if shove.ticks > 0:
                data.xfrc_applied[world.base_body[shove.robot], :2] += shove.force
            shove.ticks -= 1
        # A shove stays for one step after its last, which takes its force away.
        self._shoves = [shove for shove in self._shoves if shove.ticks >= 0]
        for robot in np.flatnonzero(self._lifted):
            start, dof = world.base_qpos[robot], world.base_qvel[robot]
            data.qpos[start : start + 7] = self._held[robot]
            data.qvel[dof : dof + 6] = 0.0

    def _with_scan_faults(self, ranges: np.ndarray) -> np.ndarray:
        for robot, fault in enumerate(self._scan_fault):
            if fault == "dead":
                ranges[robot] = np.inf
            elif fault == "shifted":
                beams = round(self.config.scan_shift / (2 * math.pi) * self.config.beams)
                ranges[robot] = np.roll(ranges[robot], beams)
        return ranges
