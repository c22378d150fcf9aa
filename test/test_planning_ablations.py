"""The variants of Dyna-2 that an evaluation compares it with."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planning_worlds import MODEL, IdealFleet, hall

from dyna_nav.parameters import check
from dyna_nav.planning.ablations import (
    ABLATIONS,
    Ablation,
    DrawnSteps,
    NoRightOfWay,
    NoSharedPredictions,
    StraightLinePotential,
    ablation,
)
from dyna_nav.planning.lockstep import LockstepController
from dyna_nav.world_model.encoding import FEATURES, OUTPUTS
from dyna_nav.world_model.kinematics import KinematicModel

WALL = hall(12, 8, [(5.8, 0, 6.2, 6)])
POSES = [(2.0, 2.0, 0.0), (10.0, 2.0, math.pi)]


@pytest.fixture
def start():
    made = []

    def begin(kind, goals=POSES[::-1]):
        controller = kind(KinematicModel(MODEL))
        made.append(controller)
        fleet = IdealFleet(POSES)
        controller.reset(WALL, 2, np.random.default_rng(0), MODEL)
        for robot, goal in enumerate(goals):
            controller.assign(robot, np.array(goal))
        controller.wait_for_potentials()
        return controller, fleet

    yield begin
    for controller in made:
        controller.close()


def test_the_variants_are_found_by_name_and_an_unknown_one_is_refused():
    assert isinstance(ablation("NoTransientMemory"), ABLATIONS["NoTransientMemory"])
    with pytest.raises(ValueError, match="NoWheels"):
        ablation("NoWheels")


@pytest.mark.parametrize("variant", ABLATIONS.values())
def test_every_variant_changes_something_within_its_range(variant):
    check(variant.variant)
    assert variant.variant != Ablation.variant or {"_lattice", "reset", "act"} & vars(variant).keys()


def test_without_a_change_it_drives_as_dyna2_does(start):
    commands = []
    for kind in (LockstepController, Ablation):
        controller, fleet = start(kind)
        commands.append([controller.act(fleet.observe()) for _ in range(3) if fleet.step(np.ones((2, 2))).any()])
    assert np.array_equal(*commands)


def test_drawn_steps_scatter_around_the_expected_ones_as_widely_as_the_model_says(start):
    controller, _ = start(DrawnSteps)
    model, shape = controller._dyna2.model, (5, 2000, OUTPUTS)
    model._model.predict = lambda features: (np.full(shape, 3.0), np.full(shape, 0.25))
    drawn, _ = model.predict(np.zeros((5, 2000, FEATURES), np.float32))
    assert drawn.mean() == pytest.approx(3.0, abs=0.02)
    assert drawn.std() == pytest.approx(0.5, abs=0.02)


def test_the_straight_line_leads_into_the_wall_and_the_map_around_it(start):
    worth = []
    for kind in (StraightLinePotential, Ablation):
        controller, fleet = start(kind)
        controller.act(fleet.observe())
        worth.append([controller._dyna2.values.potential(0, np.array([x, 2.0, 0.0]), 0.0) for x in (4.0, 5.0)])
    straight, around = worth
    assert straight[0] < straight[1]
    assert around[1] < straight[1]


def test_without_shared_predictions_the_others_go_on_as_they_do(start):
    controller, fleet = start(NoSharedPredictions)
    fleet.twist[1] = 1.0, 0.0
    for _ in range(2):
        fleet.time += 0.1
        controller.act(fleet.observe())
    forecast = controller._dyna2.forecast
    forecast.advance(fleet.pose, fleet.twist, np.ones(2, bool))
    assert np.allclose(forecast.expected[1, 5, :2], [10.0 - 0.5, 2.0])


def test_without_right_of_way_anybody_may_choose_first(start):
    first = set()
    for kind in (Ablation, NoRightOfWay):
        controller, fleet = start(kind, goals=[(10.0, 2.0, 0.0), (9.0, 5.0, 0.0)])
        controller.act(fleet.observe())
        turns = {tuple(controller._dyna2._turns(controller._last)) for _ in range(50)}
        first.add(len(turns))
    assert first == {1, 2}
