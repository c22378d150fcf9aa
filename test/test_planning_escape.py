"""A robot that nearly touches something turns away from it and drives off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planning_worlds import ANGLES, MODEL, IdealFleet, hall

from dyna_nav.mdp import action_set
from dyna_nav.planning import Dyna2Controller, PlannerConfig
from dyna_nav.planning.escape import Escape
from dyna_nav.world_model.kinematics import KinematicModel

ACTIONS = action_set(MODEL)
TURNS = ACTIONS[:, 0] == 0.0
HERE = np.array([0.0, 0.0, 0.0])


def beside(bearing, gap=0.02):
    """One return at a bearing [rad], a gap [m] from the robot's circle."""
    return (MODEL.radius + gap) * np.array([[math.cos(bearing), math.sin(bearing)]])


def after(cycles, escape, returns, admissible):
    for _ in range(cycles):
        choice = escape.narrow(0, HERE, returns, admissible)
    return choice


@pytest.mark.parametrize(("bearing", "turn"), [(0.6, -1.2), (-0.6, 1.2)])
def test_it_turns_away_when_for_a_while_nothing_but_turning_was_admissible(bearing, turn):
    escape, returns = Escape(1, ACTIONS, MODEL.radius), beside(bearing)
    assert after(5, escape, returns, TURNS).sum() == 3
    choice = after(5, escape, returns, TURNS)
    assert ACTIONS[choice].tolist() == [[0.0, turn]]


def test_it_keeps_its_direction_and_drives_as_soon_as_it_can():
    escape = Escape(1, ACTIONS, MODEL.radius)
    after(10, escape, beside(0.6), TURNS)
    assert ACTIONS[escape.narrow(0, HERE, beside(-0.1), TURNS)].tolist() == [[0.0, -1.2]]
    choice = escape.narrow(0, HERE, beside(1.7), np.ones(len(ACTIONS), bool))
    assert (ACTIONS[choice, 0] > 0).all()


def test_with_room_around_it_the_values_decide_again():
    escape = Escape(1, ACTIONS, MODEL.radius)
    after(10, escape, beside(0.6), TURNS)
    assert (escape.narrow(0, HERE, beside(0.6, gap=0.3), TURNS) == TURNS).all()
    assert (escape.narrow(0, HERE, beside(0.6), TURNS) == TURNS).all()


def test_a_robot_far_from_everything_that_waits_for_others_does_not_turn_away():
    escape = Escape(1, ACTIONS, MODEL.radius)
    assert (after(50, escape, beside(0.6, gap=1.0), TURNS) == TURNS).all()


def test_it_never_makes_an_action_admissible():
    escape, braking = Escape(1, ACTIONS, MODEL.radius), np.zeros(len(ACTIONS), bool)
    assert not after(30, escape, beside(0.6), braking).any()


def test_a_robot_that_faces_a_box_from_nearby_gets_away_from_it_and_arrives():
    """The laser's noise lets something seem nearer at every moment."""
    site, rng = hall(9, 5, [(4.0, 2.0, 5.0, 3.0)]), np.random.default_rng(1)
    fleet = IdealFleet([(3.63, 2.5, 0.3)])
    controller = Dyna2Controller(KinematicModel(MODEL), config=PlannerConfig(budget_ms=0.0))
    controller.reset(site, 1, np.random.default_rng(0), MODEL)
    controller.assign(0, np.array([7.5, 2.5, 0.0]))
    controller.wait_for_potentials()
    while fleet.time < 25 and not (controller.report and controller.report.arrived[0]):
        x, y, yaw = fleet.pose[0]
        # The box's near side as the laser sees it; the rest of the hall is out of range.
        bearing = yaw + ANGLES
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = (4.0 - x) / np.cos(bearing)
        seen = (np.cos(bearing) > 0) & (np.abs(y + reach * np.sin(bearing) - 2.5) < 0.5) & (x < 4.0)
        fleet.scan[0] = np.where(seen, reach + 0.01 * rng.standard_normal(len(ANGLES)), np.inf)
        fleet.step(controller.act(fleet.observe()))
    controller.close()
    assert controller.report.arrived[0]


def test_what_escape_leaves_to_choose_from_is_what_the_planner_chooses_from():
    fleet = IdealFleet([(2.0, 2.5, 0.0)])
    controller = Dyna2Controller(KinematicModel(MODEL), config=PlannerConfig(budget_ms=0.0))
    controller.reset(hall(9, 5), 1, np.random.default_rng(0), MODEL)
    controller.assign(0, np.array([7.5, 2.5, 0.0]))
    controller.wait_for_potentials()
    controller._dyna2._escape.narrow = lambda *_: np.arange(len(ACTIONS)) == 2
    assert controller.act(fleet.observe()).tolist() == [ACTIONS[2].tolist()]
    controller.close()
