"""The braking rule at work: who has chosen is known to those who choose after it, whoever has not brakes at once."""

from __future__ import annotations

import numpy as np
import pytest
from braking_worlds import ACTIONS, CONFIG, ROOM, Rule
from planning_worlds import MODEL, IdealFleet, hall

from dyna_nav.mdp import STEP, STOP

FULL = len(ACTIONS) - 2  # straight on at full speed


def one_behind_the_other(gap, speed):
    fleet = IdealFleet([(1.0, 2.5, 0.0), (1.0 + 2 * MODEL.radius + gap, 2.5, 0.0)])
    rule = Rule(hall(20, 5), 2)
    fleet.twist[:, 0] = rule.previous[:, 0] = speed
    return fleet, rule


def test_everybody_is_taken_to_brake_until_it_has_chosen():
    fleet, rule = one_behind_the_other(3.0, 1.0)
    paths = rule.begin(fleet)
    for robot in range(2):
        np.testing.assert_array_equal(paths[robot], rule.path(fleet, robot, ACTIONS[STOP], 0.0))
    rule.planners.commit(1, FULL)
    np.testing.assert_array_equal(paths[1], rule.path(fleet, 1, ACTIONS[FULL], STEP))
    np.testing.assert_array_equal(paths[0], rule.path(fleet, 0, ACTIONS[STOP], 0.0))


def test_who_chooses_later_knows_what_the_others_have_chosen():
    """Two that stand face to face may both set off; once one has, the other may not any more."""
    refused = []
    for gap in np.arange(0.05, 0.6, 0.005):
        fleet, rule = IdealFleet([(2.0, 2.5, 0.0), (2.0 + 2 * MODEL.radius + gap, 2.5, np.pi)]), Rule(ROOM, 2)
        rule.begin(fleet)
        first = rule.planners.admissible(0)[FULL]
        rule.planners.commit(1, FULL)
        refused.append(first and not rule.planners.admissible(0)[FULL])
    assert any(refused)


def test_who_follows_is_held_against_the_one_ahead_being_stopped_without_a_command():
    """Its gate may stop it at once: sooner than a command, which has its latency, could."""
    free = []
    for gap in np.arange(0.05, 1.0, 0.01):
        fleet, rule = one_behind_the_other(gap, MODEL.max_speed)
        rule.begin(fleet)
        rule.planners.commit(1, FULL)
        free.append(bool(rule.planners.admissible(0)[FULL]))
    lost = MODEL.max_speed * (CONFIG.latency + STEP)
    margin = CONFIG.margin + CONFIG.speed_margin * MODEL.max_speed
    assert np.arange(0.05, 1.0, 0.01)[np.argmax(free)] == pytest.approx(lost + 2 * margin, abs=0.06)


@pytest.mark.parametrize("seen", ["wall", "laser return"])
def test_late_commands_cost_room(seen):
    """Per second of lateness a robot keeps as much more room as it drives in that time."""

    def nearest(lateness):
        for x in np.arange(5.0, 0.0, -0.005):
            fleet, rule = IdealFleet([(x, 2.5, 0.0)]), Rule(ROOM if seen == "wall" else hall(20, 5), 1)
            fleet.twist[0, 0] = rule.previous[0, 0] = MODEL.max_speed
            rule.begin(fleet, np.array([[5.95, 2.5]]) if seen == "laser return" else np.empty((0, 2)), lateness)
            if rule.planners.admissible(0)[FULL]:
                return x
        return None

    assert nearest(0.0) - nearest(0.2) == pytest.approx(0.2 * MODEL.max_speed, abs=0.02)


def test_a_robot_without_a_pose_keeps_the_path_that_was_told_before():
    fleet, rule = one_behind_the_other(3.0, 0.0)
    fleet.pose[1] = np.nan
    paths = rule.begin(fleet)
    assert np.isnan(paths[1]).all()
    assert not np.isnan(paths[0]).any()
