"""The navigator of one machine's fleet: Dyna-2 between what it senses and what it remembers.

One cycle: notice what really happened (permanent memory), see what is new (live map), plan what may be planned, and say
why the others stand. Everything here runs in lockstep without ROS.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, STOP, Bins, GoalTolerance, Reward, RobotModel, action_set, goal_reached
from dyna_nav.parameters import check, parameter
from dyna_nav.planning.admissible import BrakingConfig
from dyna_nav.planning.dyna2 import Dyna2, Dyna2Config
from dyna_nav.planning.fleet_state import FleetState
from dyna_nav.planning.lattice import Lattice, PotentialConfig
from dyna_nav.planning.making_way import MakingWayConfig
from dyna_nav.planning.memory import Grid, ValueMemory
from dyna_nav.planning.obstacles import LiveMap, ObstacleConfig
from dyna_nav.planning.routes import Routes
from dyna_nav.planning.standing import BrokenDown
from dyna_nav.planning.track import MovingConfig
from dyna_nav.planning.vigilance import Assessment, Vigilance
from dyna_nav.safety.circuit_breaker import CircuitBreakerConfig
from dyna_nav.safety.deadline import SteadyClock
from dyna_nav.safety.reserve import Countdown
from dyna_nav.site import Site
from dyna_nav.world_model.bundle import default_bundle, load_bundle
from dyna_nav.world_model.runtime import WorldModel

ROUTE_PENDING = "route is being computed"
HEMMED_IN = "nothing admissible but braking"
MAKES_WAY = "makes way for another robot"
WAITS = (ROUTE_PENDING, HEMMED_IN, MAKES_WAY)  # reasons to stand that are part of driving; any other is a safe-stop

_LARGEST_ERROR = 1.0  # one real step teaches no more than this: ten seconds of delay
_TRANSIENT_BIN = 0.5  # size of the transient memory's bins [m]: an episode's obstacles are smaller than an aisle


@dataclass(frozen=True)
class PlannerConfig:
    """Everything that can be set about the planner."""

    dyna2: Dyna2Config = field(default_factory=Dyna2Config)
    braking: BrakingConfig = field(default_factory=BrakingConfig)
    obstacles: ObstacleConfig = field(default_factory=ObstacleConfig)
    moving: MovingConfig = field(default_factory=MovingConfig)
    potential: PotentialConfig = field(default_factory=PotentialConfig)
    making_way: MakingWayConfig = field(default_factory=MakingWayConfig)
    tolerance: GoalTolerance = field(default_factory=GoalTolerance)
    reward: Reward = field(default_factory=Reward)
    bins: Bins = field(default_factory=Bins)
    breaker: CircuitBreakerConfig = field(default_factory=CircuitBreakerConfig)
    speeds: tuple[float, ...] = parameter(
        (0.0, 0.5, 1.0), "speeds of the actions, fractions of full", minimum=0, maximum=1
    )
    budget_ms: float = parameter(
        34.0,
        "time of a whole cycle; its rollouts end when the rest is needed to choose and to send; 0: never [ms]",
        minimum=0,
        maximum=1000,
    )


@dataclass(frozen=True)
class PlanReport:
    """What the last cycle did; row i is robot i."""

    cycle_ms: float
    choosing_ms: float  # of which after the rollouts; NaN: there were none
    uncertainty: np.ndarray  # [n] epistemic
    ood_score: np.ndarray  # [n]
    arrived: np.ndarray  # [n] bool: stands at its goal
    stop_reason: list[str]  # why a robot with a goal stands by order of the planner; "" when it does not
    model_calls: int  # rows the model predicted
    steps: int  # imagined steps that fitted into the budget
    rollouts: int  # imagined for each planned robot; fewer than configured where time is short
    cut: bool  # whether there was no time to reach the horizon
    plans: np.ndarray  # [n, horizon + 1, 3] poses, map frame
    breaker_open: np.ndarray  # [n] bool
    prediction_error: np.ndarray  # [n] rolling, normalised units; NaN before the first step
    unjudged: np.ndarray  # [n] odometry [Hz] of a robot whose driving could not be judged for long; NaN: it can


class Dyna2Controller:
    """Drives a fleet with a learned world model and two memories (a :class:`dyna_nav.controller.Controller`)."""

    search = Dyna2  # how actions are found and valued; everything around it is shared with the alternatives

    @classmethod
    def from_bundle(
        cls,
        bundle: str | Path | None = None,
        config: PlannerConfig | None = None,
        memory_dir: Path | None = None,
        provider: str = "auto",
    ) -> Dyna2Controller:
        """The controller of a model bundle (None: the default one), with everything that watches over it.

        Raises BundleError, one sentence naming the file, for a bundle that cannot be used.
        """
        loaded = load_bundle(default_bundle() if bundle is None else bundle)
        model = WorldModel(loaded, provider)
        config = config or PlannerConfig()
        return cls(model, Vigilance(loaded, model, provider, config.breaker), config, memory_dir)

    def __init__(
        self,
        model,
        vigilance: Vigilance | None = None,
        config: PlannerConfig | None = None,
        memory_dir: Path | None = None,
        clock: SteadyClock | None = None,
    ):
        """``model`` predicts (world_model.runtime.WorldModel or alike), ``vigilance`` judges what it predicted.

        Without vigilance nothing watches for novelty or a failing model. ``clock`` measures the budget of a cycle.
        Raises ValueError for a bad configuration.
        """
        config = config or PlannerConfig()
        check(config)
        self._model, self._vigilance, self._config, self._memory_dir = model, vigilance, config, memory_dir
        self._clock = clock or SteadyClock()
        self._routes: Routes | None = None
        self.warnings: list[str] = list(model.warnings)
        self.report: PlanReport | None = None

    @property
    def model_version(self) -> str:
        """Version of the model that plans."""
        return self._model.version

    @property
    def provider(self) -> str:
        """What runs the model, as its session reports it."""
        return self._model.provider

    def reset(self, site: Site, robots: int, rng: np.random.Generator, model: RobotModel) -> None:
        """Begin a run on a site; the permanent memory of that site is read back."""
        self.close()
        config = self._config
        self._site, self._robots, self._robot_model = site, robots, model
        self._actions = action_set(model, config.speeds)
        lattice = self._lattice(site, model)
        extent = tuple(np.array(site.clearance.shape[::-1]) * site.map.resolution)
        grid = Grid(tuple(site.map.origin), extent)
        self._permanent = ValueMemory(config.bins, grid, model.max_speed)
        fine = replace(  # nowhere coarser: what sets a standing robot's value right would be promised to a driving one
            config.bins, x=max(config.bins.x, math.ceil(extent[0] / _TRANSIENT_BIN)),
            y=max(config.bins.y, math.ceil(extent[1] / _TRANSIENT_BIN)), goal=robots,
        )  # fmt: skip
        transient = ValueMemory(fine, grid, model.max_speed)
        self._memory_file = None
        if self._memory_dir is not None:
            self._memory_file = Path(self._memory_dir) / f"permanent-{_digest(site)}.npz"
            problem = self._permanent.load(self._memory_file)
            if problem:
                self.warnings.append(problem)
        self._dyna2 = self.search(
            self._model, robots, model, self._actions, lattice, self._permanent, transient, rng, config.dyna2,
            config.braking, config.reward, config.tolerance,
        )  # fmt: skip
        self._routes = Routes(
            lattice, robots, model, self._dyna2, config.tolerance, config.potential, config.making_way
        )
        self._live = LiveMap(site, model.radius, config.obstacles, config.moving)
        self._goal_index = np.zeros(robots, np.int64)
        self._arrived = np.zeros(robots, bool)
        self._sent = np.zeros((robots, 2))
        self._broken_down = BrokenDown(robots, model)
        self._held = np.zeros(robots, bool)  # or may have been, by somebody else since the last cycle: teaches nothing
        self._last: FleetState | None = None
        self._time = math.nan  # of the last observation [s]
        no, unknown = np.zeros(robots, bool), np.full(robots, np.nan)
        self._unwatched = Assessment(
            novel=no,
            reason=("",) * robots,
            distrusted=no,
            speed_scale=np.ones(robots),
            score=unknown,
            error=unknown,
            unjudged=unknown,
        )
        if self._vigilance is not None:
            self.warnings += self._vigilance.reset(site, robots)

    def _lattice(self, site: Site, model: RobotModel) -> Lattice:
        return Lattice.of(site, model, self._config.potential)

    def assign(self, robot: int, goal: np.ndarray | None) -> None:
        """Give a robot a goal pose [3] (map frame), or none; it stands until the goal's potential is there.

        Raises ValueError, and leaves the robot's goal as it is, when the goal is not finite, outside the map, or where
        the robot cannot stand.
        """
        if self._routes is None:
            raise ValueError(f"robot {robot} got a goal before reset or after close; call reset first")
        if not 0 <= robot < self._robots:
            raise ValueError(f"there is no robot {robot}; robots are numbered 0 to {self._robots - 1}")
        if goal is not None:
            goal = np.asarray(goal, float)
            if goal.shape != (3,) or not np.isfinite(goal).all():
                raise ValueError(f"goal {goal.tolist()} of robot {robot} is not a finite pose (x, y, yaw)")
            if not self._site.map.contains(goal[:2]):
                raise ValueError(f"goal ({goal[0]:.2f}, {goal[1]:.2f}) of robot {robot} lies outside the map")
            if not self._site.standable(goal[:2], self._robot_model.radius):
                clearance = float(self._site.clearance_at(goal[:2]))
                raise ValueError(
                    f"goal ({goal[0]:.2f}, {goal[1]:.2f}) of robot {robot} has {clearance:.2f} m of room;"
                    f" the robot needs {self._robot_model.radius:.2f} m"
                )
        self._arrived[robot] = False
        self._routes.assign(robot, goal)
        stations = self._site.stations
        if goal is not None and stations:
            self._goal_index[robot] = min(
                range(len(stations)), key=lambda k: math.hypot(stations[k].x - goal[0], stations[k].y - goal[1])
            )

    def wait_for_potentials(self) -> None:
        """Block until every assigned goal has its potential (lockstep runs, where no time passes meanwhile)."""
        self._routes.wait()

    def act(self, observation: Observation, budget: float | None = None) -> np.ndarray:
        """Commands [robots, 2] (m/s, rad/s); robots without a goal, with bad inputs or on a safe-stop get zero.

        budget: time after which rollouts end [s], by default the configured one; what follows them is reported
        (``choosing_ms``), so that who has a deadline can keep time for it.
        """
        start = self._clock.now()
        if budget is None:
            budget = self._config.budget_ms / 1e3 or math.inf
        seconds_left = Countdown(start + budget, self._clock)
        present = np.isfinite(observation.pose).all(axis=1) & np.isfinite(observation.twist).all(axis=1)
        self._routes.take(np.where(present[:, None], observation.pose, np.nan), observation.time)
        found = self._vigilance.watch(observation) if self._vigilance is not None else self._unwatched
        state = self._state(observation, present, found)
        elapsed = observation.time - self._time
        self._broken_down.update(state.twist, ~self._held & self._sent.any(axis=1), elapsed)
        self._remember(state, elapsed)
        self._live.update(observation, present)
        able = (state.planned | state.fallback) & ~self._broken_down.robots
        self._routes.make_way(observation.time, state.pose, able)
        waits = able & ~self._held & (self._sent[:, 0] <= 0.0)
        self._routes.lead_around(self._live.obstacles, observation.time, state.pose, ~self._arrived, waits)
        self._time = observation.time
        reasons = [self._why_it_stands(robot, present, found, state) for robot in range(self._robots)]
        plan = self._dyna2.plan(state, self._live, seconds_left)
        commands = self._actions[plan.action]
        commands[~(state.planned | state.fallback)] = 0.0
        for robot in np.flatnonzero(state.planned | state.fallback):
            if plan.action[robot] == STOP and not plan.admissible[robot].any():
                reasons[robot] = HEMMED_IN
        self._sent = commands.copy()
        self._last = state
        if self._vigilance is not None:
            self._vigilance.commanded(observation, commands)
        end = self._clock.now()
        self.report = PlanReport(
            cycle_ms=1e3 * (end - start),
            choosing_ms=math.nan if seconds_left.looked is None else 1e3 * (end - seconds_left.looked),
            uncertainty=plan.uncertainty,
            ood_score=found.score,
            arrived=self._arrived.copy(),
            stop_reason=reasons,
            model_calls=plan.model_calls,
            steps=plan.steps,
            rollouts=plan.rollouts,
            cut=plan.cut,
            plans=plan.path,
            breaker_open=found.distrusted,
            prediction_error=found.error,
            unjudged=found.unjudged,
        )
        return commands

    def executed(self, commands: np.ndarray) -> None:
        """What reached the wheels [n, 2] (m/s, rad/s; NaN: unknown) since the last cycle.

        Without it a robot that the velocity gate holds would look as if it disobeyed, and its state as novel.
        """
        known = np.isfinite(commands).all(axis=1)
        self._held = ~known | (np.abs(commands - self._sent) > 1e-6).any(axis=1)
        self._sent = np.where(known[:, None], commands, self._sent)
        if self._vigilance is not None:
            self._vigilance.executed(commands)

    def _why_it_stands(self, robot: int, present: np.ndarray, found: Assessment, state: FleetState) -> str:
        """Why a robot with a goal is not planned; "" when it is."""
        routes = self._routes
        if np.isnan(routes.goal[robot, 0]) or self._arrived[robot]:
            return ""
        if not present[robot]:
            return "bad input"
        if not routes.ready[robot]:
            return routes.waiting_for(robot) or ROUTE_PENDING
        if not routes.reachable[robot]:
            return "no way leads to the goal"
        if found.novel[robot]:
            return found.reason[robot]
        return "" if state.planned[robot] or state.fallback[robot] else MAKES_WAY

    def _state(self, observation: Observation, present: np.ndarray, found: Assessment) -> FleetState:
        pose = np.where(present[:, None], observation.pose, np.nan)
        twist = np.where(present[:, None], observation.twist, 0.0)
        battery = np.where(np.isfinite(observation.battery), observation.battery, 1.0)
        tolerance, routes = self._config.tolerance, self._routes
        with np.errstate(invalid="ignore"):  # who was pushed away has to come again
            self._arrived &= ~(np.hypot(*(pose - routes.goal)[:, :2].T) > tolerance.position)
            self._arrived |= present & goal_reached(pose, twist[:, 0], routes.goal, tolerance)
        target = routes.target
        in_refuge = routes.makes_way & goal_reached(pose, twist[:, 0], target, tolerance)
        able = present & routes.ready & routes.reachable & ~self._arrived & ~found.novel & ~in_refuge
        return FleetState(
            pose=pose,
            twist=twist,
            battery=battery,
            goal=target,
            previous=self._sent,
            goal_index=self._goal_index.copy(),
            planned=able & ~found.distrusted,
            fallback=able & found.distrusted,
            speed_scale=found.speed_scale,
            lateness=np.broadcast_to(self._config.braking.lateness(observation.command_delay), self._robots),
        )

    def _remember(self, state: FleetState, elapsed: float) -> None:
        """The permanent memory learns the delay of the step that really happened: TD(0) on its own error alone.

        That a robot has broken down says nothing about the place where it did.
        """
        last, reward = self._last, self._config.reward
        if last is None or abs(elapsed - STEP) > 0.5 * STEP:  # a cycle was missed: what happened took longer
            return
        dyna2 = self._dyna2
        drove = (last.planned | last.fallback) & ~self._held & ~self._broken_down.robots
        for robot in np.flatnonzero(drove & ~self._routes.makes_way):
            if np.isnan(state.pose[robot, 0]) or not np.array_equal(state.goal[robot], last.goal[robot]):
                continue
            before = dyna2.potential(robot, last.pose[robot], last.twist[robot, 0])
            old = (last.pose[robot], last.twist[robot, 0], last.battery[robot], self._goal_index[robot])
            if self._arrived[robot]:
                target = reward.step + reward.goal - before
            else:
                new = (state.pose[robot], state.twist[robot, 0], state.battery[robot], self._goal_index[robot])
                after = dyna2.potential(robot, state.pose[robot], state.twist[robot, 0])
                target = reward.step + after - before + reward.discount * self._permanent.value(*new)
            error = min(max(target - self._permanent.value(*old), -_LARGEST_ERROR), _LARGEST_ERROR)
            self._permanent.learn(*old, error, self._config.dyna2.permanent_rate)

    def save(self) -> None:
        """Write the permanent memory of this site, atomically; nothing happens without a memory folder.

        A disk that takes no more is one of the ``warnings``: it must not keep a planner from ending in order.
        """
        if self._routes is None or self._memory_file is None:
            return
        try:
            self._permanent.save(self._memory_file)
        except OSError as error:
            reason = error.strerror or error
            self.warnings.append(f"permanent memory {self._memory_file} cannot be written ({reason}); it is as before")

    def close(self) -> None:
        """Save what was learned and stop the background thread."""
        if self._routes is not None:
            self.save()
            self._routes.close()
            self._routes = None


def _digest(site: Site) -> str:
    """A name for a site that changes with its map and its stations, by which goals are numbered."""
    shape = (*site.map.shape, site.map.resolution, *site.map.origin)
    stations = [(station.x, station.y, station.yaw) for station in site.stations]
    return hashlib.sha256(site.map.cells.tobytes() + repr((shape, stations)).encode()).hexdigest()[:12]
