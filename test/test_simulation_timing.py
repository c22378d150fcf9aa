"""Late measurements and commands in lockstep: carried forward rightly, and late by what was asked for."""

import numpy as np
import pytest

pytest.importorskip("mujoco")

from dyna_nav.mdp import STEP
from dyna_nav.simulation import Simulation, SimulationConfig
from dyna_nav.simulation.timing import LATEST, TimedSimulation, Timing
from dyna_nav.site import resolve_site

PRECISE = SimulationConfig(
    scan_noise=0.0, position_noise=0.0, heading_noise=0.0, speed_noise=0.0, turn_rate_noise=0.0, latency=0.0
)
NODES = Timing(odometry=0.05, phase=0.03, jitter=0.004, shortest=0.02, longest=0.04, tick=0.025)


def timed(timing, config=PRECISE, robots=1):
    simulation = Simulation(resolve_site("default"), robots, 3, config=config)
    return TimedSimulation(simulation, timing, np.random.default_rng(0))


def scan_from(simulation):
    """Ranges [beams] of a perfect laser at the robot's true pose."""
    there = Simulation(simulation.site, 1, 0, config=PRECISE, poses=simulation.true_pose)
    ranges = there.observe().scan[0]
    return np.where(np.isfinite(ranges), ranges, np.nan)


def test_perfect_timing_is_the_simulation_itself():
    ours, plain = timed(Timing(), SimulationConfig(), 2), Simulation(resolve_site("default"), 2, 3)
    commands = np.array([[0.6, 0.5], [0.3, -0.4]])
    for _ in range(20):
        seen, expected = ours.observe(), plain.observe()
        for name in ("time", "pose", "twist", "battery", "scan"):
            np.testing.assert_array_equal(getattr(seen, name), getattr(expected, name))
        ours.step(commands)
        plain.step(commands)


def test_old_poses_and_scans_are_carried_to_the_present():
    run = timed(NODES)
    for _ in range(12):
        run.step(np.array([[0.4, 0.6]]))
    for _ in range(10):
        run.step(np.array([[0.4, 0.6]]))
        seen = run.observe()
        np.testing.assert_allclose(seen.pose, run.simulation.true_pose, atol=0.01)
        assert seen.time == run.simulation.time
        away = np.abs(seen.scan[0] - scan_from(run.simulation))
        assert np.nanmedian(away) < 0.01


def test_a_command_takes_effect_as_late_as_it_arrives():
    def speed(**late):
        run = timed(Timing(odometry=0.005, phase=0.02, **late))
        for _ in range(6):
            run.step(np.array([[1.5, 0.0]]))
        return run.observe().twist[0, 0]

    # Each cycle begins at 20 ms; sent at 70 ms, the command waits for the base's tick at 75 ms.
    late = speed(shortest=0.05, longest=0.05, tick=0.025)
    assert speed() - late == pytest.approx(1.2 * 0.055, abs=0.01)


def test_cycles_keep_their_rhythm_despite_jitter():
    run, times = timed(NODES), []
    for _ in range(50):
        times.append(run.observe().time)
        run.step(np.zeros((1, 2)))
    assert times[-1] - times[0] == pytest.approx(49 * STEP, abs=0.021)
    assert np.abs(np.diff(times) - STEP).max() <= 0.0201


def test_drawn_timing_stays_within_what_is_said_of_it():
    rng = np.random.default_rng(1)
    for _ in range(200):
        timing = Timing.draw(rng)
        assert timing.longest + timing.tick <= LATEST + 1e-9


def test_the_same_generator_gives_the_same_run():
    def poses():
        run = timed(NODES, SimulationConfig(), 2)
        for _ in range(15):
            run.step(np.full((2, 2), 0.3))
        return run.observe().pose

    np.testing.assert_array_equal(poses(), poses())
