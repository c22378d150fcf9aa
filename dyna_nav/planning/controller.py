"""The navigator of one machine's fleet: Dyna-2 between what it senses and what it remembers.

One cycle (``Dyna2Controller.act``): notice what really happened (permanent memory), see what is new (live map), plan
what may be planned, and say why the others stand. Everything here runs in lockstep without ROS.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import STOP, RobotModel, action_set
from dyna_nav.parameters import check
from dyna_nav.planning.config import PlannerConfig
from dyna_nav.planning.dyna2 import Dyna2
from dyna_nav.planning.experience import learn_from_step
from dyna_nav.planning.fleet_state import FleetState, Plan
from dyna_nav.planning.goals import Goals
from dyna_nav.planning.lattice import Lattice
from dyna_nav.planning.obstacles import LiveMap
from dyna_nav.planning.report import HEMMED_IN, MAKES_WAY, ROUTE_PENDING, PlanReport
from dyna_nav.planning.routes import Routes
from dyna_nav.planning.site_memories import SiteMemories
from dyna_nav.planning.standing import BrokenDown
from dyna_nav.planning.values import Values
from dyna_nav.planning.vigilance import Assessment, Unwatched, Vigilance
from dyna_nav.safety.deadline import SteadyClock
from dyna_nav.safety.reserve import Countdown
from dyna_nav.site import Site
from dyna_nav.world_model.bundle import default_bundle, load_bundle
from dyna_nav.world_model.runtime import WorldModel


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
        return cls(model, Vigilance(loaded, model, provider, config.breaker, config.detector), config, memory_dir)

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
        self._model, self._config, self._memory_dir = model, config, memory_dir
        self._vigilance = vigilance or Unwatched()
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
        """Begin a run on a site; the permanent memory of that site is read back.

        Raises ValueError for a robot that is too large or too fast for how far the planner looks.
        """
        config = self._config
        config.braking.check_reach(model)
        self.close()
        self._actions = action_set(model, config.speeds)
        lattice = self._lattice(site, model)
        potential = (model, config.potential, config.tolerance, config.reward, config.dyna2.missing_speed)
        self._memories = SiteMemories(site, robots, model.max_speed, config.bins, potential, self._memory_dir)
        self._values = Values(
            robots,
            model,
            self._actions,
            lattice,
            permanent=self._memories.permanent,
            transient=self._memories.transient,
            reward=config.reward,
            tolerance=config.tolerance,
            missing_speed=config.dyna2.missing_speed,
            promise=config.dyna2.promise,
            margins=config.dyna2.foreseen_margin
            * np.array([config.braking.return_margin, config.braking.return_speed_margin]),
        )
        self._dyna2 = self.search(self._model, model, self._values, rng, config.dyna2, config.braking)
        self._routes = Routes(
            lattice, robots, model, self._dyna2, config.tolerance, config.potential, config.making_way
        )
        self._live = LiveMap(site, model.radius, config.obstacles, config.moving)
        self._goals = Goals(site, robots, model, config.tolerance)
        self._sent = np.zeros((robots, 2))
        self._broken_down = BrokenDown(robots, model)
        self._held = np.zeros(robots, bool)  # or may have been, by somebody else since the last cycle: teaches nothing
        self._last: FleetState | None = None
        self._time = math.nan  # of the last observation [s]
        self._warn(self._memories.problem)
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
        self._routes.assign(robot, self._goals.assign(robot, goal))

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
        self._routes.take(np.where(present[:, None], observation.pose, np.nan))
        found = self._vigilance.watch(observation)
        state = self._state(observation, present, found)
        self._notice(state, observation.time)
        self._warn(self._memories.keep(observation.time))
        self._live.update(observation, present)
        self._find_ways(state, observation.time)
        plan = self._dyna2.plan(state, self._live, seconds_left)
        commands = self._actions[plan.action]
        commands[~(state.planned | state.fallback)] = 0.0
        self._sent, self._last, self._time = commands.copy(), state, observation.time
        self._vigilance.commanded(observation, commands)
        reasons = [self._why_it_stands(robot, present, found, state, plan) for robot in range(len(present))]
        self._report(plan, found, reasons, start, seconds_left.looked)
        return commands

    def executed(self, commands: np.ndarray) -> None:
        """What reached the wheels [n, 2] (m/s, rad/s; NaN: unknown) since the last cycle.

        Without it a robot that the velocity gate holds would look as if it disobeyed, and its state as novel.
        """
        known = np.isfinite(commands).all(axis=1)
        self._held = ~known | (np.abs(commands - self._sent) > 1e-6).any(axis=1)
        self._sent = np.where(known[:, None], commands, self._sent)
        self._vigilance.executed(commands)

    # The parts of a cycle, in the order in which they run.

    def _state(self, observation: Observation, present: np.ndarray, found: Assessment) -> FleetState:
        pose = np.where(present[:, None], observation.pose, np.nan)
        twist = np.where(present[:, None], observation.twist, 0.0)
        battery = np.where(np.isfinite(observation.battery), observation.battery, 1.0)
        goals, routes = self._goals, self._routes
        goals.look(pose, twist[:, 0], routes.goal)
        target = routes.target
        in_refuge = routes.makes_way & goals.reached(pose, twist[:, 0], target)
        able = present & routes.ready & routes.reachable & ~goals.arrived & ~found.novel & ~in_refuge
        return FleetState(
            pose=pose,
            twist=twist,
            battery=battery,
            goal=target,
            previous=self._sent,
            goal_index=goals.index.copy(),
            planned=able & ~found.distrusted,
            fallback=able & found.distrusted,
            speed_scale=found.speed_scale,
            lateness=np.broadcast_to(self._config.braking.lateness(observation.command_delay), len(pose)),
        )

    def _notice(self, state: FleetState, now: float) -> None:
        """What came of the last commands by now [s]: who has broken down, and what the others' steps teach.

        That a robot has broken down says nothing about the place where it did; neither does making way.
        """
        elapsed, last = now - self._time, self._last
        self._broken_down.update(state.twist, ~self._held & self._sent.any(axis=1), elapsed)
        if last is not None:
            drove = (last.planned | last.fallback) & ~self._held & ~self._broken_down.robots & ~self._routes.makes_way
            rate = self._config.dyna2.permanent_rate
            learn_from_step(self._values, last, state, elapsed, drove, self._goals.arrived, rate)

    def _find_ways(self, state: FleetState, now: float) -> None:
        """Ask for the ways that the next cycles [s] will follow: to refuges, and around what stands."""
        able = (state.planned | state.fallback) & ~self._broken_down.robots
        under_way = ~self._goals.arrived & ~self._broken_down.robots
        self._routes.make_way(now, state.pose, able, under_way)
        tries = able & ~self._held
        waits = (tries & (self._sent[:, 0] <= 0.0)) | self._routes.makes_way
        self._routes.lead_around(self._live.obstacles, now, state.pose, under_way, tries, waits)

    def _why_it_stands(self, robot: int, present: np.ndarray, found: Assessment, state: FleetState, plan: Plan) -> str:
        """Why a robot with a goal stands by order of the planner; "" when it does not."""
        routes, drives = self._routes, state.planned[robot] or state.fallback[robot]
        if drives and plan.action[robot] == STOP and not plan.admissible[robot].any():
            return HEMMED_IN
        if np.isnan(routes.goal[robot, 0]) or self._goals.arrived[robot]:
            return ""
        if not present[robot]:
            return "bad input"
        if not routes.ready[robot]:
            return routes.waiting_for(robot) or ROUTE_PENDING
        if not routes.reachable[robot]:
            return "no way leads to the goal"
        if found.novel[robot]:
            return found.reason[robot]
        return "" if drives else MAKES_WAY

    def _report(self, plan: Plan, found: Assessment, reasons: list[str], start: float, imagined: float | None) -> None:
        """start, imagined: when the cycle began and its rollouts ended [s] (None: there were none)."""
        end = self._clock.now()
        self.report = PlanReport(
            cycle_ms=1e3 * (end - start),
            choosing_ms=math.nan if imagined is None else 1e3 * (end - imagined),
            uncertainty=plan.uncertainty,
            ood_score=found.score,
            arrived=self._goals.arrived.copy(),
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

    def save(self) -> None:
        """Write the permanent memory of this site, atomically; nothing happens without a memory folder.

        So it is once a minute while the robots drive. A disk that takes no more is one of the ``warnings``: it must not
        keep a planner from driving, or from ending in order.
        """
        if self._routes is not None:
            self._warn(self._memories.save())

    def close(self) -> None:
        """Save what was learned and stop the background threads."""
        if self._routes is not None:
            self.save()
            self._memories.close()
            self._routes.close()
            self._routes = None

    def _warn(self, problem: str | None) -> None:
        if problem and problem not in self.warnings:
            self.warnings.append(problem)
