"""The gate against real dynamics: drives, wheels, noise and latency of the simulator, and a driver who means harm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gate_messages import odometry, scan, twist

from dyna_nav.safety import gate as causes
from dyna_nav.safety.gate import VelocityGate
from dyna_nav.simulation import Pallet, Simulation
from dyna_nav.site import OccupancyMap, Site

TICK = 0.025  # odometry and decisions every second tick, scans and commands every fourth
RECKLESS = ((1.5, 0.0), (1.5, 0.0), (0.75, 0.0), (1.5, 1.2), (1.5, -1.2), (0.0, 1.2), (0.0, -1.2), (0.05, 0.0))


def hall():
    """10 m x 8 m with walls around and two racks in it."""
    cells = np.zeros((80, 100), np.int8)
    cells[:2], cells[-2:], cells[:, :2], cells[:, -2:] = 100, 100, 100, 100
    cells[25:35, 30:70] = 100
    cells[55:60, 30:50] = 100
    return Site.from_map("hall", OccupancyMap(cells, 0.1, (0.0, 0.0)))


def drive(simulation, commands, seconds):
    """Drive robot 0 through its gate with what `commands(time)` asks for; returns the gate."""
    gate, command = VelocityGate(simulation.robot_model), np.zeros((1, 2))
    for tick in range(round(seconds / TICK)):
        now = 1.0 + simulation.time
        if tick % 2 == 0:
            seen = simulation.observe()
            gate.on_odometry(odometry(now, *seen.twist[0]), now, now)
            if tick % 4 == 0:
                gate.on_scan(scan(now, seen.scan[0]), now, now)
                gate.on_command(twist(*commands(simulation.time)), now, now, now)
            decision = gate.decide(now)
            command[0] = decision.speed, decision.turn_rate
        simulation.advance(command, TICK)
    return gate


@pytest.mark.parametrize("seed", range(4))
def test_a_reckless_driver_behind_the_gate_touches_nothing(seed):
    simulation = Simulation(hall(), 1, seed, poses=np.array([[1.5, 4.0, 0.0]]), pallets=[Pallet(8.5, 4.0, 0.6)])
    rng, until, command = np.random.default_rng(seed), 0.0, (0.0, 0.0)

    def reckless(time):
        nonlocal until, command
        if time >= until:
            until, command = time + rng.uniform(0.1, 4.0), RECKLESS[rng.integers(len(RECKLESS))]
        return command

    gate = drive(simulation, reckless, 90.0)
    assert simulation.collisions == []
    assert gate.counts[causes.OBSTACLE] > 3
    assert set(gate.counts) == {causes.OBSTACLE}


def test_full_speed_at_a_wall_ends_close_to_it_and_backing_off_is_free():
    simulation = Simulation(hall(), 1, 0, poses=np.array([[1.0, 4.5, 0.0]]))
    drive(simulation, lambda time: (1.5, 0.0), 12.0)
    x = simulation.true_pose[0, 0]
    assert 9.8 - 0.35 - 0.3 < x < 9.8 - 0.35
    drive(simulation, lambda time: (-0.4, 0.0), 3.0)
    assert simulation.true_pose[0, 0] < x - 0.5
    assert simulation.collisions == []


def test_a_robot_that_touches_a_pallet_turns_away_and_leaves_it():
    """The robot stands against a pallet's side: driving on is refused, turning and leaving is not."""
    pallet = Pallet(3.0, 5.0, 0.0)
    start = np.array([[3.0 - pallet.length / 2 - 0.352, 5.0, 0.0]])
    simulation = Simulation(hall(), 1, 0, poses=start, pallets=[pallet])
    drive(simulation, lambda time: (0.75, 0.0), 2.0)
    assert np.hypot(*(simulation.true_pose[0, :2] - start[0, :2])) < 0.01
    drive(simulation, lambda time: (0.0, 1.2), math.pi / 1.2)
    drive(simulation, lambda time: (0.75, 0.0), 1.5)
    assert simulation.true_pose[0, 0] < start[0, 0] - 0.3
    assert np.abs(simulation.pallets[0] - [3.0, 5.0, 0.0]).max() < 0.01
