"""Carries the recoveries out: what each changes in the costmap, where a refuge is, and when it is over."""

from __future__ import annotations

import math

import numpy as np

from dyna_nav.baselines.costmap import Costmap
from dyna_nav.baselines.monitor import Wish
from dyna_nav.baselines.recovery import Behaviour, RecoveryConfig
from dyna_nav.baselines.route import RoutePlanner
from dyna_nav.baselines.trip import Trip
from dyna_nav.mdp import RobotModel, wrap_angle

_LONGEST = 4.0  # backing up and spinning end after this time, wherever they have got [s]
_LONGEST_RETREAT = 15.0  # [s]
_SPIN_SHARE = 0.8  # of the highest turn rate
_AHEAD = 9  # points along the path: where it was found blocked
_REFUGE_ROOM = 2.5  # robot radii of clearance: wide enough for another to pass
_REFUGE_GAP = 0.7  # kept from the paths of others: they have to turn in there [m]
_REFUGE_NEAR = 0.3  # it has arrived at a refuge [m]
_MET = 3.0  # who comes no nearer than this to a refuge on the rest of its way has passed it [m]
_LONGEST_STAY = 20.0  # at a refuge [s]
_GIVEN_WAY = 60  # points of others' paths that a refuge keeps off


class Behaviours:
    """The recoveries on one site."""

    def __init__(self, costmap: Costmap, planner: RoutePlanner, model: RobotModel, config: RecoveryConfig):
        self._costmap, self._planner, self._model, self._config = costmap, planner, model, config

    def begin(self, trip: Trip, layer: int, time: float, pose: np.ndarray) -> None:
        """Begin what ``trip.recovery`` has decided on, on an obstacle layer of the costmap; a retreat needs more."""
        recovery, config = trip.recovery, self._config
        trip.begun, trip.until = pose.copy(), time + _LONGEST
        if recovery.behaviour is Behaviour.WAIT:
            trip.until = time + recovery.duration(config.wait)
        elif recovery.behaviour is Behaviour.CLEAR:
            self._costmap.forget(layer)
            self._costmap.unblock(layer)
            trip.route = None
            end(trip)
        elif recovery.behaviour is Behaviour.GO_ROUND:
            if trip.route is not None:
                ahead = trip.route.points[min(trip.route.index + _AHEAD, len(trip.route.points) - 1)]
                if np.hypot(*(ahead - trip.goal[:2])) > 2 * config.blocked_size:  # never the goal itself
                    until = time + recovery.duration(config.blocked_time)
                    self._costmap.block(layer, ahead, config.blocked_size, until)
            end(trip)
        elif recovery.behaviour is Behaviour.BACK_UP:
            trip.extent = recovery.duration(config.back_up)
        elif recovery.behaviour is Behaviour.SPIN:
            trip.extent = recovery.duration(config.spin) * recovery.sign()

    def retreat(self, trip: Trip, pose: np.ndarray, time: float, cost: np.ndarray, others: list[Trip]) -> None:
        """Make for the nearest place where another can pass, off the paths of others (known ones)."""
        row, col = np.indices(cost.shape)
        centres = self._costmap.positions(np.stack([row, col], axis=-1))
        away = np.hypot(centres[..., 0] - pose[0], centres[..., 1] - pose[1])
        radius = self._model.radius
        wanted = (away > 1.0 + trip.recovery.duration(1.0)) & (self._costmap.clearance > _REFUGE_ROOM * radius)
        for other in others:
            if other.route is not None and not other.refuge:
                for x, y in other.route.points[other.route.index :][:_GIVEN_WAY:3]:
                    wanted &= np.hypot(centres[..., 0] - x, centres[..., 1] - y) > 2 * radius + _REFUGE_GAP
        trip.until = time + _LONGEST_RETREAT
        route = self._planner.refuge(pose, wanted, cost)
        if route is None:
            end(trip)
        else:
            trip.route, trip.refuge = route, True

    def go_on(self, trip: Trip, pose: np.ndarray, time: float) -> None:
        """End a recovery that has done what it was for, or whose time is over."""
        behaviour = trip.recovery.behaviour
        moved = math.hypot(pose[0] - trip.begun[0], pose[1] - trip.begun[1])
        turned = abs(float(wrap_angle(pose[2] - trip.begun[2])))
        if trip.refuge and np.hypot(*(trip.route.points[-1] - pose[:2])) < _REFUGE_NEAR:
            trip.refuge, trip.route = False, None
            stay = trip.recovery.duration(self._config.retreat_time) if trip.yields_to is None else _LONGEST_STAY
            trip.until = time + stay
        done = time >= trip.until
        if behaviour is Behaviour.RETREAT and not trip.refuge and trip.yields_to is not None:
            done |= not trip.yields_to.passes(pose[:2], _MET)
        done |= behaviour is Behaviour.BACK_UP and moved >= trip.extent
        done |= behaviour is Behaviour.SPIN and turned >= min(abs(trip.extent), 3.0)
        if done:
            end(trip)

    def wish(self, trip: Trip) -> Wish | None:
        """What the present recovery asks for; None when the robot shall follow its route."""
        behaviour = trip.recovery.behaviour
        if behaviour is Behaviour.BACK_UP:
            return Wish(np.array([-self._config.back_up_speed, 0.0]))
        if behaviour is Behaviour.SPIN:
            turn = math.copysign(_SPIN_SHARE * self._model.max_turn_rate, trip.extent)
            return Wish(np.array([0.0, turn]), keeps_turn=True)
        if behaviour is Behaviour.WAIT or (behaviour is Behaviour.RETREAT and not trip.refuge):
            return Wish(np.zeros(2))
        return None


def end(trip: Trip) -> None:
    """The recovery is over: plan anew, to the goal."""
    trip.recovery.done()
    if trip.refuge:
        trip.refuge, trip.route = False, None
    trip.next_plan = -math.inf
