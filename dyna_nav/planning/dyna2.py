"""Dyna-2 (Silver, Sutton and Mueller, ICML 2008) for a fleet: plan by imagining, act by the sum of two memories.

Every cycle, for all robots of the machine in one batch: rollouts start at the current state, one member of the ensemble
predicts each of them, the simulation policy follows the sum of the memories, rewards are shaped by the potential
(:mod:`dyna_nav.mdp`), and what they return is learned by the transient memory. The best imagined return of each action
ranks the actions; the braking rule decides, robot by robot, which of them may be taken.

``Dyna2.plan`` reads as the algorithm; the rollouts themselves are in imagination.py. It is anytime: there are as many
rollouts as fit into the budget, and when that runs out they end where they are and are bootstrapped there; too early,
and nothing of them counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dyna_nav.mdp import STEP, STOP, RobotModel
from dyna_nav.planning.admissible import BrakingConfig
from dyna_nav.planning.braking_rule import BrakingRule
from dyna_nav.planning.config import Dyna2Config
from dyna_nav.planning.escape import Escape
from dyna_nav.planning.fleet_state import FleetState, Plan, Scene
from dyna_nav.planning.forecast import FleetForecast
from dyna_nav.planning.imagination import Imagined, Rollouts, rows_for
from dyna_nav.planning.obstacles import LiveMap
from dyna_nav.planning.pace import Pace
from dyna_nav.planning.values import Values

_ENOUGH = 0.7  # share of the horizon that rollouts must have reached for their values to count
_LESSONS = 3  # steps of the best rollout from one state that the transient memory learns about to the next


class Dyna2:
    """Plans for a fleet on one site; holds what the robots told each other, and found best, in the last cycle."""

    def __init__(
        self,
        model,
        robot: RobotModel,
        values: Values,
        rng: np.random.Generator,
        config: Dyna2Config,
        braking: BrakingConfig,
    ):
        """``model`` predicts (:class:`dyna_nav.world_model.runtime.WorldModel` or alike)."""
        self.model, self.values, self.config = model, values, config
        self.robots, self.actions = len(values.fields), values.actions
        self._rng = rng
        self._rule = BrakingRule(robot, self.actions, braking)
        self.forecast = FleetForecast(self.robots, config.horizon + 2, self._rule.points, config.shared_predictions)
        self._speed = self.actions[:, 0] / robot.max_speed  # of each action, share of full speed
        self._escape = Escape(self.robots, self.actions, robot.radius)
        self._pace = Pace()
        self._warm = np.full((self.robots, config.horizon + 1), STOP)  # what was best in the last cycle, one step later
        self._draw = rng.integers(model.members, size=self.robots)  # of the members that predict each rollout

    # What the routes are told, and tell.

    @property
    def fields(self) -> np.ndarray:
        """Times to go [s] of the potential that each robot follows [robots, rows, cols, headings]."""
        return self.values.fields

    def reachable(self, robot: int, pose: np.ndarray) -> bool:
        """Whether a way leads from a pose [3] (map frame), or from close by, to the robot's goal."""
        return self.leads_on(self.fields[robot], pose)

    def leads_on(self, field: np.ndarray, pose: np.ndarray) -> bool:
        """Whether a potential's field [rows, cols, headings] has a way from a pose [3], or from close by."""
        return self.values.leads_on(field, pose)

    def forget(self, robot: int) -> None:
        """Begin a new episode for one robot: its transient memory is emptied, its rollouts are drawn other members.

        Not with every cycle: what differs between members would make actions look better and worse in turn.
        """
        self.values.transient.forget(robot)
        self._escape.forget(robot)
        self._warm[robot], self._draw[robot] = STOP, self._rng.integers(self.model.members)

    # One cycle, in the order in which it runs.

    def plan(self, state: FleetState, live: LiveMap, seconds_left: Callable[[], float] = lambda: np.inf) -> Plan:
        """One cycle: imagine, learn, choose. ``seconds_left`` tells how much of the budget remains [s]."""
        scene = self._look(state, live)
        imagined = Imagined(self.robots, len(self.actions), self.config.horizon)
        if state.planned.any():
            self._search(scene, imagined, seconds_left)
            self._learn(state, imagined)
        action, admissible = self._decide(scene, live, imagined)
        self._announce(state, imagined, action)
        return Plan(
            action=action,
            value=imagined.value,
            admissible=admissible,
            uncertainty=imagined.uncertainty[np.arange(self.robots), action],
            path=self.forecast.expected[:, : self.config.horizon + 1].copy(),
            model_calls=imagined.model_calls,
            steps=imagined.steps,
            rollouts=imagined.rollouts,
            cut=imagined.cut,
        )

    def _look(self, state: FleetState, live: LiveMap) -> Scene:
        """One step later: what was imagined has faded, what was announced has come nearer."""
        self.values.transient.fade(0.5 ** (STEP / self.config.transient_half_life))
        for robot in np.flatnonzero(state.fallback):  # what a model that is trusted no longer has taught is no guide
            self.values.transient.forget(robot)
        self.forecast.advance(state.pose, state.twist, state.planned | state.fallback)
        expected, contact = live.moving.beside(self.forecast.expected[:, :, :2], self.values.radius)
        geometry = np.array([*live.origin, live.resolution])
        return Scene(state, self.values.memories(), live.clearance, geometry, expected, contact)

    def _search(self, scene: Scene, imagined: Imagined, seconds_left: Callable[[], float]) -> None:
        """Value the first actions by imagining. What the alternatives replace."""
        before, horizon, planned = seconds_left(), self.config.horizon, scene.state.planned
        fits = self._pace.rows(before, horizon) / np.count_nonzero(planned)
        share = int(min(self._share(planned), fits))
        robot, number = rows_for(planned, share, self.model.members, len(self.actions), self._draw)
        first = np.where(number == len(self.actions), self._warm[robot, 0], number % len(self.actions))
        measured = number < len(self.actions)
        rollouts = Rollouts(self.model, self.values, self.config, scene, robot, first, measured)

        def policy(rollouts: Rollouts, step: int) -> None:
            rollouts.follow_simulation_policy(step, number, self._warm, self._rng.random((rollouts.rows, 3)))

        rollouts.run(policy, seconds_left)
        if rollouts.steps and not math.isinf(before):
            self._pace.note(before - seconds_left(), rollouts.rows, rollouts.steps)
        imagined.count(rollouts)
        if rollouts.steps and not (rollouts.cut and rollouts.steps < _ENOUGH * horizon):
            imagined.keep(rollouts, rollouts.returns())

    def _share(self, planned: np.ndarray) -> int:
        """Rollouts of each planned robot, time apart."""
        return min(self.config.rollouts, self.config.model_rows // int(np.count_nonzero(planned)))

    def _learn(self, state: FleetState, imagined: Imagined) -> None:
        """The transient memory learns from each robot's best rollout."""
        for robot in np.flatnonzero(state.planned):
            best = np.argmax(imagined.value[robot])
            for step in range(0, imagined.length[robot, best], _LESSONS):
                x, y, yaw, speed, battery = imagined.states[step, robot, best]
                known = self.values.learned(robot, (x, y, yaw), speed, battery, state.goal_index[robot])
                error = imagined.returns[step, robot, best] - known
                self.values.transient.learn((x, y, yaw), speed, battery, robot, error, self.config.transient_rate)

    def _decide(self, scene: Scene, live: LiveMap, imagined: Imagined) -> tuple[np.ndarray, np.ndarray]:
        """Robots choose in turn, each among what its braking rule admits: action [n], admissible [n, actions]."""
        state, rule = scene.state, self._rule
        action = np.full(self.robots, STOP)
        admissible = np.zeros((self.robots, len(self.actions)), np.bool_)
        rule.begin(state, live, self.forecast.braking)
        for robot in self._turns(state):
            admissible[robot] = rule.admissible(robot)
            choice = self._escape.narrow(robot, state.pose[robot], live.returns[robot], admissible[robot])
            action[robot] = self._best_of(scene, robot, imagined.value[robot], choice)
            rule.commit(robot, action[robot])
        return action, admissible

    def _turns(self, state: FleetState) -> np.ndarray:
        """Who chooses when: those that are nearly there first."""
        able = np.flatnonzero(state.planned | state.fallback)
        if not self.config.right_of_way:
            return self._rng.permutation(able)
        togo = [-self.values.potential(i, state.pose[i], state.twist[i, 0]) for i in able]
        return able[np.argsort(togo, kind="stable")]

    def _best_of(self, scene: Scene, robot: int, value: np.ndarray, admissible: np.ndarray) -> int:
        """The best of a robot's admissible actions (bool [actions]), by their imagined value [actions] if there is."""
        state = scene.state
        admissible = admissible & (self._speed <= state.speed_scale[robot] + 1e-9)
        if not admissible.any():
            return STOP
        value = np.where(admissible, value, -np.inf)
        if state.fallback[robot] or not np.isfinite(value).any():  # nothing imagined: no model, or no time
            return self.values.greedy(scene, robot, admissible)
        best = np.flatnonzero(value >= value.max() - 1e-9)
        return int(self._rng.choice(best))  # ties are not always the first action

    def _announce(self, state: FleetState, imagined: Imagined, action: np.ndarray) -> None:
        """Tell the fleet what to expect: the imagined path of each choice, the braking path of the fallback."""
        for robot in np.flatnonzero(~np.isnan(state.pose[:, 0])):
            path, actions = imagined.trajectory(robot, action[robot])
            self._warm[robot] = STOP
            if actions.size:
                self._warm[robot, : actions.size - 1] = actions[1:]
                self._warm[robot, actions.size - 1 :] = actions[-1]
            elif state.fallback[robot] or state.planned[robot]:  # the model was not asked
                path = self.forecast.braking_steps(robot)
            self.forecast.announce(robot, state.pose[robot], path)
