"""Optimal reciprocal collision avoidance (van den Berg et al., ISRR 2009) by the package pyrvo, along the fastest path.

Every cycle the package is given all robots with their velocities, what stands around them (map, unknown obstacles,
robots without a task) and, as preferred velocities, the way down the time to go. It answers with holonomic velocities;
a differential drive turns towards such a velocity and drives with the part of it that lies ahead (in the manner of
NH-ORCA: Alonso-Mora et al., DARS 2010), for which the discs are enlarged by the error this makes. As everywhere where
such a planner is used, a robot brakes for what its laser sees in its lane. Needs the extra ``outsiders``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyrvo
from numba import njit

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, RobotModel, wrap_angle
from dyna_nav.outsiders.laser_brake import speed_for_laser
from dyna_nav.outsiders.surroundings import Surroundings
from dyna_nav.parameters import check, parameter
from dyna_nav.planning.rollouts import NO_WAY, way_to_go
from dyna_nav.site import Site

_DIRECTIONS = 24  # looked at around a point for the fastest way
_STRIDE = 0.2  # length of one stretch of the path followed [m]
_CORNERS = np.column_stack([f(np.arange(8) * math.pi / 4) for f in (np.cos, np.sin)])  # of a standing robot, ccw


@dataclass(frozen=True)
class OrcaConfig:
    """What the package is told, and how its velocities are driven."""

    enlarged: float = parameter(0.08, "addition to the radius for the tracking error [m]", minimum=0, maximum=1)
    wall_margin: float = parameter(0.04, "distance kept from things that stand [m]", minimum=0, maximum=1)
    horizon: float = parameter(2.5, "time for which robots keep clear of each other [s]", minimum=0.1, maximum=20)
    wall_horizon: float = parameter(0.8, "time for which they keep clear of things [s]", minimum=0.1, maximum=20)
    reach: float = parameter(6.0, "distance up to which robots are considered [m]", minimum=1, maximum=50)
    lookahead: float = parameter(1.0, "way ahead on the path that a robot makes for [m]", minimum=0.2, maximum=5)
    turn_time: float = parameter(0.35, "time in which a heading error is to vanish [s]", minimum=0.05, maximum=5)
    brake_margin: float = parameter(0.1, "gap left when braking for the laser [m]", minimum=0, maximum=1)
    perturbation: float = parameter(0.05, "noise on preferred velocities, against symmetry [m/s]", minimum=0, maximum=1)

    def __post_init__(self):
        check(self)


class OrcaController:
    """Drives a fleet by ORCA (a :class:`dyna_nav.controller.Controller`)."""

    def __init__(self, config: OrcaConfig | None = None):
        self._config = config or OrcaConfig()
        self._surroundings: Surroundings | None = None

    def reset(self, site: Site, robots: int, rng: np.random.Generator, model: RobotModel) -> None:
        """Begin a run on a site."""
        self.close()
        self._surroundings = Surroundings(site, robots, model)
        self._robots, self._rng, self._model = robots, rng, model
        self._radius = model.radius + self._config.enlarged
        # The package knows one radius for robots and things: things are drawn smaller by what they need not keep.
        self._inset = self._config.enlarged - self._config.wall_margin
        self._boxes = boxes_of(~site.map.free) * site.map.resolution + np.tile(site.map.origin, 2)

    def assign(self, robot: int, goal: np.ndarray | None) -> None:
        """Give a robot a goal pose [3] (map frame), or none. Raises ValueError for one where it cannot stand."""
        self._surroundings.assign(robot, goal)

    def act(self, observation: Observation) -> np.ndarray:
        """Commands [robots, 2] (m/s, rad/s); robots without a goal or with bad inputs get zero."""
        going = np.flatnonzero(self._surroundings.update(observation))
        commands = np.zeros((self._robots, 2))
        if going.size:
            velocity = self._avoid(observation, going, self._preferred(observation, going))
            commands[going] = self._drive(observation.pose[going, 2], velocity)
            allowed = speed_for_laser(observation, self._model, self._config.brake_margin)
            commands[going, 0] = np.minimum(commands[going, 0], allowed[going])
        return commands

    def wait_for_potentials(self) -> None:
        """Block until the ways that were asked for are there; for runs that are to be repeatable, before each cycle."""
        self._surroundings.wait()

    def close(self) -> None:
        """Stop the background thread."""
        if self._surroundings is not None:
            self._surroundings.close()
            self._surroundings = None

    # One cycle, in the order in which it runs.

    def _preferred(self, observation: Observation, going: np.ndarray) -> np.ndarray:
        """Velocities [k, 2] (m/s, map frame) down the time to go, slow enough to stop at the goal."""
        surroundings, model = self._surroundings, self._model
        velocity = np.empty((going.size, 2))
        for k, robot in enumerate(going):
            position, goal = observation.pose[robot, :2], surroundings.goal[robot, :2]
            target = point_ahead(
                surroundings.fields[robot], surroundings.lattice, model.max_speed, *position, *goal,
                self._config.lookahead,
            )  # fmt: skip
            way, left = np.array(target) - position, math.hypot(*(goal - position))
            speed = min(model.max_speed, math.sqrt(model.deceleration * left))
            velocity[k] = speed * way / max(math.hypot(*way), 1e-6)
        return velocity + self._config.perturbation * self._rng.uniform(-1, 1, velocity.shape)

    def _avoid(self, observation: Observation, going: np.ndarray, preferred: np.ndarray) -> np.ndarray:
        """What the package makes of the preferred velocities [k, 2]; m/s, map frame."""
        config, model = self._config, self._model
        places, radii = self._surroundings.live.moving.expected(np.array([0.0, STEP]))
        simulator = pyrvo.RVOSimulator(
            STEP,
            config.reach,
            self._robots + len(places),
            config.horizon,
            config.wall_horizon,
            self._radius,
            model.max_speed,
        )
        for k, robot in enumerate(going):
            yaw, speed = observation.pose[robot, 2], observation.twist[robot, 0]
            agent = simulator.add_agent(tuple(observation.pose[robot, :2]))
            simulator.set_agent_velocity(agent, (speed * math.cos(yaw), speed * math.sin(yaw)))
            simulator.set_agent_pref_velocity(agent, tuple(preferred[k]))
        for place, radius in zip(places, radii, strict=True):  # people, who the package takes for agents that avoid too
            velocity = tuple((place[1] - place[0]) / STEP)
            agent = simulator.add_agent(tuple(place[0]))
            simulator.set_agent_velocity(agent, velocity)
            simulator.set_agent_pref_velocity(agent, velocity)
            simulator.set_agent_radius(agent, radius)
        for polygon in self._standing(observation, going):
            simulator.add_obstacle(polygon)
        simulator.process_obstacles()
        simulator.do_step()
        velocities = [simulator.get_agent_velocity(agent) for agent in range(going.size)]
        return np.array([(velocity.x, velocity.y) for velocity in velocities])

    def _standing(self, observation: Observation, going: np.ndarray) -> list[list[tuple[float, float]]]:
        """Polygons (counter-clockwise, m, map frame) of what stands near a robot: map, unknown things, idle robots."""
        live = self._surroundings.live
        half = 0.5 * live.cell
        boxes = np.concatenate([self._boxes, np.hstack([live.obstacles - half, live.obstacles + half])])
        reach = self._radius + self._model.max_speed * self._config.wall_horizon + 0.5
        x, y = observation.pose[going, 0, None], observation.pose[going, 1, None]
        gap = np.hypot(x - np.clip(x, boxes[:, 0], boxes[:, 2]), y - np.clip(y, boxes[:, 1], boxes[:, 3]))
        near = boxes[gap.min(axis=0) < reach]
        inset = np.minimum(self._inset, 0.45 * (near[:, 2:] - near[:, :2]))
        low, high = near[:, :2] + inset, near[:, 2:] - inset
        polygons = [[(a, b), (c, b), (c, d), (a, d)] for a, b, c, d in np.hstack([low, high]).tolist()]
        idle = np.setdiff1d(np.flatnonzero(np.isfinite(observation.pose[:, 0])), going)
        outline = (self._model.radius - self._inset + self._config.wall_margin) * _CORNERS
        return polygons + [[tuple(corner) for corner in observation.pose[i, :2] + outline] for i in idle]

    def _drive(self, yaw: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Commands [k, 2] that follow velocities [k, 2] (map frame) from headings yaw [k]."""
        speed = np.hypot(velocity[:, 0], velocity[:, 1])
        error = wrap_angle(np.arctan2(velocity[:, 1], velocity[:, 0]) - yaw)
        error[speed < 0.02] = 0.0  # standing has no direction
        rate = np.clip(error / self._config.turn_time, -self._model.max_turn_rate, self._model.max_turn_rate)
        return np.column_stack([speed * np.maximum(np.cos(error), 0.0) ** 2, rate])


