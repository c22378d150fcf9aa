"""Experience for the world model: robots of scripted drivers in random warehouses, recorded step by step.

What differs between real halls and robots is drawn anew for every episode, so that the ensemble learns it as noise
instead of meeting it as a surprise: the warehouse, 2 to 6 robots, payloads up to 40 kg, pallets that are not in the
map, the charge of the battery, reduced speed, how late a command takes effect (a planner needs time, and messages too)
and how old an observation is (its pose is carried forward by its twist, as on the robot).

Goals do not steer the drivers: they are laid into their way afterwards (as in hindsight experience replay,
Andrychowicz et al. 2017), so that arrivals are not rare.

Every episode is one shard on disk (npz without pickle) and a function of its seed: an interrupted run goes on where
it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, GoalTolerance, Reward, RobotModel, action_set, goal_reached
from dyna_nav.ood.features import SUMMARY, scan_summary
from dyna_nav.simulation import Simulation, SimulationConfig
from dyna_nav.simulation.drivers import CAREFUL, ExplorationDriver, ExplorationStyle
from dyna_nav.site import Site, resolve_site
from dyna_nav.world_model.encoding import (
    CLEARANCE_POINTS,
    FEATURES,
    OUTPUTS,
    REWARD,
    encode_rows,
    lower_to_scan,
    map_clearances,
    measure_delta,
)

HEAVIEST = 40.0  # greatest payload in training [kg]
MOST_PALLETS = 6  # that are not in the map, per episode
LATEST = 0.04  # a command takes effect up to so late in training [s], on top of the base's own latency
JITTER = 0.005  # and this much earlier or later in each step [s]
OLDEST = 0.05  # an observation is up to so old [s]
AFTERMATH = 10  # steps after a collision that are not learned from: pushing against a wall is nobody's policy
REDUCED = 0.25  # share of robots that drive at a fraction of the commanded speeds
DEFAULT_SITE_SHARE = 0.1  # of the training episodes take place in the default warehouse
Fault = Callable[[Simulation, int], None]  # (simulation, robot), called once when the fault begins


@dataclass(frozen=True)
class EpisodePlan:
    """One episode, reproducible: where, how long, and from which seed."""

    site: str
    seed: int
    steps: int = 600

    @property
    def name(self) -> str:
        return f"{self.site.replace(':', '-')}-{self.seed}-{self.steps}.npz"


@dataclass(frozen=True)
class Episode:
    """What was recorded; robot-major, so that a row of the first axis is one robot's life.

    features [robots, steps, FEATURES] of state and command, targets [robots, steps, OUTPUTS] SI units, learnable
    [robots, steps] False in the aftermath of a collision; pose [robots, steps, 3] and twist [robots, steps, 2] as
    observed *after* the step, true_twist [robots, steps, 2] as the body really moved, summary [robots, steps, SUMMARY]
    the laser against the map after the step, collisions [robots, steps].
    """

    features: np.ndarray
    targets: np.ndarray
    learnable: np.ndarray
    pose: np.ndarray
    twist: np.ndarray
    true_twist: np.ndarray
    summary: np.ndarray
    collisions: np.ndarray

    def save(self, path: Path) -> None:
        """Write so that the file is there entirely or not at all."""
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, **vars(self))
        os.replace(part, path)

    @staticmethod
    def load(path: Path) -> Episode:
        with np.load(path, allow_pickle=False) as file:
            return Episode(**{name: file[name] for name in Episode.__dataclass_fields__})


def plan_episodes(transitions: int, first_seed: int, steps: int, default_share: float = 0.0) -> list[EpisodePlan]:
    """Episodes for about this many transitions (four robots on average), each in a warehouse of its own seed."""
    count = max(1, round(transitions / (4 * steps)))
    every = round(1 / default_share) if default_share else count + 1
    return [
        EpisodePlan("default" if k % every == every - 1 else f"random:{first_seed + k}", first_seed + k, steps)
        for k in range(count)
    ]


def free_points(site: Site, count: int, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Random poses [count, 3] (map frame) at which a disc of this radius [m] stands clear."""
    rows, cols = np.nonzero(site.clearance >= radius)
    chosen = rng.integers(len(rows), size=count)
    xy = np.array(site.map.position_of(rows[chosen], cols[chosen])).reshape(count, 2)
    return np.column_stack([xy, rng.uniform(-np.pi, np.pi, count)])


