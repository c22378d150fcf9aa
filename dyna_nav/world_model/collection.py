"""Experience for the world model: robots of scripted drivers in generated sites of many kinds, recorded step by step.

What differs between real halls and robots is drawn anew for every episode, so that the ensemble learns it as noise
instead of meeting it as a surprise: the site, 2 to 6 robots, payloads up to 40 kg, pallets that are not in the map, the
charge of the battery, reduced speed, lasers that do not look all around, and when things happen (simulation/timing.py):
how late a command takes effect, and how old odometry and scans are when they are carried forward, as on the robot.

Goals do not steer the drivers: they are laid into their way afterwards (as in hindsight experience replay,
Andrychowicz et al. 2017), so that arrivals are not rare.

Every episode is one shard on disk (npz without pickle) and a function of its seed: an interrupted run goes on where
it was.
"""

from __future__ import annotations

import math
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
from dyna_nav.simulation.timing import TimedSimulation, Timing
from dyna_nav.site import Site
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
from dyna_nav.world_model.training_sites import PREFIX, free_points, starts, training_hall

HEAVIEST = 40.0  # greatest payload in training [kg]
MOST_PALLETS = 6  # that are not in the map, per episode
AFTERMATH = 10  # steps after a collision that are not learned from: pushing against a wall is nobody's policy
REDUCED = 0.25  # share of robots that drive at a fraction of the commanded speeds
DEFAULT_SITE_SHARE = 0.1  # of the training episodes take place in the default warehouse
PARTLY_BLIND = 0.15  # share of episodes whose lasers do not see the full circle
LEAST_SIGHT = math.radians(180.0)  # but at least this
PALLET_ROOM = 1.0  # around the middle of a pallet [m]
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
    """Episodes for about this many transitions (four robots on average), each on a site of its own seed.

    Random warehouses and sketches of other places (training_sites.py) take turns.
    """
    count = max(1, round(transitions / (4 * steps)))
    every = round(1 / default_share) if default_share else count + 1
    plans = []
    for k in range(count):
        site = f"random:{first_seed + k}" if k % 2 == 0 else f"{PREFIX}{first_seed + k}"
        plans.append(EpisodePlan("default" if k % every == every - 1 else site, first_seed + k, steps))
    return plans


class Recorder:
    """Steps a simulation and records what a robot could have known: the same lookups and encoding as on the robot."""

    def __init__(self, timed: TimedSimulation, site: Site, steps: int):
        simulation = timed.simulation
        robots = simulation.robots
        self._timed, self._simulation, self._site = timed, simulation, site
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

    def step(self, before: Observation, commands: np.ndarray, blind: np.ndarray) -> tuple[Observation, np.ndarray]:
        """Drive one step with commands [n, 2]; blind [beams] is where the lasers do not look.

        Returns the observation for the next step and which robots [n] arrived.
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
        self._timed.step(commands)
        after = with_blind_sector(self._timed.observe(), blind)
        measure_delta(
            before.pose, before.twist, before.battery, after.pose, after.twist, after.battery, self.targets[k]
        )
        self.targets[k, :, :3] *= STEP / (after.time - before.time)  # as the robot's own comparison does it
        collided = np.zeros(simulation.robots, bool)
        for collision in simulation.collisions[known:]:
            collided[collision.robot] = True
            if collision.other.startswith("robot:"):
                collided[int(collision.other.removeprefix("robot:"))] = True
        arrived = goal_reached(after.pose, after.twist[:, 0], before.goal, self._tolerance)
        reward = np.where(arrived, self._reward.goal, self._reward.step)
        self.targets[k, :, REWARD] = np.where(collided, self._reward.collision, reward)
        self.learnable[k] = (self._aftermath == 0) | (collided & (self._aftermath <= 1))
        touching = collided | self._timed.contact
        self._aftermath = np.where(touching, AFTERMATH, np.maximum(self._aftermath - 1, 0))
        self.pose[k], self.twist[k], self.collisions[k] = after.pose, after.twist, collided
        self.true_twist[k] = simulation.true_twist
        scan_summary(
            after.pose,
            after.twist,
            np.full(len(after.pose), max(after.pose_age, after.scan_age)),
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
    known, model = training_hall(plan.site), RobotModel()
    site = known.site
    hall = hidden_site(site, rng) if hidden_site else known.hidden or site
    pallets = [tuple(pose) for pose in free_points(hall, int(rng.integers(0, MOST_PALLETS + 1)), PALLET_ROOM, rng)]
    poses = starts(site, hall, robots or int(rng.integers(2, 7)), model.radius, pallets, rng)
    count = len(poses)
    simulation = Simulation(
        site,
        count,
        plan.seed,
        robot_model=model,
        config=config,
        poses=poses,
        payloads=rng.uniform(0, HEAVIEST, count) * (rng.random(count) < 0.7),
        pallets=pallets,
        hidden_site=hall if hall is not site else None,
    )
    simulation.battery[:] = rng.uniform(0.15, 1.0, count)
    style = replace(CAREFUL if careful else ExplorationStyle(), goals=min(8, count + 1))
    driver = ExplorationDriver(site, count, rng, model, style)
    goals = _Goals(site, count, rng)
    timed = TimedSimulation(simulation, Timing.draw(rng), rng)
    recorder = Recorder(timed, site, plan.steps)
    actions = action_set(model)
    pace = np.where(rng.random(count) < REDUCED, rng.uniform(0.3, 1.0, count), 1.0)[:, None]
    observation = timed.observe()
    blind = _blind_sector(observation.scan_angles, rng)
    observation = with_blind_sector(observation, blind)
    for step in range(plan.steps):
        if fault is not None and step == fault_step:
            fault(simulation, 0)
        goals.renew(simulation)
        observation = replace(observation, goal=simulation.goals.copy())
        seen = replace(observation, scan=np.nan_to_num(observation.scan, nan=observation.scan_max, posinf=np.inf))
        commands = pace * actions[driver.act(seen)]
        observation, arrived = recorder.step(observation, commands, blind)
        simulation.goals[arrived] = np.nan
    return recorder.episode()


def with_blind_sector(observation: Observation, blind: np.ndarray) -> Observation:
    """The observation of lasers that do not look into the directions blind [beams]."""
    if not blind.any():
        return observation
    return replace(observation, scan=np.where(blind, np.nan, observation.scan))


def _blind_sector(angles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where a laser does not look [beams]: nowhere, for most; else a sector behind the robot."""
    sight = rng.uniform(LEAST_SIGHT, 2 * math.pi) if rng.random() < PARTLY_BLIND else 2 * math.pi
    return np.abs((angles + math.pi) % (2 * math.pi) - math.pi) > 0.5 * sight


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


def collect_shard(folder: Path, plan: EpisodePlan, careful: bool = False) -> int:
    """Record one episode into folder, unless its shard is there already; returns its transitions."""
    path = folder / plan.name
    if not path.exists():
        run_episode(plan, careful=careful).save(path)
    with np.load(path, allow_pickle=False) as file:
        return int(file["learnable"].size)
