"""The baseline: what a good engineer would run instead of Dyna-2, with the same information.

One cycle of :meth:`AStarController.act`, robot by robot in the order of right of way: perceive (costmap, moving
things), recover (when there is no progress), plan (A* at 1 Hz and when blocked), pursue (regulated pure pursuit), and
let the collision monitor have the last word.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from dyna_nav.baselines import zones
from dyna_nav.baselines.behaviours import Behaviours
from dyna_nav.baselines.costmap import Costmap, CostmapConfig
from dyna_nav.baselines.monitor import Monitor, MonitorConfig, Wish
from dyna_nav.baselines.path import SPACING, path_cost
from dyna_nav.baselines.pursuit import PursuitConfig, nearest_index, pursue
from dyna_nav.baselines.recovery import Behaviour, Recovery, RecoveryConfig
from dyna_nav.baselines.route import Route, RoutePlanner
from dyna_nav.baselines.tracking import Tracker, TrackingConfig
from dyna_nav.baselines.traffic import Traffic, TrafficConfig
from dyna_nav.baselines.trip import Trip
from dyna_nav.controller import Observation
from dyna_nav.mdp import GoalTolerance, RobotModel, goal_reached, wrap_angle
from dyna_nav.parameters import check, parameter
from dyna_nav.site import Site

_AT_GOAL = 0.6  # share of the tolerance from which on there is nothing left to drive
_TURNING = 0.3  # faster turns are on purpose [rad/s]
_ON_ROBOT = 0.15  # returns this near to the circle of a robot that is known are its own [m]
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


class AStarController:
    """A* with regulated pure pursuit for a fleet; implements :class:`dyna_nav.controller.Controller`.

    knows_fleet: the robots know each other's poses and twists, share what their lasers see and yield by right of way;
    otherwise each sees the others with its own laser only. Who is not of a known fleet is seen that way in any case.
    """

    def __init__(self, knows_fleet: bool = False, config: BaselineConfig | None = None):
        """Raises ValueError for a bad configuration."""
        self.knows_fleet, self.config = knows_fleet, config or BaselineConfig()
        check(self.config)
        self._robots: list[Trip] = []

    def reset(self, site: Site, robots: int, rng: np.random.Generator, model: RobotModel) -> None:
        """Begin a run on a site; forget everything of the last run."""
        config = self.config
        self._site, self._model, self._rng = site, model, rng
        self._costmap = Costmap(site, model.radius, 1 if self.knows_fleet else robots, config.costmap)
        self._planner = RoutePlanner(site, self._costmap, model, config.pursuit, 0.8 * config.tolerance.position)
        self._robots = [Trip(Recovery(config.recovery, rng), config.replan_period * k / robots) for k in range(robots)]
        self._field = np.ascontiguousarray(site.clearance, np.float32)
        self._geometry = (float(site.map.origin[0]), float(site.map.origin[1]), float(site.map.resolution))
        trackers = [Tracker(model.radius, self._field, self._geometry, config.tracking) for _ in range(robots)]
        self._traffic = Traffic(trackers, self.knows_fleet, model, config.traffic, config.monitor)
        self._monitor = Monitor(self._field, self._geometry, model, config.monitor)
        self._behaviours = Behaviours(self._costmap, self._planner, model, config.recovery)
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
        driving = np.flatnonzero(present)
        for robot in driving:
            others = self._traffic.now[robot][:, :2]
            if self.knows_fleet:  # of a stranger in the common layer nobody leaves a mark, once it is tracked by one
                seen = [self._traffic.strangers(other)[:, :2] for other in driving if other != robot]
                others = np.concatenate([others, *seen])
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
        known = self._traffic.fleet(number)
        discs = np.column_stack([known, np.full(len(known), self._model.radius + _ON_ROBOT)])
        buffer = np.empty((len(observation.scan_angles), 2))
        count = zones.returns(pose, observation.scan[number], observation.scan_angles, _NEAR, discs, buffer)
        points = buffer[:count]
        if robot.route is not None:
            robot.route.index = nearest_index(robot.route.points, robot.route.index, pose[0], pose[1])
        self._recover(number, observation)
        if not robot.refuge and self._plan_is_due(number, observation, points):
            self._plan(number, observation)
        wish = self._wish(robot, pose, twist, points)
        others = paths.copy() if self.knows_fleet else np.empty((0, *paths.shape[1:]))
        if self.knows_fleet:
            others[number] = np.nan
        strangers = self._traffic.strangers_ahead(number, self._monitor.horizon)
        prior = self._traffic.prior(number, before, pose)
        return self._monitor.limit(wish, pose, twist, self._sent[number], points, others, strangers, prior)

    def _plan_is_due(self, number: int, observation: Observation, points: np.ndarray) -> bool:
        """Whether to plan now: in turn, or because the way is blocked, left or in conflict with somebody's."""
        robot, pose, time = self._robots[number], observation.pose[number], observation.time
        if time >= robot.next_plan:
            return True
        if robot.route is None or time < robot.planned + self.config.blocked_period:
            return False
        if robot.strayed(pose) > self.config.stray or self._traffic.in_conflict(
            number, pose, observation.twist[number, 0], robot.route
        ):
            robot.route = None  # not to be held on to
            return True
        return self._blocked(number, robot.route, points)

    def _wish(self, robot: Trip, pose: np.ndarray, twist: np.ndarray, points: np.ndarray) -> Wish:
        """What a recovery or the pursuit asks for; points [m, 2]: returns around the robot."""
        model, config = self._model, self.config
        wish = self._behaviours.wish(robot)
        if wish is not None:
            return wish
        if robot.route is None:
            return Wish(np.zeros(2), 0.0)
        if not robot.refuge and np.hypot(*(robot.goal - pose)[:2]) < _AT_GOAL * config.tolerance.position:
            error = float(wrap_angle(robot.goal[2] - pose[2]))
            turn = min(model.max_turn_rate, math.sqrt(2.0 * model.turn_acceleration * abs(error)))
            turn = math.copysign(turn, error) if abs(error) > config.tolerance.heading else 0.0
            return Wish(np.array([0.0, turn]), 0.0, keeps_turn=True)
        route, pursuit = robot.route, config.pursuit
        ahead = _advanced(pose, twist, config.monitor.latency)
        gap = float(np.hypot(*(points - pose[:2]).T).min()) - model.radius if len(points) else math.inf
        limits = (model.max_speed, model.max_turn_rate, model.acceleration, model.turn_acceleration)
        settings = (
            pursuit.lookahead_time, pursuit.lookahead_min, pursuit.lookahead_max, pursuit.launch_angle,
            pursuit.rotate_angle, pursuit.backward_speed, pursuit.turn_share, pursuit.proximity_gap,
            pursuit.proximity_speed, model.radius + pursuit.room, model.radius + pursuit.tight_room,
        )  # fmt: skip
        speed, turn, turning = pursue(
            ahead, twist[0], route.points, route.speeds, route.index, route.cost, self._costmap.geometry, self._field,
            self._geometry[2], gap, limits, settings,
        )  # fmt: skip
        return Wish(np.array([speed, turn]), robot.left(), turning)

    # Recover.

    def _recover(self, number: int, observation: Observation) -> None:
        """Begin, go on with or end a recovery of one robot."""
        robot, pose, time = self._robots[number], observation.pose[number], observation.time
        if robot.recovery.behaviour is not None:
            self._behaviours.go_on(robot, pose, time)
            return
        turning = abs(observation.twist[number, 1]) > _TURNING
        gives_way, robot.yields_to = self._gives_way(number, pose)
        behaviour = robot.recovery.next(time, pose[:2], robot.left(), turning, gives_way)
        if behaviour is None:
            return
        self._behaviours.begin(robot, self._layer(number), time, pose)
        if behaviour is Behaviour.RETREAT:
            others = [other for other in self._robots if other is not robot] if self.knows_fleet else []
            self._behaviours.retreat(robot, pose, time, self._costs(number, observation), others)

    def _gives_way(self, number: int, pose: np.ndarray) -> tuple[bool, Trip | None]:
        """Whether a robot is closed in by another one that goes first, and by whom; where nobody can tell, by lot."""
        robot = self._robots[number]
        if robot.route is None or robot.route.passable or robot.refuge:
            return False, None
        beside = [self._robots[other] for other in self._traffic.beside(number, pose)]
        if not self.knows_fleet or (not beside and self._traffic.meets_stranger(number, pose)):
            return len(self._robots) > 1 and bool(self._rng.random() < 0.5), None
        for other in beside:  # one that gives way itself is enough
            if other.goal is not None and not (other.arrived or other.refuge) and other.left() < robot.left():
                return True, other
        return False, None

    # Publish.

    def _braking_paths(self, observation: Observation, present: np.ndarray) -> np.ndarray:
        """Where everybody goes that brakes at once [n, horizon, 2]; NaN for the absent."""
        paths = np.full((len(self._robots), self._monitor.horizon, 2), np.nan)
        for robot in np.flatnonzero(present):
            self._publish(paths[robot], observation, robot, np.zeros(2))
        return paths

    def _publish(self, path: np.ndarray, observation: Observation, robot: int, command: np.ndarray) -> None:
        """Write where a robot goes, path [horizon, 2], that gets a command for one step and then brakes."""
        pose, twist = observation.pose[robot], observation.twist[robot]
        self._monitor.braking_path(pose, twist, self._sent[robot], command, path)


def _advanced(pose: np.ndarray, twist: np.ndarray, time: float) -> np.ndarray:
    """Pose [3] after a short time [s] with a twist [2]."""
    yaw = pose[2] + 0.5 * twist[1] * time
    step = twist[0] * time
    return np.array([pose[0] + step * math.cos(yaw), pose[1] + step * math.sin(yaw), pose[2] + twist[1] * time])
