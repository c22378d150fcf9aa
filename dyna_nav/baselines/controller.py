"""The baseline: what a good engineer would run instead of Dyna-2, with the same information.

One cycle of :meth:`AStarController.act`, robot by robot in the order of right of way: perceive (costmap, moving
things), recover (when there is no progress), plan (A* at 1 Hz and when blocked), pursue (regulated pure pursuit), and
let the collision monitor have the last word.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from dyna_nav.baselines import monitor as zones
from dyna_nav.baselines.costmap import Costmap, CostmapConfig
from dyna_nav.baselines.monitor import MonitorConfig
from dyna_nav.baselines.path import SPACING, path_cost
from dyna_nav.baselines.pursuit import PursuitConfig, nearest_index, pursue
from dyna_nav.baselines.recovery import Behaviour, Recovery, RecoveryConfig
from dyna_nav.baselines.route import Route, RoutePlanner
from dyna_nav.baselines.tracking import Tracker, TrackingConfig
from dyna_nav.baselines.traffic import Traffic, TrafficConfig
from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, GoalTolerance, RobotModel, goal_reached, wrap_angle
from dyna_nav.parameters import check, parameter
from dyna_nav.planning.admissible import braking_path
from dyna_nav.site import Site

_NEAR = 4.0  # returns within this distance matter to the monitor [m]


@dataclass(frozen=True)
class BaselineConfig:
    """Every number of the baseline; the defaults are those chosen by the sweep (docs/baseline.md)."""

    costmap: CostmapConfig = field(default_factory=CostmapConfig)
    pursuit: PursuitConfig = field(default_factory=PursuitConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    traffic: TrafficConfig = field(default_factory=TrafficConfig)
    tolerance: GoalTolerance = field(default_factory=GoalTolerance)
    replan_period: float = parameter(1.0, "time between two plans [s]", minimum=0.1, maximum=60)
    blocked_period: float = parameter(0.4, "time between two plans of a blocked robot [s]", minimum=0.1, maximum=60)
    blocked_reach: float = parameter(4.0, "way ahead that is checked for blockage [m]", minimum=0.5, maximum=50)
    stray: float = parameter(0.3, "farther off its path a robot plans anew [m]", minimum=0.05, maximum=5)
    stay: float = parameter(0.9, "a new path must cost less than this share of the old one", minimum=0.1, maximum=1)


class _Robot:
    """What the controller remembers of one robot."""

    def __init__(self, recovery: Recovery, phase: float):
        self.goal: np.ndarray | None = None
        self.arrived = False
        self.route: Route | None = None
        self.refuge = False  # the route leads to a refuge, not to the goal
        self.planned = -math.inf  # when [s]
        self.next_plan = -math.inf  # [s]
        self.fresh = True  # no plan yet on this trip
        self.phase = phase  # spreads the plans of the robots over the cycles [s]
        self.recovery = recovery
        self.until = 0.0  # end of a recovery [s]
        self.begun: np.ndarray | None = None  # pose at the beginning of a recovery [3]
        self.extent = 0.0  # of a recovery: way [m] or angle [rad]

    def begin_trip(self, goal: np.ndarray | None) -> None:
        self.goal, self.route, self.refuge, self.arrived = goal, None, False, False
        self.next_plan, self.fresh = -math.inf, True
        self.recovery.reset()

    def left(self) -> float:
        """Way to go [m]; inf without a route."""
        if self.route is None:
            return math.inf
        points = self.route.points[self.route.index :]
        return float(np.hypot(*np.diff(points, axis=0).T).sum()) if len(points) > 1 else 0.0


class AStarController:
    """A* with regulated pure pursuit for a fleet; implements :class:`dyna_nav.controller.Controller`.

    knows_fleet: the robots know each other's poses and twists, share what their lasers see and yield by right of way;
    otherwise each sees the others with its own laser only.
    """

    def __init__(self, knows_fleet: bool = False, config: BaselineConfig | None = None):
        """Raises ValueError for a bad configuration."""
        self.knows_fleet, self.config = knows_fleet, config or BaselineConfig()
        check(self.config)
        self._robots: list[_Robot] = []

    def reset(self, site: Site, robots: int, rng: np.random.Generator, model: RobotModel) -> None:
        """Begin a run on a site; forget everything of the last run."""
        config = self.config
        self._site, self._model, self._rng = site, model, rng
        self._costmap = Costmap(site, model.radius, 1 if self.knows_fleet else robots, config.costmap)
        self._planner = RoutePlanner(site, self._costmap, model, config.pursuit, 0.8 * config.tolerance.position)
        self._robots = [
            _Robot(Recovery(config.recovery, rng), config.replan_period * k / robots) for k in range(robots)
        ]
        self._field = np.ascontiguousarray(site.clearance, np.float32)
        self._geometry = (float(site.map.origin[0]), float(site.map.origin[1]), float(site.map.resolution))
        trackers = [Tracker(model.radius, self._field, self._geometry, config.tracking) for _ in range(robots)]
        self._traffic = Traffic(trackers, self.knows_fleet, model, config.traffic, config.monitor)
        self._horizon = zones.horizon_points(model, config.monitor)
        self._limits = (model.acceleration, model.deceleration, model.turn_acceleration)
        self._sent = np.zeros((robots, 2))

    def assign(self, robot: int, goal: np.ndarray | None) -> None:
        """Give a robot a goal pose [3] (map frame), or none.

        Raises ValueError, and leaves the robot's goal as it is, when the goal is not a finite pose or the robot cannot
        stand there.
        """
        if not 0 <= robot < len(self._robots):
            raise ValueError(f"there is no robot {robot}; robots are numbered 0 to {len(self._robots) - 1}")
        if goal is not None:
            goal = np.array(goal, float)
            if goal.shape != (3,) or not np.isfinite(goal).all():
                raise ValueError(f"goal {goal.tolist()} of robot {robot} is not a finite pose (x, y, yaw)")
            if not self._site.standable(goal[:2], self._model.radius):
                raise ValueError(
                    f"goal ({goal[0]:.2f}, {goal[1]:.2f}) of robot {robot} has"
                    f" {float(self._site.clearance_at(goal[:2])):.2f} m of room; choose a goal with at least"
                    f" {self._model.radius:.2f} m"
                )
            self._planner.prepare(goal)
        self._robots[robot].begin_trip(goal)

    def act(self, observation: Observation) -> np.ndarray:
        """Commands [robots, 2] (m/s, rad/s); robots without a goal or with bad inputs get zero."""
        present = np.isfinite(observation.pose).all(axis=1) & np.isfinite(observation.twist).all(axis=1)
        routes = [None if robot.arrived else robot.route for robot in self._robots]
        self._traffic.update(observation, present, routes)
        self._perceive(observation, present)
        commands = np.zeros((len(self._robots), 2))
        paths = self._braking_paths(observation, present)
        for rank, robot in enumerate(order := self._right_of_way(observation, present)):
            commands[robot] = self._drive(robot, observation, paths, order[:rank])
            self._publish(paths[robot], observation, robot, commands[robot])
        self._sent = commands.copy()
        return commands

    # Perceive.

    def _perceive(self, observation: Observation, present: np.ndarray) -> None:
        """Enter the scans into the costmap, without what moves."""
        reach = self._model.radius + self.config.costmap.explained
        for robot in np.flatnonzero(present):
            others = self._traffic.now[robot][:, :2]
            self._costmap.observe(
                self._layer(robot), observation.time, observation.pose[robot],
                np.column_stack([others, np.full(len(others), reach)]), observation.scan[robot],
                observation.scan_angles, observation.scan_max,
            )  # fmt: skip

    def _layer(self, robot: int) -> int:
        return 0 if self.knows_fleet else robot

    def _right_of_way(self, observation: Observation, present: np.ndarray) -> list[int]:
        """Robots that drive, the one that goes first first: whoever has least way to go."""
        driving = []
        for number, robot in enumerate(self._robots):
            if robot.goal is None or not present[number]:
                continue
            pose, speed = observation.pose[number : number + 1], observation.twist[number : number + 1, 0]
            if goal_reached(pose, speed, robot.goal[None], self.config.tolerance)[0]:
                robot.arrived = True
            elif np.hypot(*(pose[0] - robot.goal)[:2]) > self.config.tolerance.position:
                robot.arrived = False  # it was pushed away
            if not robot.arrived:
                driving.append(number)
        return sorted(driving, key=lambda number: (self._robots[number].refuge, self._robots[number].left(), number))

    # Plan.

    def _plan(self, number: int, observation: Observation) -> None:
        """Find a way to the goal on the costmap as it is now; keep the old one while it is nearly as good."""
        robot, pose, config = self._robots[number], observation.pose[number], self.config
        robot.planned = observation.time
        robot.next_plan = observation.time + config.replan_period + (robot.phase if robot.fresh else 0.0)
        robot.fresh = False
        cost = self._costs(number, observation)
        old = None if robot.refuge else robot.route
        robot.refuge = False
        new = self._planner.route(pose, robot.goal, cost)
        if new is not None and old is not None and old.passable:
            geometry = self._costmap.geometry
            before, after = (path_cost(new.cost, way.points, way.index, geometry) for way in (old, new))
            if after > config.stay * before and before < math.inf:
                old.cost = new.cost
                return
        robot.route = new

    def _costs(self, number: int, observation: Observation) -> np.ndarray:
        """Costmap of a robot with the others in it: standing ones as obstacles, moving ones where they will be."""
        lethal, soft = self._traffic.costs(number, observation.pose[number])
        return self._costmap.costs(self._layer(number), observation.time, lethal, soft)

    def _blocked(self, number: int, route: Route, points: np.ndarray) -> bool:
        """Whether something stands on the next metres of a route."""
        ahead = route.points[route.index : route.index + round(self.config.blocked_reach / SPACING)]
        radius, standing = self._model.radius, self._traffic.standing(number)
        return zones.any_near(ahead, points, radius) or zones.any_near(ahead, standing, 2 * radius + 0.05)

    # Drive.

    def _drive(self, number: int, observation: Observation, paths: np.ndarray, before: list[int]) -> np.ndarray:
        """Command of one robot; ``before`` are those that have the right of way and have chosen already."""
        robot, pose, twist = self._robots[number], observation.pose[number], observation.twist[number]
        known = self._traffic.now[number][:, :2] if self.knows_fleet else np.empty((0, 2))
        discs = np.column_stack([known, np.full(len(known), self._model.radius + 0.15)])
        buffer = np.empty((len(observation.scan_angles), 2))
        count = zones.returns(pose, observation.scan[number], observation.scan_angles, _NEAR, discs, buffer)
        points = buffer[:count]
        if robot.route is not None:
            robot.route.index = nearest_index(robot.route.points, robot.route.index, pose[0], pose[1])
        self._recover(number, observation)
        if not robot.refuge and self._plan_is_due(number, observation, points):
            self._plan(number, observation)
        command, way, turning = self._wanted(robot, pose, twist, points, observation.time)
        return self._monitored(number, observation, command, way, turning, points, paths, before)

    def _plan_is_due(self, number: int, observation: Observation, points: np.ndarray) -> bool:
        """Whether to plan now: in turn, or because the way is blocked, left or in conflict with somebody's."""
        robot, pose, time = self._robots[number], observation.pose[number], observation.time
        if time >= robot.next_plan:
            return True
        if robot.route is None or time < robot.planned + self.config.blocked_period:
            return False
        if _distance(robot.route, pose) > self.config.stray or self._traffic.in_conflict(
            number, pose, observation.twist[number, 0], robot.route
        ):
            robot.route = None  # not to be held on to
            return True
        return self._blocked(number, robot.route, points)

    def _wanted(self, robot: _Robot, pose, twist, points, time: float) -> tuple[np.ndarray, float, bool]:
        """What pursuit or a recovery asks for, [2] (m/s, rad/s), the way left [m], and whether to turn in any case."""
        model, config = self._model, self.config
        behaviour = robot.recovery.behaviour
        if behaviour is Behaviour.BACK_UP:
            return np.array([-config.recovery.back_up_speed, 0.0]), math.inf, False
        if behaviour is Behaviour.SPIN:
            return np.array([0.0, math.copysign(0.8 * model.max_turn_rate, robot.extent)]), math.inf, True
        if robot.route is None or behaviour is Behaviour.WAIT or (behaviour and robot.refuge and time < robot.until):
            return np.zeros(2), math.inf, False
        goal = robot.goal
        if not robot.refuge and np.hypot(*(goal - pose)[:2]) < 0.6 * config.tolerance.position:
            error = float(wrap_angle(goal[2] - pose[2]))
            turn = min(model.max_turn_rate, math.sqrt(2.0 * model.turn_acceleration * abs(error)))
            turn = math.copysign(turn, error) if abs(error) > config.tolerance.heading else 0.0
            return np.array([0.0, turn]), 0.0, True
        route, pursuit = robot.route, config.pursuit
        ahead = _advanced(pose, twist, config.monitor.latency)
        gap = float(np.hypot(*(points - pose[:2]).T).min()) - model.radius if len(points) else math.inf
        limits = (model.max_speed, model.max_turn_rate, model.acceleration, model.turn_acceleration)
        settings = (
            pursuit.lookahead_time, pursuit.lookahead_min, pursuit.lookahead_max, pursuit.launch_angle,
            pursuit.rotate_angle, pursuit.backward_speed, pursuit.turn_share, pursuit.proximity_gap,
            pursuit.proximity_speed, model.radius + pursuit.room,
        )  # fmt: skip
        speed, turn, turning = pursue(
            ahead, twist[0], route.points, route.speeds, route.index, route.cost, self._costmap.geometry, self._field,
            self._geometry[2], gap, limits, settings,
        )  # fmt: skip
        return np.array([speed, turn]), robot.left(), turning

    def _monitored(self, number, observation, command, way, turning, points, paths, before) -> np.ndarray:
        """The command as far as the zones allow it."""
        model, config, horizon = self._model, self.config.monitor, self._horizon
        pose, twist, sent = observation.pose[number], observation.twist[number], self._sent[number]
        others = paths.copy() if self.knows_fleet else self._traffic.straight_on(number, horizon)
        if self.knows_fleet:
            others[number] = np.nan
        nobody = others[:0]
        margin = config.margin + config.speed_margin * abs(twist[0])
        apart = np.full(len(others), 2 * model.radius + config.robot_margin + config.speed_margin * abs(twist[0]))
        surroundings = (self._field, self._geometry, model.radius + margin, model.radius + margin - 0.02)

        def share(command, hold, count, points, others, reaches, surroundings=surroundings) -> float:
            return zones.free_share(
                pose, twist, sent, command, turning, hold, count, zones.SCALES, self._limits, config.latency, points,
                others, reaches, *surroundings,
            )  # fmt: skip

        full = command.copy()
        if full[0] > 0.0:
            shares = []
            lane = model.radius + config.slow_margin
            if zones.in_slow_zone(pose, points, model.radius + config.slow_time * twist[0], lane) >= config.slow_points:
                shares.append(config.slow_share * model.max_speed / full[0])
            hold = min(config.time_to_collision, way / full[0])
            shares.append(max(share(full, hold, horizon, points, nobody, apart[:0]), config.approach_speed / full[0]))
            if self.knows_fleet and before:
                shares.append(
                    self._traffic.yielded(number, before, pose, twist, sent, full, self._limits, config.latency)
                )
            command = _scaled(full, min(1.0, *shares), turning)
        stop = 3 + math.ceil((config.latency + STEP + max(abs(twist[0]), abs(command[0])) / model.deceleration) / 0.05)
        count = horizon if self.knows_fleet else min(stop, horizon)
        free = share(command, STEP, count, points, others, apart) if command.any() else 0.0
        if free == 1.0 or (free > 0.0 and not (turning and command[0] < 0.0)):
            return _scaled(command, free, turning)
        turn = np.array([0.0, full[1]])
        return turn if turn[1] and share(turn, STEP, count, points, others, apart) == 1.0 else np.zeros(2)

    # Recover.

    def _recover(self, number: int, observation: Observation) -> None:
        """Begin, go on with or end a recovery of one robot."""
        robot, pose, time = self._robots[number], observation.pose[number], observation.time
        recovery, config = robot.recovery, self.config.recovery
        layer = self._layer(number)
        if recovery.behaviour is not None:
            self._continue(robot, pose, time)
            return
        behaviour = recovery.next(time, pose[:2], abs(observation.twist[number, 1]) > 0.3)
        if behaviour is None:
            return
        robot.begun, robot.until = pose.copy(), time + 4.0
        if behaviour is Behaviour.WAIT:
            robot.until = time + recovery.duration(config.wait)
        elif behaviour is Behaviour.CLEAR:
            self._costmap.forget(layer)
            self._costmap.unblock(layer)
            robot.route = None
            self._end(robot, time)
        elif behaviour is Behaviour.GO_ROUND:
            if robot.route is not None:
                ahead = robot.route.points[min(robot.route.index + 9, len(robot.route.points) - 1)]
                if np.hypot(*(ahead - robot.goal[:2])) > 1.0:
                    until = time + recovery.duration(config.blocked_time)
                    self._costmap.block(layer, ahead, config.blocked_size, until)
            self._end(robot, time)
        elif behaviour is Behaviour.BACK_UP:
            robot.extent = recovery.duration(config.back_up)
        elif behaviour is Behaviour.SPIN:
            robot.extent = recovery.duration(config.spin) * recovery.sign()
        elif behaviour is Behaviour.RETREAT:
            self._retreat(number, observation)

    def _retreat(self, number: int, observation: Observation) -> None:
        """Drive to the nearest place off everybody's way that is wide enough for another robot to pass."""
        robot, pose, radius = self._robots[number], observation.pose[number], self._model.radius
        cost = self._costs(number, observation)
        row, col = np.indices(cost.shape)
        centres = self._costmap.positions(np.stack([row, col], axis=-1))
        away = np.hypot(*(centres - pose[:2]).transpose(2, 0, 1))
        wanted = (away > 1.0 + robot.recovery.duration(1.0)) & (self._costmap.clearance > 2.5 * radius)
        if self.knows_fleet:
            for k, other in enumerate(self._robots):
                if k != number and other.route is not None and not other.refuge:
                    for x, y in other.route.points[other.route.index :][:60:3]:
                        wanted &= np.hypot(centres[..., 0] - x, centres[..., 1] - y) > 2 * radius + 0.2
        route = self._planner.refuge(pose, wanted, cost)
        robot.until = observation.time + 15.0
        if route is None:
            self._end(robot, observation.time)
        else:
            robot.route, robot.refuge, robot.extent = route, True, 0.0

    def _continue(self, robot: _Robot, pose: np.ndarray, time: float) -> None:
        """End a recovery that has done what it was for, or whose time is over."""
        behaviour = robot.recovery.behaviour
        moved = float(np.hypot(*(pose - robot.begun)[:2]))
        turned = abs(float(wrap_angle(pose[2] - robot.begun[2])))
        done = time >= robot.until
        done |= behaviour is Behaviour.BACK_UP and moved >= robot.extent
        done |= behaviour is Behaviour.SPIN and turned >= min(abs(robot.extent), 3.0)
        if done:
            self._end(robot, time)

    def _end(self, robot: _Robot, time: float) -> None:
        robot.recovery.done()
        robot.refuge = False
        robot.next_plan = -math.inf

    # Publish.

    def _braking_paths(self, observation: Observation, present: np.ndarray) -> np.ndarray:
        """Where everybody goes that brakes at once [n, horizon, 2]; NaN for the absent."""
        paths = np.full((len(self._robots), self._horizon, 2), np.nan)
        for robot in np.flatnonzero(present):
            self._publish(paths[robot], observation, robot, np.zeros(2))
        return paths

    def _publish(self, path, observation: Observation, robot: int, command: np.ndarray) -> None:
        """Write where a robot goes, path [horizon, 2], that gets a command for one step and then brakes."""
        latency = self.config.monitor.latency
        pose, twist, sent = observation.pose[robot], observation.twist[robot], self._sent[robot]
        braking_path(pose, twist, sent, command, self._limits, latency, STEP, path)


def _distance(route: Route, pose: np.ndarray) -> float:
    """Distance [m] of a robot at pose [3] from its place on a route."""
    return float(np.hypot(*(route.points[route.index] - pose[:2])))


def _scaled(command: np.ndarray, share: float, keeps_turn: bool) -> np.ndarray:
    """A command [2] at a share of its speed, on the same arc or with the same turn rate."""
    return command * ((share, 1.0) if keeps_turn else share)


def _advanced(pose: np.ndarray, twist: np.ndarray, time: float) -> np.ndarray:
    """Pose [3] after a short time [s] with a twist [2]."""
    yaw = pose[2] + 0.5 * twist[1] * time
    step = twist[0] * time
    return np.array([pose[0] + step * math.cos(yaw), pose[1] + step * math.sin(yaw), pose[2] + twist[1] * time])