class Recorder:
    """Steps a simulation and records what a robot could have known: the same lookups and encoding as on the robot."""

    def __init__(self, simulation: Simulation, site: Site, steps: int):
        robots = simulation.robots
        self._simulation, self._site = simulation, site
        self._grid = (site.clearance, *site.map.origin, site.map.resolution)
        self._tolerance, self._reward = GoalTolerance(), Reward()
        self._clearances = np.empty((robots, CLEARANCE_POINTS))
        self._previous = np.zeros((robots, 2))
        self._aftermath = np.zeros(robots, int)
        self._step = 0
        self.features = np.zeros((steps, robots, FEATURES), np.float32)
        self.targets = np.zeros((steps, robots, OUTPUTS), np.float64)
        self.learnable = np.ones((steps, robots), bool)
        self.pose = np.zeros((steps, robots, 3))
        self.twist = np.zeros((steps, robots, 2), np.float32)
        self.true_twist = np.zeros((steps, robots, 2), np.float32)
        self.summary = np.zeros((steps, robots, SUMMARY), np.float32)
        self.collisions = np.zeros((steps, robots), bool)

    def step(self, before: Observation, commands: np.ndarray, delay: float, age: float) -> tuple:
        """Drive one step with commands [n, 2] that are given delay [s] late.

        Returns the observation for the next step, made age [s] before it begins, and which robots [n] arrived.
        """
        k, simulation = self._step, self._simulation
        map_clearances(before.pose, *self._grid, self._clearances)
        lower_to_scan(before.scan, before.scan_angles, self._clearances)
        encode_rows(
            before.pose,
            before.twist,
            before.battery,
            before.goal,
            self._previous,
            commands,
            self._clearances,
            self.features[k],
        )
        known = len(simulation.collisions)
        if delay > 0:
            simulation.advance(self._previous, delay)
        simulation.advance(commands, round(STEP - delay - age, 6))
        touching = simulation.contact.copy()
        after = carried_forward(simulation.observe(), age)
        if age > 0:
            simulation.advance(commands, age)
        measure_delta(
            before.pose, before.twist, before.battery, after.pose, after.twist, after.battery, self.targets[k]
        )
        collided = np.zeros(simulation.robots, bool)
        for collision in simulation.collisions[known:]:
            collided[collision.robot] = True
            if collision.other.startswith("robot:"):
                collided[int(collision.other.removeprefix("robot:"))] = True
        arrived = goal_reached(after.pose, after.twist[:, 0], before.goal, self._tolerance)
        reward = np.where(arrived, self._reward.goal, self._reward.step)
        self.targets[k, :, REWARD] = np.where(collided, self._reward.collision, reward)
        self.learnable[k] = (self._aftermath == 0) | (collided & (self._aftermath <= 1))
        touching |= collided | simulation.contact
        self._aftermath = np.where(touching, AFTERMATH, np.maximum(self._aftermath - 1, 0))
        self.pose[k], self.twist[k], self.collisions[k] = after.pose, after.twist, collided
        self.true_twist[k] = simulation.true_twist
        scan_summary(
            after.pose,
            after.twist,
            after.scan,
            after.scan_angles,
            after.scan_max,
            self._site.clearance,
            self._site.map.cells,
            *self._site.map.origin,
            self._site.map.resolution,
            np.empty(len(after.scan_angles)),
            self.summary[k],
        )
        self._previous = commands.copy()
        self._step += 1
        return after, arrived

    def episode(self) -> Episode:
        steps = self._step
        return Episode(
            **{name: np.swapaxes(getattr(self, name)[:steps], 0, 1).copy() for name in Episode.__dataclass_fields__}
        )


