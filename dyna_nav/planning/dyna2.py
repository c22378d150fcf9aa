"""Dyna-2 (Silver, Sutton and Mueller, ICML 2008) for a fleet: plan by imagining, act by the sum of two memories.

Every cycle, for all robots of the machine in one batch: rollouts start at the current state, one member of the ensemble
predicts each of them, the simulation policy follows the sum of the memories, rewards are shaped by the potential
(:mod:`dyna_nav.mdp`), and what they return is learned by the transient memory. The best imagined return of each action
ranks the actions; the braking rule decides, robot by robot, which of them may be taken.

``Dyna2.plan`` reads as the algorithm. It is anytime: there are as many rollouts as fit into the budget, and when that
runs out they end where they are and are bootstrapped there; too early, and nothing of them counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dyna_nav.mdp import STEP, STOP, GoalTolerance, Reward, RobotModel
from dyna_nav.parameters import parameter
from dyna_nav.planning.admissible import BrakingConfig
from dyna_nav.planning.braking_rule import BrakingRule
from dyna_nav.planning.escape import Escape
from dyna_nav.planning.fleet_state import FleetState, Plan
from dyna_nav.planning.forecast import FleetForecast
from dyna_nav.planning.lattice import HEADINGS, Lattice
from dyna_nav.planning.memory import ValueMemory
from dyna_nav.planning.obstacles import LiveMap
from dyna_nav.planning.pace import Pace
from dyna_nav.planning.rollouts import (
    NO_WAY,
    choose,
    greedy_action,
    judge,
    live_clearances,
    potential_of,
    returns,
    steps_to_go,
)
from dyna_nav.world_model.encoding import CLEARANCE_POINTS, FEATURES, REWARD, apply_delta, encode_rows

_ENOUGH = 0.7  # share of the horizon that rollouts must have reached for their values to count
_DOUBT_PERIOD = 5  # imagined steps from one measurement of the ensemble's disagreement to the next


@dataclass(frozen=True)
class Dyna2Config:
    """Simulation policy, horizon, penalties and learning rates."""

    rollouts: int = parameter(60, "imagined trajectories per robot and cycle, at most", minimum=10, maximum=2000)
    model_rows: int = parameter(
        320, "rows that the model predicts per imagined step, all robots together", minimum=10, maximum=100_000
    )
    horizon: int = parameter(10, "steps of a rollout", minimum=1, maximum=100)
    cautious_horizon: int = parameter(5, "steps of a rollout when the ensemble is uncertain", minimum=1, maximum=100)
    uncertain: float = parameter(0.3, "uncertainty above which rollouts are cautious", minimum=0, maximum=100)
    very_uncertain: float = parameter(0.5, "uncertainty above which a rollout is cut short", minimum=0, maximum=100)
    uncertainty_penalty: float = parameter(0.1, "price per step of uncertainty beyond uncertain", minimum=0, maximum=10)
    change: float = parameter(0.15, "probability per step that a rollout changes its action", minimum=0, maximum=1)
    greedy: float = parameter(0.5, "share of those changes that go to the greedy action", minimum=0, maximum=1)
    transient_rate: float = parameter(0.2, "learning rate of the transient memory", minimum=0, maximum=1)
    transient_half_life: float = parameter(
        3.0, "time after which what was imagined, and is not again, counts half [s]", minimum=0.1, maximum=1e6
    )
    permanent_rate: float = parameter(0.05, "learning rate of the permanent memory", minimum=0, maximum=1)
    near: float = parameter(0.4, "gap to another robot below which coming nearer costs [m]", minimum=0.01, maximum=5)
    near_price: float = parameter(0.2, "price of touching distance to another robot, per second", minimum=0, maximum=10)
    missing_speed: float = parameter(
        0.35, "share of the time to regain full speed that counts as time to go", minimum=0, maximum=2
    )
    shared_predictions: bool = parameter(
        True, "robots tell each other what they plan; otherwise each is taken to go on as it does"
    )
    right_of_way: bool = parameter(
        True, "robots choose in the order of their time to go; otherwise in one that changes at random"
    )


class Dyna2:
    """Plans for a fleet on one site; holds the transient memory and what the robots told each other last cycle."""

    def __init__(
        self,
        model,
        robots: int,
        robot: RobotModel,
        actions: np.ndarray,
        lattice: Lattice,
        permanent: ValueMemory,
        transient: ValueMemory,
        rng: np.random.Generator,
        config: Dyna2Config,
        braking: BrakingConfig,
        reward: Reward,
        tolerance: GoalTolerance,
    ):
        """``model`` predicts (:class:`dyna_nav.world_model.runtime.WorldModel` or alike); actions [actions, 2]."""
        self.model, self.robots, self.actions, self.config = model, robots, actions, config
        self.permanent, self.transient = permanent, transient
        self.fields = np.zeros((robots, *lattice.clearance.shape, HEADINGS), np.float32)  # time to go of each robot [s]
        self._radius, self._rng, self._discount = robot.radius, rng, reward.discount
        self._lattice = np.array([*lattice.origin, lattice.resolution])
        self._reward = np.array([reward.goal, reward.step, reward.collision])
        self._motion = np.array([robot.max_speed, robot.acceleration, robot.deceleration, config.missing_speed])
        self._limits = np.array([robot.acceleration, robot.deceleration, robot.turn_acceleration])
        self._tolerance = np.array([tolerance.position, tolerance.heading, tolerance.speed])
        self._nearness = np.array([config.near, config.near_price])
        self._rule = BrakingRule(robot, actions, braking)
        self.forecast = FleetForecast(robots, config.horizon + 2, self._rule.points, config.shared_predictions)
        self._speed = actions[:, 0] / robot.max_speed  # of each action, share of full speed
        self._escape = Escape(robots, actions, robot.radius)
        self._pace = Pace()
        self._warm = np.full((robots, config.horizon + 1), STOP)

    def forget(self, robot: int) -> None:
        """Begin a new episode for one robot: its transient memory is emptied."""
        self.transient.forget(robot)
        self._escape.forget(robot)
        self._warm[robot] = STOP

    def potential(self, robot: int, pose: np.ndarray, speed: float) -> float:
        """Phi of a state of one robot: pose [3] (map frame), speed [m/s]."""
        return potential_of(self.fields[robot], self._lattice, *pose, speed, self._motion, self._reward)

    def reachable(self, robot: int, pose: np.ndarray) -> bool:
        """Whether a way leads from a pose [3] (map frame), or from close by, to the robot's goal."""
        return self.leads_on(self.fields[robot], pose)

    def leads_on(self, field: np.ndarray, pose: np.ndarray) -> bool:
        """Whether a potential's field [rows, cols, headings] has a way from a pose [3], or from close by."""
        return steps_to_go(field, self._lattice, *pose, 0.0, self._motion) < NO_WAY

    def plan(self, state: FleetState, live: LiveMap, seconds_left: Callable[[], float] = lambda: np.inf) -> Plan:
        """One cycle: imagine, learn, choose. ``seconds_left`` tells how much of the budget remains [s]."""
        self._begin(state, live)
        steps = self._search(seconds_left) if self._active.size else 0
        return self._decide(steps)

    def _search(self, seconds_left: Callable[[], float]) -> int:
        """Value the first actions by imagining; returns the steps that fitted. What the alternatives replace."""
        share, before = min(self.config.rollouts, self.config.model_rows // self._active.size), seconds_left()
        self._start(int(min(share, self._pace.rows(before, self.config.horizon) / self._active.size)))
        steps = self._roll_out(seconds_left)
        if steps and not math.isinf(before):
            self._pace.note(before - seconds_left(), self._rows, steps)
        if self._cut and steps < _ENOUGH * self.config.horizon:
            return 0
        if steps:
            self._learn(self._rank())
        return steps

    def _roll_out(self, seconds_left: Callable[[], float]) -> int:
        """Imagine all rollouts step by step while there is time; returns the steps that fitted."""
        step = 0
        pace, begin = 0.0, seconds_left()
        while (
            step < self.config.horizon and seconds_left() > 1.5 * pace and (self._running & (self._limit > step)).any()
        ):
            self._choose(step)
            self._imagine(step)
            self._judge(step)
            step += 1
            pace = 0.0 if math.isinf(begin) else (begin - seconds_left()) / step
        self._cut = step < self.config.horizon and bool((self._running & (self._limit > step)).any())
        return step

    # One cycle, in the order in which it runs.

    def _begin(self, state: FleetState, live: LiveMap) -> None:
        self._state, self._live = state, live
        self._geometry = np.array([*live.origin, live.resolution])
        self._memories = (
            self.permanent.layout, self.permanent.keys, self.permanent.weights,
            self.transient.layout, self.transient.keys, self.transient.weights,
        )  # fmt: skip
        self.transient.fade(0.5 ** (STEP / self.config.transient_half_life))
        self.forecast.advance(state.pose, state.twist, state.planned | state.fallback)
        self._expected, self._contact = live.moving.beside(self.forecast.expected[:, :, :2], self._radius)
        self._active, actions = np.flatnonzero(state.planned), len(self.actions)
        self._model_calls, self._rollouts, self._cut = 0, 0, False
        self._uncertainty = np.zeros((self.robots, actions))
        self._action_value = np.full((self.robots, actions), -np.inf)
        self._best_row = np.full((self.robots, actions), -1)
        if not self._active.size:
            return
        self._doubts = np.zeros((self.robots, actions))

    def _start(self, share: int) -> None:
        """Put the rollouts of all planned robots, ``share`` for each or few more, at the states the robots are in.

        However few: each action begins one, and what was best in the last cycle another.
        """
        state, active, actions, members = self._state, self._active, len(self.actions), self.model.members
        per_member = max(-(-(actions + 1) // members), share // members)
        member, robot, number = np.meshgrid(np.arange(members), active, np.arange(per_member), indexing="ij")
        self._robot = np.ascontiguousarray(robot.ravel())
        self._number = np.ascontiguousarray((number * members + member).ravel())  # rollout of that robot
        rows = self._rows = self._robot.size
        self._rollouts += rows // active.size
        horizon = self.config.horizon
        self._first = np.where(
            self._number == actions, self._warm[self._robot, 0], self._number % actions
        )  # action each rollout begins with
        self._pose, self._twist = state.pose[self._robot].copy(), state.twist[self._robot].copy()
        self._battery, self._goal = state.battery[self._robot].copy(), state.goal[self._robot].copy()
        self._sent = state.previous[self._robot].copy()
        self._chosen = np.full((horizon, rows), STOP)
        self._delay = np.zeros((horizon, rows))
        self._states = np.zeros((horizon + 1, rows, 5))
        self._length = np.zeros(rows, np.int64)
        self._limit = np.full(rows, horizon)
        self._running = np.ones(rows, np.bool_)
        self._from = self._pose[:, :2].copy()
        self._penalty = np.zeros(rows)
        self._potential = np.array([self.potential(i, state.pose[i], state.twist[i, 0]) for i in active])[
            np.searchsorted(active, self._robot)
        ]
        self._clearances = np.empty((rows, CLEARANCE_POINTS))
        self._features = np.empty((rows, FEATURES), np.float32)
        self._record(0)

    def _choose(self, step: int) -> None:
        choose(
            step, self._robot, self._number, self._chosen, self._running, self._pose, self._twist, self._battery,
            self._warm, self._rng.random((self._rows, 3)), self.config.change, self.config.greedy, self.fields,
            self._lattice, self._memories, self._state.goal_index, self.actions, self._motion, self._limits,
            self._reward, self._radius, self._live.clearance, self._geometry,
        )  # fmt: skip

    def _imagine(self, step: int) -> None:
        """One step of every rollout, as its own member expects it.

        What the member does not know of this step (its variance) is not drawn: it is the sensors' noise and the payload
        more than anything that an action could be chosen by.
        """
        command = self.actions[self._chosen[step]]
        live_clearances(self._pose, self._live.clearance, self._geometry, self._clearances)
        encode_rows(
            self._pose, self._twist, self._battery, self._goal, self._sent, command, self._clearances, self._features
        )
        if step % _DOUBT_PERIOD == 0:
            self._doubt(step)
        members = self.model.members
        mean, _ = self.model.predict(self._features.reshape(members, -1, FEATURES))
        self._model_calls += self._rows
        self._sent = command
        apply_delta(self._pose, self._twist, self._battery, mean.reshape(self._rows, -1)[:, :REWARD])

    def _doubt(self, step: int) -> None:
        """Measure the ensemble's disagreement along the rollouts that hold each action; all others follow theirs."""
        held = np.flatnonzero((self._number < len(self.actions)) & self._running)
        if not held.size:
            return
        epistemic, _ = self.model.disagreement(self._features[held])
        self._model_calls += held.size * self.model.members
        table = self._doubts  # keeps the last value of actions whose held rollout has ended
        table[self._robot[held], self._first[held]] = epistemic
        if step == 0:
            self._uncertainty = table.copy()
        self._follow_doubt(step)

    def _follow_doubt(self, step: int) -> None:
        """Every rollout pays, and ends, by the doubt about the action that it began with."""
        doubt = self._doubts[self._robot, self._first]
        if step == 0:
            self._limit[doubt > self.config.uncertain] = min(self.config.cautious_horizon, self.config.horizon)
        # Among familiar actions uncertainty differs by more than their worth does: only the excess is priced.
        self._penalty = self.config.uncertainty_penalty * np.maximum(doubt - self.config.uncertain, 0.0)
        if step > 0:
            self._limit[doubt > self.config.very_uncertain] = np.minimum(
                self._limit[doubt > self.config.very_uncertain], step + 1
            )

    def _judge(self, step: int) -> None:
        moving = self._running & (self._length == step) & (self._limit > step)
        going = moving.copy()  # cleared for rows that crash or arrive
        judge(
            step, self._robot, going, self._pose, self._twist, self._goal, self._tolerance, self._potential,
            self._delay, self.fields, self._lattice, self._motion, self._reward, self._radius, self._live.clearance,
            self._geometry, self._expected, self._contact, self._nearness, self._penalty, self._from,
        )  # fmt: skip
        self._length[moving] = step + 1
        self._running[moving & ~going] = False
        self._record(step + 1)

    def _record(self, step: int) -> None:
        self._states[step, :, :3], self._states[step, :, 3], self._states[step, :, 4] = (
            self._pose, self._twist[:, 0], self._battery,
        )  # fmt: skip

    def _rank(self) -> np.ndarray:
        """Returns [horizon + 1, rows] from every step; the best one of each action ranks the actions."""
        total = np.zeros((self.config.horizon + 1, self._rows))
        returns(
            self._length, self._robot, self._running, self._delay, self._states, self._memories, self._state.goal_index,
            self._discount, total,
        )  # fmt: skip
        np.nan_to_num(total, copy=False, nan=-np.inf, posinf=-np.inf)  # a model that answers nonsense plans nothing
        order = np.argsort(total[0], kind="stable")  # later assignments win: the best row of each robot and action
        self._best_row[self._robot[order], self._first[order]] = order
        self._action_value[self._robot[order], self._first[order]] = total[0][order]
        return total

    def _learn(self, total: np.ndarray) -> None:
        """The transient memory learns from each robot's best rollout; total [horizon + 1, rows]: returns."""
        for robot in np.flatnonzero(self._state.planned):
            row = self._best_row[robot, np.argmax(self._action_value[robot])]
            if not np.isfinite(total[0, row]):
                continue
            for step in range(0, self._length[row], 3):
                x, y, yaw, speed, battery = self._states[step, row]
                known = self.permanent.value((x, y, yaw), speed, battery, self._state.goal_index[robot])
                known += self.transient.value((x, y, yaw), speed, battery, robot)
                error = total[step, row] - known
                self.transient.learn((x, y, yaw), speed, battery, robot, error, self.config.transient_rate)

    def _decide(self, steps: int) -> Plan:
        """Robots choose in turn, those that are nearly there first; each among the actions its braking rule admits."""
        state, rule = self._state, self._rule
        action = np.full(self.robots, STOP)
        admissible = np.zeros((self.robots, len(self.actions)), np.bool_)
        rule.begin(state, self._live, self.forecast.braking)
        for robot in self._turns():
            admissible[robot] = rule.admissible(robot)
            choice = self._escape.narrow(robot, state.pose[robot], self._live.returns[robot], admissible[robot])
            action[robot] = self._best_of(robot, choice)
            rule.commit(robot, action[robot])
        self._publish(action)
        return Plan(
            action=action,
            value=self._action_value,
            admissible=admissible,
            uncertainty=self._uncertainty[np.arange(self.robots), action],
            path=self.forecast.expected[:, : self.config.horizon + 1].copy(),
            model_calls=self._model_calls,
            steps=steps,
            rollouts=self._rollouts,
            cut=self._cut,
        )

    def _turns(self) -> np.ndarray:
        able = np.flatnonzero(self._state.planned | self._state.fallback)
        if not self.config.right_of_way:
            return self._rng.permutation(able)
        togo = [-self.potential(i, self._state.pose[i], self._state.twist[i, 0]) for i in able]
        return able[np.argsort(togo, kind="stable")]

    def _best_of(self, robot: int, admissible: np.ndarray) -> int:
        state = self._state
        admissible = admissible & (self._speed <= state.speed_scale[robot] + 1e-9)
        if not admissible.any():
            return STOP
        value = np.where(admissible, self._action_value[robot], -np.inf)
        if state.fallback[robot] or not np.isfinite(value).any():  # nothing imagined: no model, or no time
            return greedy_action(
                self.fields[robot], self._lattice, self._memories, robot, state.pose[robot], state.twist[robot],
                state.battery[robot], state.goal_index, self.actions, self._motion, self._limits, self._reward,
                self._radius, self._live.clearance, self._geometry, admissible,
            )  # fmt: skip
        best = np.flatnonzero(value >= value.max() - 1e-9)
        return int(self._rng.choice(best))  # ties are not always the first action

    def _publish(self, action: np.ndarray) -> None:
        """Tell the fleet what to expect: the imagined path of each choice, the braking path of the fallback."""
        for robot in np.flatnonzero(~np.isnan(self._state.pose[:, 0])):
            row, path = self._best_row[robot, action[robot]], np.empty((0, 3))
            self._warm[robot] = STOP
            if row >= 0:
                length = self._length[row]
                path = self._states[1 : length + 1, row, :3]
                self._warm[robot, : max(length - 1, 0)] = self._chosen[1:length, row]
                self._warm[robot, max(length - 1, 0) :] = self._chosen[max(length - 1, 0), row]
            elif self._state.fallback[robot] or self._state.planned[robot]:  # the model was not asked
                path = self.forecast.braking_steps(robot)
            self.forecast.announce(robot, self._state.pose[robot], path)
