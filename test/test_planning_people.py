"""Robots among people who yield to nobody: whoever is walked into stands, and everybody gets on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from laser_worlds import ANGLES, REACH, ranges
from planning_drive import LOCKSTEP
from planning_worlds import MODEL, IdealFleet, hall

from dyna_nav.mdp import STEP

PERSON = 0.25  # radius [m]
AISLE = hall(16, 3.2)
TICKS = np.arange(1, round(STEP / IdealFleet.TICK) + 1) * IdealFleet.TICK


def among(run, site, walks, seconds):
    """Drive while people walk straight on, (start [2], velocity [2], from and until [s]); robots' speeds at touches."""
    touched = []

    def places(time):
        return [np.array(s) + (time - begin) * np.array(v) for s, v, begin, end in walks if begin <= time < end]

    def with_people(observation):
        discs = [(*place, PERSON) for place in places(observation.time)]
        scan = np.array([ranges(site, pose, discs) for pose in observation.pose])
        return replace(observation, scan=scan, scan_angles=ANGLES, scan_max=REACH)

    while run.fleet.time < seconds and run.distance() > 0.25:
        begin = run.fleet.time
        run.steps(1, with_people)
        way = run.way[-1][:, 0]
        speed = np.hypot(*np.diff(way, axis=0, prepend=way[:1]).T) / IdealFleet.TICK
        for k, tick in enumerate(TICKS[1:], start=1):
            for place in places(begin + tick):
                if np.hypot(*(place - way[k])) < MODEL.radius + PERSON:
                    touched.append(speed[k])
    return touched


@pytest.mark.parametrize("aside", [0.0, 0.5])
@pytest.mark.parametrize("pace", [0.8, 1.4])
def test_who_comes_towards_a_robot_finds_it_standing_and_it_drives_on_afterwards(drive_dyna2, aside, pace):
    run = drive_dyna2(1, site=AISLE, poses=[(1.5, 1.6, 0.0)], goals=[(14.5, 1.6, 0.0)])
    touched = among(run, AISLE, [((15.0, 1.6 + aside), (-pace, 0.0), 0.0, 14.5 / pace)], 40.0)
    assert all(speed < 0.05 for speed in touched)
    assert run.distance() <= 0.25


def test_a_robot_lets_those_who_cross_its_way_go_first(drive_dyna2):
    site = hall(16, 12)
    run = drive_dyna2(1, site=site, poses=[(1.5, 6.0, 0.0)], goals=[(14.5, 6.0, 0.0)])
    crossing = [((x, 11.5), (0.0, -1.2), begin, begin + 9.0) for x, begin in ((5.0, 0.0), (8.0, 1.0), (11.0, 3.0))]
    assert all(speed < 0.05 for speed in among(run, site, crossing, 40.0))
    assert run.distance() <= 0.25


def test_who_turns_round_before_a_robot_that_follows_it_is_not_run_into(drive_dyna2):
    run = drive_dyna2(1, site=AISLE, poses=[(1.5, 1.6, 0.0)], goals=[(14.5, 1.6, 0.0)], config=LOCKSTEP)
    walks = [((3.0, 1.6), (1.0, 0.0), 0.0, 5.0), ((8.0, 1.6), (-1.0, 0.0), 5.0, 12.0)]
    assert all(speed < 0.05 for speed in among(run, AISLE, walks, 40.0))
    assert run.distance() <= 0.25


def test_a_robot_that_somebody_has_walked_into_drives_on_at_once(drive_dyna2):
    """What was imagined while nothing could be done about it must not keep it where it is."""
    site = hall(16, 6)
    run = drive_dyna2(1, site=site, poses=[(1.5, 3.0, 0.0)], goals=[(14.5, 3.0, 0.0)], config=LOCKSTEP)
    through = [
        ((9.0, 3.0), (-1.0, 0.0), 0.0, 8.0),
        ((9.0, 3.4), (-1.0, 0.0), 1.5, 9.5),
        ((9.0, 2.6), (-1.0, 0.0), 3.0, 11.0),
    ]
    assert all(speed < 0.05 for speed in among(run, site, through, 40.0))
    assert run.distance() <= 0.25
    assert run.fleet.time < 11.0 + 13.0 / MODEL.max_speed