def run_episode(
    plan: EpisodePlan,
    *,
    fault: Fault | None = None,
    fault_step: int = 0,
    hidden_site: Callable[[Site, np.random.Generator], Site] | None = None,
    robots: int | None = None,
    careful: bool = False,
    config: SimulationConfig | None = None,
) -> Episode:
    """Record one episode; the same plan gives the same numbers.

    careful drivers avoid collisions. For novel states: fault is called for robot 0 at fault_step, or the hall differs
    from the map by hidden_site.
    """
    rng = np.random.default_rng([plan.seed, plan.steps])
    site, model = resolve_site(plan.site), RobotModel()
    count = robots or int(rng.integers(2, 7))
    hall = hidden_site(site, rng) if hidden_site else site
    pallets = [tuple(pose) for pose in free_points(hall, int(rng.integers(0, MOST_PALLETS + 1)), 1.0, rng)]
    poses = _starts(hall, count, model.radius, pallets, rng)
    simulation = Simulation(
        site,
        count,
        plan.seed,
        robot_model=model,
        config=config,
        poses=poses,
        payloads=rng.uniform(0, HEAVIEST, count) * (rng.random(count) < 0.7),
        pallets=pallets,
        hidden_site=hall if hidden_site else None,
    )
    simulation.battery[:] = rng.uniform(0.15, 1.0, count)
    style = replace(CAREFUL if careful else ExplorationStyle(), goals=min(8, count + 1))
    driver = ExplorationDriver(site, count, rng, model, style)
    goals = _Goals(site, count, rng)
    recorder = Recorder(simulation, site, plan.steps)
    actions = action_set(model)
    pace = np.where(rng.random(count) < REDUCED, rng.uniform(0.3, 1.0, count), 1.0)[:, None]
    physics = simulation.config.physics_step
    late = float(rng.uniform(0, LATEST)) if rng.random() < 0.5 else 0.0
    age = round(rng.uniform(0, OLDEST) / physics) * physics if rng.random() < 0.6 else 0.0
    observation = simulation.observe()
    for step in range(plan.steps):
        if fault is not None and step == fault_step:
            fault(simulation, 0)
        goals.renew(simulation)
        observation = replace(observation, goal=simulation.goals.copy())
        commands = pace * actions[driver.act(observation)]
        delay = 0.0 if late == 0.0 else float(np.clip(late + rng.uniform(-JITTER, JITTER), 0.0, STEP / 2 - physics))
        observation, arrived = recorder.step(observation, commands, round(delay / physics) * physics, age)
        simulation.goals[arrived] = np.nan
    return recorder.episode()


def carried_forward(observation: Observation, age: float) -> Observation:
    """An observation that is age [s] old, with its poses moved to the present along the arc of its twist."""
    if age == 0:
        return observation
    pose, (speed, turn) = observation.pose.copy(), observation.twist.T
    heading = pose[:, 2] + 0.5 * turn * age
    pose[:, 0] += speed * age * np.cos(heading)
    pose[:, 1] += speed * age * np.sin(heading)
    pose[:, 2] = (pose[:, 2] + turn * age + np.pi) % (2 * np.pi) - np.pi
    return replace(observation, time=observation.time + age, pose=pose)


class _Goals:
    """Goals near and far, or none, each for a second or two; never one that is reached already."""

    def __init__(self, site: Site, robots: int, rng: np.random.Generator):
        self._site, self._rng = site, rng
        self._left = np.zeros(robots, int)  # steps

    def renew(self, simulation: Simulation) -> None:
        """Set the goals of the robots whose time is up or that have arrived."""
        rng = self._rng
        self._left -= 1
        for robot in np.flatnonzero(self._left < 0):
            self._left[robot] = rng.integers(5, 25)
            kind = rng.random()
            if kind < 0.15:
                simulation.goals[robot] = np.nan
            elif kind < 0.4:
                simulation.goals[robot] = free_points(self._site, 1, 0.35, rng)[0]
            else:
                x, y, yaw = simulation.true_pose[robot]
                bearing, distance = yaw + rng.normal(0, 0.4), rng.uniform(0.26, 1.2)
                goal = x + distance * np.cos(bearing), y + distance * np.sin(bearing), rng.uniform(-np.pi, np.pi)
                simulation.goals[robot] = goal


def _starts(site: Site, count: int, radius: float, pallets: list, rng: np.random.Generator) -> np.ndarray:
    """Random poses [count, 3] apart from each other and from the pallets."""
    chosen: list[np.ndarray] = []
    blocked = [np.array(pallet[:2]) for pallet in pallets]
    for pose in free_points(site, 400, radius + 0.15, rng):
        apart = all(np.hypot(*(pose[:2] - other[:2])) > 3 * radius for other in chosen)
        if apart and all(np.hypot(*(pose[:2] - other)) > 1.2 for other in blocked):
            chosen.append(pose)
            if len(chosen) == count:
                return np.array(chosen)
    raise ValueError(f"site {site.name!r} has no room for {count} robots")


def collect_shard(folder: Path, plan: EpisodePlan, careful: bool = False) -> int:
    """Record one episode into folder, unless its shard is there already; returns its transitions."""
    path = folder / plan.name
    if not path.exists():
        run_episode(plan, careful=careful).save(path)
    with np.load(path, allow_pickle=False) as file:
        return int(file["learnable"].size)
