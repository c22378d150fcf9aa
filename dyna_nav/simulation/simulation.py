"""A hall with robots that drive in it: MuJoCo physics, bases with firmware, laser, localisation, battery, faults.

Lockstep: nothing moves but in :meth:`Simulation.step` and :meth:`Simulation.advance`. The same site, seed, commands and
faults give the same run, bit for bit, however it is cut into calls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import mujoco
import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, RobotModel, wrap_angle
from dyna_nav.simulation import drive, laser
from dyna_nav.simulation.collisions import Collision, CollisionLog
from dyna_nav.simulation.config import Pallet, SimulationConfig
from dyna_nav.simulation.faults import Faults, finite
from dyna_nav.simulation.spawn import check_pallet, check_poses, spawn_poses
from dyna_nav.simulation.walkers import Walker
from dyna_nav.simulation.world import TRACK, WALL, World, build_world, set_payload, yaw_of
from dyna_nav.site import Site

MOST_PAIRS = 16  # that touch at once, per robot


class Simulation(Faults):
    """Robots of one kind in one hall. Row i of every array is robot i; poses are x, y [m], yaw [rad] in the map frame.

    Public attributes: ``goals`` [n, 3], handed on in observations (NaN: none), ``battery`` [n] 0..1, ``robot_model``,
    ``config``, ``site`` (of the planner), ``contact`` [n] (which robots touched something during the last advance).
    """

    def __init__(
        self,
        site: Site,
        robots: int,
        seed: int,
        *,
        robot_model: RobotModel | None = None,
        config: SimulationConfig | None = None,
        poses: np.ndarray | None = None,
        payloads: Sequence[float] | None = None,
        pallets: Sequence[Pallet | tuple[float, float, float]] = (),
        hidden_site: Site | None = None,
        walkers: Sequence[Walker] = (),
    ):
        """Put robots at poses [robots, 3] (default: at stations, then anywhere) with payloads [robots] kg (default 0).

        hidden_site is the hall as it really is, for physics and laser, where it differs from the planner's site.
        walkers go their rounds through everything: they are seen and touched, but no force passes to or from them.
        Raises ValueError for fewer than one robot, poses or payloads of a wrong shape or value, poses or pallets in a
        wall or in each other, or a full hall.
        """
        self.site, self.config = site, config or SimulationConfig()
        self.robot_model = robot_model or RobotModel()
        self.robots = robots
        self._hall = hidden_site or site
        self._walkers = tuple(walkers)
        if robots < 1:
            raise ValueError(f"robots is {robots}; a simulation needs at least 1")
        self._sensing = np.random.default_rng([seed, 1])
        self._scan_key = np.random.SeedSequence([seed, 2]).generate_state(2, np.uint64)
        self._pallets = {k: entry if isinstance(entry, Pallet) else Pallet(*entry) for k, entry in enumerate(pallets)}
        if poses is None:
            poses = spawn_poses(self._hall, robots, self.robot_model.radius, seed, self._pallets.values())
        poses = finite(poses, (robots, 3), "poses")
        check_poses(self._hall, poses, self.robot_model.radius)
        for pallet in self._pallets.values():
            check_pallet(self._hall, pallet, poses, self.robot_model.radius)

        self.goals = np.full((robots, 3), np.nan)
        self.battery = np.full(robots, self.config.battery_start)
        self.contact = np.zeros(robots, bool)
        self._log = CollisionLog(self.config.collision_separation)
        self._ticks = 0
        self._setpoint = np.zeros((robots, 2))
        self._latency = np.zeros((round(self.config.latency / self.config.physics_step), robots, 2))
        self._prepare()
        self._error = self._sensing.standard_normal((robots, 3)) * self._sigma[:3]
        self._twist = np.zeros((robots, 2))
        self._last_scan: np.ndarray | None = None
        self._scanned = -1  # the period of the last scan
        self._pairs = np.zeros((MOST_PAIRS * robots, 2), np.int64)
        self._where = np.zeros(MOST_PAIRS * robots, np.int64)
        Faults.__init__(self, robots)
        if payloads is not None:
            self.payload[:] = finite(payloads, (robots,), "payloads", minimum=0.0)
        self._build(poses)

    # What happens, in the order of a step.

    def step(self, commands: np.ndarray) -> None:
        """Drive for one decision step (0.1 s) with commands [n, 2] (m/s, rad/s); see :meth:`advance`."""
        self.advance(commands, STEP)

    def advance(self, commands: np.ndarray, seconds: float) -> None:
        """Drive for a multiple of the physics step with commands [n, 2] (m/s, rad/s), held all the while.

        Raises ValueError, before anything moves, for a command that is not finite or a time that is no such multiple.
        """
        commands = self._checked_commands(commands)
        ticks = round(seconds / self.config.physics_step)
        if ticks < 1 or abs(ticks * self.config.physics_step - seconds) > 1e-9:
            raise ValueError(f"seconds is {seconds}; it must be a multiple of {self.config.physics_step}, at least one")
        self.contact[:] = False
        noise = self._sensing.standard_normal((ticks, self.robots, 5))
        for tick in range(ticks):
            self._tick(commands, noise[tick])

    def _tick(self, commands: np.ndarray, noise: np.ndarray) -> None:
        config, world, qvel = self.config, self._world, self._qvel
        target = commands
        if len(self._latency):
            slot = self._ticks % len(self._latency)
            target, self._latency[slot] = self._latency[slot].copy(), commands
        drive.drive_tick(
            target, self._stalled, self._charging, self._setpoint, self._limits, self._geometry, self._torques,
            self._power, config.physics_step, self.battery, world.wheel_qvel, qvel, *self._motors,
        )  # fmt: skip
        if self._disturbed:
            self._disturb()
        mujoco.mj_step(world.model, world.data)
        self._ticks += 1
        drive.sensor_tick(
            self._error, self._twist, noise, self._sigma, self._keep, self._geometry, world.wheel_qvel,
            world.base_qvel, qvel,
        )  # fmt: skip
        contacts = world.data.contact
        count = drive.touching_pairs(contacts.geom, contacts.dist, world.owner, self.robots, self._pairs, self._where)
        if count:
            self._note_contacts(self._pairs[:count], contacts.pos[self._where[:count]])
        if self._walkers:
            self._note_walkers()

    def _note_contacts(self, pairs: np.ndarray, where: np.ndarray) -> None:
        self.contact[pairs[:, 0]] = True
        self.contact[pairs[(pairs[:, 1] >= 0) & (pairs[:, 1] < self.robots), 1]] = True
        for (robot, other), (x, y, _) in zip(pairs, where, strict=True):
            self._log.touch(self.time, int(robot), self._name(int(other)), float(x), float(y), self._pace(robot))

    def _note_walkers(self) -> None:
        """Upright cylinders touch when their axes are near enough; the physics knows nothing of walkers."""
        pose, walkers = self.true_pose, self.walker_positions
        radii = np.array([walker.radius for walker in self._walkers])
        gap = np.hypot(*(pose[:, None, :2] - walkers).transpose(2, 0, 1)) - radii - self.robot_model.radius
        for robot, k in zip(*np.nonzero(gap <= 0.0), strict=True):
            self.contact[robot] = True
            x, y = walkers[k]
            self._log.touch(self.time, int(robot), f"walker:{k}", float(x), float(y), self._pace(robot))

    def _pace(self, robot: int) -> float:
        first = self._world.base_qvel[robot]
        return math.hypot(self._qvel[first], self._qvel[first + 1])

    # What is known of it.

    @property
    def time(self) -> float:
        """Time since the beginning [s]."""
        return self._ticks * self.config.physics_step

    @property
    def collisions(self) -> list[Collision]:
        """Every collision so far, oldest first: one per contact episode."""
        return self._log.collisions

    @property
    def hall(self) -> Site:
        """The hall as it really is."""
        return self._hall

    @property
    def walker_positions(self) -> np.ndarray:
        """Where the walkers are [walkers, 2] (m, map frame)."""
        return np.array([walker.position(self.time) for walker in self._walkers]).reshape(-1, 2)

    @property
    def true_pose(self) -> np.ndarray:
        """Where the robots really are [n, 3]."""
        return self._poses_at(self._world.base_qpos)

    @property
    def true_twist(self) -> np.ndarray:
        """How the bodies really move [n, 2]: forward speed [m/s], turn rate [rad/s]."""
        qvel, base, yaw = self._world.data.qvel, self._world.base_qvel, self.true_pose[:, 2]
        forward = np.cos(yaw) * qvel[base] + np.sin(yaw) * qvel[base + 1]
        return np.stack([forward, qvel[base + 5]], axis=1)

    @property
    def pallets(self) -> dict[int, np.ndarray]:
        """Where the pallets really are: number to pose [3]."""
        return dict(zip(self._built_pallets, self._poses_at(self._world.pallet_qpos), strict=True))

    def observe(self) -> Observation:
        """What the robots know now. Asked twice at the same time, it gives the same readings.

        The laser scans when first asked within each ``config.scan_period``; until the next one its scan stays.
        """
        pose = self.true_pose + self._error + self._jump
        pose[:, 2] = wrap_angle(pose[:, 2])
        return Observation(
            self.time, pose, self._twist.copy(), self.battery.copy(), self.goals.copy(), self._scan().copy(),
            self._scan_angles.copy(), self.config.scan_max,
        )  # fmt: skip

    def _scan(self) -> np.ndarray:
        config, hall = self.config, self._hall.map
        turn = self._ticks // self._scan_ticks
        if turn == self._scanned and self._last_scan is not None:
            return self._last_scan
        boxes = [
            (*pose, pallet.length / 2, pallet.width / 2)
            for pose, pallet in zip(self.pallets.values(), self._pallets.values(), strict=True)
        ]
        discs = [(*at, walker.radius) for at, walker in zip(self.walker_positions, self._walkers, strict=True)]
        ranges = np.empty((self.robots, config.beams))
        laser.cast(
            self.true_pose, self._scan_angles, config.scan_max, self._leaps, hall.resolution, *hall.origin,
            self.robot_model.radius, np.array(boxes).reshape(-1, 5), np.array(discs).reshape(-1, 3), ranges,
        )  # fmt: skip
        # The noise is a function of seed and time, so that it does not matter who looks how often; the counter's lowest
        # word is left to the draws of one scan.
        noise = np.random.Generator(np.random.Philox(key=self._scan_key, counter=self._ticks << 64))
        ranges += config.scan_noise * noise.standard_normal(ranges.shape)
        np.maximum(ranges, 0.0, out=ranges)
        ranges[ranges > config.scan_max] = np.inf
        self._scanned, self._last_scan = turn, self._with_scan_faults(ranges)
        return self._last_scan

    # How it is set up.

    def _prepare(self) -> None:
        """Numbers of site, robot and configuration in the form in which the kernels take them."""
        config, robot = self.config, self.robot_model
        self._see_hall()
        self._scan_angles = np.arange(config.beams) * (2 * math.pi / config.beams) - math.pi
        accelerations = (robot.acceleration, robot.deceleration, robot.turn_acceleration)
        self._scan_ticks = max(1, round(config.scan_period / config.physics_step))
        self._limits = np.array([robot.max_speed, robot.max_turn_rate, *accelerations])
        self._geometry = np.array([config.wheel_radius, TRACK * robot.radius])
        self._torques = np.array([config.drive_torque, config.brake_torque, config.servo_gain])
        self._power = np.array(
            [config.idle_power, config.charge_power, config.drive_efficiency, config.battery_capacity * 3600]
        )
        self._sigma = np.array(
            [config.position_noise] * 2 + [config.heading_noise, config.speed_noise, config.turn_rate_noise]
        )
        self._keep = math.exp(-config.physics_step / config.noise_time)

    def _see_hall(self) -> None:
        """The hall in the form in which the laser takes it."""
        self._leaps = laser.leap_grid(self._hall.clearance, self._hall.map.resolution)

    def _build(self, poses: np.ndarray) -> None:
        self._built_pallets = list(self._pallets)  # numbers in the order of the world's rows
        self._world: World = build_world(self._hall, poses, list(self._pallets.values()), self.robot_model, self.config)
        model, data = self._world.model, self._world.data
        # Views into MuJoCo's memory: asking for them anew in every step costs as much as the kernels.
        self._qvel, self._motors = data.qvel, (data.actuator_force, data.ctrl, model.actuator_forcerange)
        for robot in range(self.robots):
            self._world.model.geom_friction[self._world.wheel_geom[robot], 0] *= self._friction[robot]
            if self.payload[robot] > 0:
                set_payload(self._world, robot, self.payload[robot])

    def _rebuild(self) -> None:
        """Compile the hall anew after something came, went or moved; everything that stays keeps its motion."""
        old, old_pallets = self._world, {number: row for row, number in enumerate(self._built_pallets)}
        self._build(self.true_pose)
        new, data = self._world, self._world.data
        pairs = [(old.base_qpos[i], old.base_qvel[i], new.base_qpos[i], new.base_qvel[i]) for i in range(self.robots)]
        for k, number in enumerate(self._pallets):
            if number in old_pallets:
                was = old_pallets[number]
                pairs.append((old.pallet_qpos[was], old.pallet_qvel[was], new.pallet_qpos[k], new.pallet_qvel[k]))
        for old_q, old_v, new_q, new_v in pairs:
            data.qpos[new_q : new_q + 7] = old.data.qpos[old_q : old_q + 7]
            data.qvel[new_v : new_v + 6] = old.data.qvel[old_v : old_v + 6]
        data.qvel[new.wheel_qvel] = old.data.qvel[old.wheel_qvel]
        mujoco.mj_forward(new.model, data)

    def _poses_at(self, qpos: np.ndarray) -> np.ndarray:
        state = self._world.data.qpos[qpos[:, None] + np.arange(7)]
        return np.column_stack([state[:, :2], yaw_of(state[:, 3:])])

    def _name(self, owner: int) -> str:
        if owner == WALL:
            return "wall"
        if owner < self.robots:
            return f"robot:{owner}"
        return f"pallet:{self._built_pallets[owner - self.robots]}"

    def _checked_commands(self, commands: np.ndarray) -> np.ndarray:
        commands = np.asarray(commands, float)
        if commands.shape != (self.robots, 2):
            raise ValueError(f"commands have shape {commands.shape}; they must be [{self.robots}, 2]")
        bad = np.flatnonzero(~np.isfinite(commands).all(axis=1))
        if len(bad):
            robot = int(bad[0])
            raise ValueError(
                f"command of robot {robot} is ({commands[robot, 0]}, {commands[robot, 1]}); both numbers must be finite"
            )
        return commands