@njit(cache=True, nogil=True)
def point_ahead(field, lattice, full, x, y, goal_x, goal_y, reach):
    """Point (x, y) [m] that lies ``reach`` ahead on the fastest path to the goal; the goal where that is nearer.

    full: the speed for which the field of times to go was made [m/s].
    """
    for _ in range(int(reach / _STRIDE + 0.5)):
        if math.hypot(goal_x - x, goal_y - y) < 2 * _STRIDE:
            return goal_x, goal_y
        best, best_x, best_y = 2.0 * NO_WAY, goal_x, goal_y
        for k in range(_DIRECTIONS):
            angle = 2 * math.pi * k / _DIRECTIONS
            u, v = x + _STRIDE * math.cos(angle), y + _STRIDE * math.sin(angle)
            left = way_to_go(field, lattice, u, v, angle, full)
            if left < best:
                best, best_x, best_y = left, u, v
        x, y = best_x, best_y
    return x, y


@njit(cache=True, nogil=True)
def boxes_of(blocked):
    """Cover blocked cells bool [rows, cols] with rectangles [k, 4]: left, low, right, high in cells, edges included."""
    rows, cols = blocked.shape
    covered = np.zeros((rows, cols), np.bool_)
    boxes = []
    for row in range(rows):
        for col in range(cols):
            if not blocked[row, col] or covered[row, col]:
                continue
            right = col
            while right < cols and blocked[row, right] and not covered[row, right]:
                right += 1
            high = row
            while high < rows and blocked[high, col:right].all():
                high += 1
            covered[row:high, col:right] = True
            boxes.append((float(col), float(row), float(right), float(high)))
    result = np.empty((len(boxes), 4))
    for k in range(len(boxes)):
        result[k, 0], result[k, 1], result[k, 2], result[k, 3] = boxes[k]
    return result
