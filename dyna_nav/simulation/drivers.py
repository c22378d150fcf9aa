"""Scripted drivers that collect experience: they travel, hold, stop, swerve and jitter, so that a model sees it all.

A driver that only ever drives well teaches a model nothing about walls, and one that acts at random never leaves its
corner. This one strings together short spells, each in a mood of its own: most travel along the geodesic gradient to
random goals with varying pace and caution, some make for the nearest obstacle, some keep one action or change it all
the time. It sees what a robot sees (an observation) and the site's map, nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, RobotModel, wrap_angle
from dyna_nav.parameters import check, parameter
from dyna_nav.site import Site
from dyna_nav.site.fields import geodesic_distance

TRAVEL, HOLD, JITTER, SWERVE, STAND, ESCAPE = range(6)  # moods
LEFT, NONE, RIGHT = 0, 1, 2  # turns, as mdp.action_set orders them
HALF, FULL = 1, 2  # speeds, as mdp.action_set orders them
DIRECTIONS = 24  # looked at around the robot for the way downhill
ARRIVED = 0.5  # [m]


@dataclass(frozen=True)
class ExplorationStyle:
    """How often a new spell has which mood (weights, escape excluded) and how long spells last."""

    travel: float = parameter(0.62, "weight of travelling to a goal", minimum=0, maximum=1)
    hold: float = parameter(0.12, "weight of keeping one random action", minimum=0, maximum=1)
    jitter: float = parameter(0.08, "weight of random actions, one after the other", minimum=0, maximum=1)
    swerve: float = parameter(0.1, "weight of making for the nearest obstacle", minimum=0, maximum=1)
    stand: float = parameter(0.08, "weight of standing still", minimum=0, maximum=1)
    reckless: float = parameter(0.15, "share of spells of travel that do not look at the scan", minimum=0, maximum=1)
    slip: float = parameter(0.05, "probability per step of one random action while travelling", minimum=0, maximum=1)
    caution: float = parameter(0.4, "greatest gap kept to obstacles while travelling [m]", minimum=0, maximum=3)
    shortest: float = parameter(0.3, "shortest spell of a mood other than travel [s]", minimum=0.1, maximum=60)
    longest: float = parameter(2.5, "longest spell of a mood other than travel [s]", minimum=0.1, maximum=60)
    travel_time: float = parameter(8.0, "mean duration of a spell of travel [s]", minimum=0.1, maximum=600)
    goals: int = parameter(8, "goals that are kept at hand for all robots", minimum=1, maximum=100)
    new_goal: float = parameter(0.2, "probability that an arrival renews one of these goals", minimum=0, maximum=1)

    def __post_init__(self):
        check(self)


CAREFUL = ExplorationStyle(hold=0.0, jitter=0.0, swerve=0.0, stand=0.02, reckless=0.0, slip=0.0)


class ExplorationDriver:
    """Drives all robots of a run; deterministic for its generator."""

    def __init__(
        self,
        site: Site,
        robots: int,
        rng: np.random.Generator,
        robot_model: RobotModel | None = None,
        style: ExplorationStyle | None = None,
    ):
        """Prepare goals on the site. Raises ValueError when it has no place where a robot can stand."""
        self.site, self.robots, self.rng = site, robots, rng
        self.robot_model, self.style = robot_model or RobotModel(), style or ExplorationStyle()
        self._room = self.robot_model.radius + 0.1  # kept from walls by the paths [m]
        self._standable = np.argwhere(site.clearance >= self._room)
        if not len(self._standable):
            raise ValueError(f"site {site.name!r} has no place with {self._room:.2f} m of room around it")
        self._fields = [self._new_field() for _ in range(self.style.goals)]
        weights = np.array([self.style.travel, self.style.hold, self.style.jitter, self.style.swerve, self.style.stand])
        self._weights = weights / weights.sum()

        self._mood = np.full(robots, TRAVEL)
        self._left = np.zeros(robots)  # time left of the spell [s]
        self._held = np.ones(robots, int)  # action of a hold; turn of an escape
        self._goal = rng.integers(len(self._fields), size=robots)
        self._pace = np.full(robots, FULL)
        self._caution = np.zeros(robots)  # [m]; negative: does not look
        self._still = np.zeros(robots)  # how long it has been blocked [s]
        self._last = np.zeros(robots, int)

    def act(self, observation: Observation) -> np.ndarray:
        """Actions [n] (int): indices into ``mdp.action_set`` of three speeds."""
        rng, n = self.rng, self.robots
        pose = np.where(np.isfinite(observation.pose), observation.pose, 0.0)
        self._left -= STEP
        self._notice_blocked(observation)
        distance = self._distance_to_goal(pose)
        self._take_goals(np.flatnonzero(distance < ARRIVED))
        self._begin_spells(np.flatnonzero(self._left <= 0))

        ahead, openings = _look(observation, self.robot_model)
        travel = self._travel(pose, observation.twist, ahead, openings)
        jitter = rng.integers(9, size=n)
        slips = rng.random(n) < self.style.slip
        actions = np.select(
            [self._mood == mood for mood in (TRAVEL, HOLD, JITTER, SWERVE, STAND, ESCAPE)],
            [
                np.where(slips, jitter, travel),
                self._held,
                jitter,
                self._swerve(observation),
                np.ones(n, int),
                np.where(ahead > 0.25, 3 * HALF + NONE, self._held),
            ],
        )
        self._last = actions
        return actions

    # Spells and goals.

    def _begin_spells(self, robots: np.ndarray) -> None:
        rng, style = self.rng, self.style
        for robot in robots:
            mood = rng.choice(5, p=self._weights)
            self._mood[robot] = mood
            self._left[robot] = (
                rng.exponential(style.travel_time) if mood == TRAVEL else rng.uniform(style.shortest, style.longest)
            )
            self._held[robot] = rng.integers(9)
            self._pace[robot] = FULL if rng.random() < 0.7 else HALF
            self._caution[robot] = -1.0 if rng.random() < style.reckless else rng.uniform(0.05, style.caution)

    def _notice_blocked(self, observation: Observation) -> None:
        """A robot that does not move although told to, or that travels and has stood for long, turns away."""
        still = np.abs(observation.twist[:, 0]) < 0.1
        driven, travelling = self._last >= 3, self._mood == TRAVEL
        # Turning on the spot to a new goal takes up to three seconds and is no reason to give up.
        patience = np.where(driven, 1.0, np.where(travelling, 0.35, 0.0))
        self._still = np.where(still & (patience > 0), self._still + patience * STEP, 0.0)
        for robot in np.flatnonzero(self._still > 1.0 + self.rng.random(self.robots)):
            self._mood[robot], self._still[robot] = ESCAPE, 0.0
            self._left[robot] = self.rng.uniform(2.0, 5.0)
            self._held[robot] = self.rng.choice((LEFT, RIGHT))

    def _take_goals(self, robots: np.ndarray) -> None:
        for robot in robots:
            if self.rng.random() < self.style.new_goal:
                self._fields[self._goal[robot]] = self._new_field()
            self._goal[robot] = self.rng.integers(len(self._fields))

    def _new_field(self) -> np.ndarray:
        """Distance to a random goal [rows, cols] (m); inf where there is no way."""
        row, col = self._standable[self.rng.integers(len(self._standable))]
        return geodesic_distance(self.site, self.site.map.position_of(row, col), self._room)

    def _distance_to_goal(self, pose: np.ndarray) -> np.ndarray:
        """Distance [n] of each robot to its goal (m); a goal that cannot be reached is changed for another one."""
        row, col = self._cells(pose[:, :2])
        distance = np.array([self._fields[self._goal[i]][row[i], col[i]] for i in range(self.robots)])
        near_wall = self.site.clearance[row, col] < self._room
        self._take_goals(np.flatnonzero(np.isinf(distance) & ~near_wall))
        return distance

    def _cells(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        row, col = self.site.map.cell_of(xy)
        rows, cols = self.site.clearance.shape
        return np.clip(row, 0, rows - 1), np.clip(col, 0, cols - 1)

    # Ways to drive.

    def _travel(self, pose: np.ndarray, twist: np.ndarray, ahead: np.ndarray, openings: np.ndarray) -> np.ndarray:
        """Actions [n] down the distance to the goal; slower or turning away where the scan leaves no room."""
        error = wrap_angle(self._downhill(pose) - pose[:, 2])
        turn = np.where(error > 0.12, LEFT, np.where(error < -0.12, RIGHT, NONE))
        off = np.abs(error)
        speed = np.where(off < 0.5, self._pace, np.where(off < 1.0, np.minimum(self._pace, HALF), 0))
        top, brake = self.robot_model.max_speed, self.robot_model.deceleration
        looks = self._caution >= 0
        for level in (FULL, HALF):
            v = np.maximum(level * top / 2, np.abs(twist[:, 0]))
            needed = v * v / (2 * brake) + 0.2 * v + self._caution
            speed = np.where(looks & (ahead < needed), np.minimum(speed, level - 1), speed)
        stopped = looks & (speed == 0) & (off < 1.0)
        turn = np.where(stopped, openings, turn)
        return 3 * speed + turn

    def _downhill(self, pose: np.ndarray) -> np.ndarray:
        """Heading [n] (map frame) in which the distance falls most within half a metre; away from walls beside them."""
        angles = np.arange(DIRECTIONS) * (2 * math.pi / DIRECTIONS)
        reach = 0.6
        xy = pose[:, None, :2] + reach * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        row, col = self._cells(xy)
        fields = np.stack([self._fields[goal][row[i], col[i]] for i, goal in enumerate(self._goal)])
        lost = np.isinf(fields).all(axis=1)
        fields[lost] = -self.site.clearance[row[lost], col[lost]]
        return angles[np.argmin(fields, axis=1)]

    def _swerve(self, observation: Observation) -> np.ndarray:
        """Actions [n] towards the nearest thing that the laser sees in the half plane ahead."""
        angles = wrap_angle(observation.scan_angles)
        front = np.abs(angles) < math.pi / 2
        target = angles[front][np.argmin(observation.scan[:, front], axis=1)]
        turn = np.where(target > 0.15, LEFT, np.where(target < -0.15, RIGHT, NONE))
        return 3 * self._pace + turn


def _look(observation: Observation, model: RobotModel) -> tuple[np.ndarray, np.ndarray]:
    """Free way straight ahead [n] (m) for a robot's width, and the turn [n] (LEFT or RIGHT) to its more open side."""
    angles = wrap_angle(observation.scan_angles)
    scan = np.minimum(observation.scan, observation.scan_max)
    in_lane = (np.abs(scan * np.sin(angles)) < model.radius + 0.05) & (np.abs(angles) < math.pi / 2)
    ahead = np.where(in_lane, scan * np.cos(angles), observation.scan_max).min(axis=1) - model.radius
    left = scan[:, (angles > 0.2) & (angles < 1.5)].mean(axis=1)
    right = scan[:, (angles < -0.2) & (angles > -1.5)].mean(axis=1)
    return ahead, np.where(left > right, LEFT, RIGHT)
