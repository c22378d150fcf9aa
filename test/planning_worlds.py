"""Small worlds for the tests of planning: sites drawn in metres, and a fleet that moves exactly as the limits allow."""

from __future__ import annotations

import numpy as np

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, RobotModel
from dyna_nav.planning.admissible import approach
from dyna_nav.site import OccupancyMap, Site, Station

MODEL = RobotModel()
ANGLES = np.linspace(-np.pi, np.pi, 90, endpoint=False)


def hall(width, height, boxes=(), resolution=0.05, origin=(0.0, 0.0), stations=()):
    """A hall of width x height [m] with walls around it and boxes (x0, y0, x1, y1) [m] in it, corner at the origin."""
    cells = np.zeros((round(height / resolution), round(width / resolution)), np.int8)
    cells[[0, -1], :] = cells[:, [0, -1]] = 100
    for x0, y0, x1, y1 in boxes:
        cells[round(y0 / resolution) : round(y1 / resolution), round(x0 / resolution) : round(x1 / resolution)] = 100
    stations = tuple(Station(f"station {k}", *pose, "pick") for k, pose in enumerate(stations))
    return Site.from_map("hall", OccupancyMap(cells, resolution, origin), stations)


class IdealFleet:
    """Robots that follow commands within their limits and nothing else: semi-exact unicycles, laser sees nothing.

    pose [n, 3], twist [n, 2]. A command begins to act ``latency`` after it was given, a multiple of 5 ms.
    """

    TICK = 0.005

    def __init__(self, poses, latency=0.1, scan=np.inf):
        self.pose = np.array(poses, float)
        self.twist = np.zeros((len(self.pose), 2))
        self.time = 0.0
        self.goals = np.full((len(self.pose), 3), np.nan)
        self.scan = np.full((len(self.pose), ANGLES.size), float(scan))
        self._pipeline = [np.zeros((len(self.pose), 2))] * round(latency / self.TICK)

    def observe(self):
        battery = np.ones(len(self.pose))
        return Observation(
            self.time, self.pose.copy(), self.twist.copy(), battery, self.goals.copy(), self.scan.copy(), ANGLES, 10.0
        )

    def step(self, commands):
        """0.1 s; returns the positions [ticks, n, 2] on the way."""
        limits, way = MODEL, []
        for _ in range(round(STEP / self.TICK)):
            self._pipeline.append(np.array(commands, float))
            for robot, (speed, turn) in enumerate(self._pipeline.pop(0)):
                v, w = self.twist[robot]
                v_next = approach(v, speed, limits.acceleration * self.TICK, limits.deceleration * self.TICK)
                w_next = approach(w, turn, limits.turn_acceleration * self.TICK, limits.turn_acceleration * self.TICK)
                middle = self.pose[robot, 2] + 0.25 * (w + w_next) * self.TICK
                self.pose[robot, :2] += 0.5 * (v + v_next) * self.TICK * np.array([np.cos(middle), np.sin(middle)])
                self.pose[robot, 2] += 0.5 * (w + w_next) * self.TICK
                self.twist[robot] = v_next, w_next
            way.append(self.pose[:, :2].copy())
        self.pose[:, 2] = (self.pose[:, 2] + np.pi) % (2 * np.pi) - np.pi
        self.time += STEP
        return np.array(way)


HALL = hall(12, 8, [(4, 3.5, 8, 4.5)])  # one rack in the middle


def set_off(controller, poses, goals, site=HALL, seed=0):
    """Begin a run of a controller with ideal robots at poses, each with its goal or None; the fleet."""
    fleet = IdealFleet(poses)
    controller.reset(site, len(poses), np.random.default_rng(seed), MODEL)
    for robot, goal in enumerate(goals):
        controller.assign(robot, None if goal is None else np.array(goal, float))
        fleet.goals[robot] = np.nan if goal is None else goal
    return fleet


def until_all_arrive(controller, fleet, seconds):
    """Commands [steps, n, 2] and positions [ticks, n, 2] until all have arrived, or the time [s] is over."""
    commands, way = [], []
    while fleet.time < seconds and np.nanmax(np.hypot(*(fleet.pose - fleet.goals)[:, :2].T)) > 0.25:
        if hasattr(controller, "wait_for_potentials"):  # no clock decides
            controller.wait_for_potentials()
        commands.append(controller.act(fleet.observe()))
        way.append(fleet.step(commands[-1]))
    return np.array(commands), np.concatenate(way)


def least_gap(way):
    """Smallest distance [m] between the centres of any two robots along positions [ticks, n, 2]."""
    gaps = np.linalg.norm(way[:, :, None] - way[:, None], axis=-1)
    gaps[:, np.arange(way.shape[1]), np.arange(way.shape[1])] = np.inf
    return gaps.min()
