"""The gate's decision: each fault stops the robot with its reason, and it drives on when the cause has gone."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from gate_messages import odometry, scan, twist
from hypothesis import given
from hypothesis import strategies as st

from dyna_nav.mdp import RobotModel
from dyna_nav.safety import gate as causes
from dyna_nav.safety.gate import GateConfig, VelocityGate
from dyna_nav.safety.inputs import LaserMount

MODEL, CONFIG = RobotModel(), GateConfig()


class Drive:
    """A robot whose inputs arrive at 20 Hz, except for what a test takes away or changes."""

    def __init__(self, config=CONFIG, laser=None, command=(0.5, 0.0), **parts):
        self.gate, self.now = VelocityGate(MODEL, config, laser), 100.0
        self.parts = {
            "command": lambda t: twist(*command),
            "odometry": lambda t: odometry(t, *command),
            "scan": scan,
            **parts,
        }
        self.stamps = self.clock = lambda t: t

    def run(self, seconds, until=None):
        """Decisions of the next seconds, at 20 Hz; stops early at the first decision for which `until` holds."""
        decisions = []
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            stamp, clock = self.stamps(self.now), self.clock(self.now)
            if command := self.parts["command"](stamp):
                self.gate.on_command(command, self.now, stamp, clock)
            if message := self.parts["odometry"](stamp):
                self.gate.on_odometry(message, self.now, clock)
            if message := self.parts["scan"](stamp):
                self.gate.on_scan(message, self.now, clock)
            decisions.append(self.gate.decide(self.now))
            if until and until(decisions[-1]):
                break
        return decisions

    def time_to_stop(self):
        """Seconds until the gate stops, and the decision."""
        start = self.now
        decision = self.run(3.0, until=lambda decision: decision.cause)[-1]
        return self.now - start, decision


def framed(message, frame=None, child=None):
    """A message of another device on the same topic."""
    message.header.frame_id = message.header.frame_id if frame is None else frame
    if child is not None:
        message.child_frame_id = child
    return message


@pytest.fixture
def driving():
    drive = Drive()
    assert drive.run(1.0)[-1].speed == 0.5
    assert not drive.gate.counts
    return drive


def test_nothing_passes_before_everything_has_been_heard():
    gate = VelocityGate()
    gate.on_command(twist(0.5), 10.0, 10.0, 10.0)
    decision = gate.decide(10.0)
    assert (decision.speed, decision.turn_rate, decision.cause) == (0.0, 0.0, causes.ODOMETRY_STALE)
    assert "nothing received yet" in decision.reason
    assert not gate.counts  # waiting for the first inputs is not a stop


@pytest.mark.parametrize(
    ("part", "cause"),
    [("command", causes.COMMAND_STALE), ("odometry", causes.ODOMETRY_STALE), ("scan", causes.SCAN_STALE)],
)
def test_silence_is_answered_within_half_a_second_and_forgiven(driving, part, cause):
    talk = driving.parts[part]
    driving.parts[part] = lambda t: None
    seconds, decision = driving.time_to_stop()
    assert seconds < 0.5
    assert (decision.speed, decision.turn_rate, decision.cause) == (0.0, 0.0, cause)
    assert driving.gate.counts == {cause: 1}
    driving.parts[part] = talk
    assert driving.run(CONFIG.resume_after + 0.15)[-1].speed == 0.5
    assert driving.gate.counts == {cause: 1}


@pytest.mark.parametrize(
    ("part", "message", "cause", "says"),
    [
        ("command", lambda t: twist(math.nan), causes.COMMAND_BAD, "linear.x is nan"),
        ("command", lambda t: twist(1.5, math.inf), causes.COMMAND_BAD, "angular.z is inf"),
        ("command", lambda t: twist(1.52), causes.COMMAND_BAD, r"linear.x is 1.52; it must lie in \[-0.5, 1.5\]"),
        ("command", lambda t: twist(-0.6), causes.COMMAND_BAD, "linear.x is -0.6"),
        ("command", lambda t: twist(0.5, 0.0, lineary=0.1), causes.COMMAND_BAD, "linear.y is 0.1"),
        ("odometry", lambda t: odometry(t, math.nan), causes.ODOMETRY_BAD, "twist.linear.x is nan"),
        ("odometry", lambda t: odometry(t, x=math.inf), causes.ODOMETRY_BAD, "pose.position.x is inf"),
        ("odometry", lambda t: odometry(t, 40.0), causes.ODOMETRY_BAD, "linear.x is 40 m/s"),
        ("scan", lambda t: scan(t, np.full(360, np.inf)), causes.SCAN_BAD, "none of 360 beams"),
        ("scan", lambda t: scan(t, np.full(360, np.nan)), causes.SCAN_BAD, "360 of 360"),
        ("scan", lambda t: scan(t, np.zeros(360)), causes.SCAN_BAD, "360 of 360"),
        ("scan", lambda t: scan(t, np.full(90, 5.0)), causes.SCAN_BAD, "90 ranges from angle_min"),
        ("scan", lambda t: framed(scan(t), "rear"), causes.SCAN_BAD, "header.frame_id is 'rear'; it must be "),
        ("odometry", lambda t: framed(odometry(t, 0.5), "visual"), causes.ODOMETRY_BAD, "header.frame_id is 'visual'"),
        ("odometry", lambda t: framed(odometry(t, 0.5), child="imu"), causes.ODOMETRY_BAD, "child_frame_id is 'imu'"),
        ("scan", lambda t: scan(t, ahead=0.45), causes.OBSTACLE, "obstacle at 0.45 m, bearing 0 degrees"),
    ],
)
def test_a_fault_stops_at_the_next_decision_and_says_why(driving, part, message, cause, says):
    good = driving.parts[part]
    driving.parts[part] = message
    seconds, decision = driving.time_to_stop()
    assert seconds <= 0.051
    assert (decision.speed, decision.turn_rate, decision.cause) == (0.0, 0.0, cause)
    assert re.search(says, decision.reason)
    driving.parts[part] = good
    assert driving.run(CONFIG.resume_after + 0.15)[-1].speed == 0.5


def blind_ahead(value):
    """A scan whose beams within 0.6 rad of ahead read one value."""
    return lambda t: scan(t, np.where(np.abs(np.arange(360) - 180) < 36, value, 5.0 + 0.001 * (t % 1)))


def backward(t):
    """A scan of the rear half only."""
    message = scan(t, np.full(181, 5.0 + 0.001 * (t % 1)))
    message.angle_min, message.angle_max = math.pi / 2, 3 * math.pi / 2
    return message


@pytest.mark.parametrize("see", [blind_ahead(math.nan), blind_ahead(0.0), blind_ahead(0.01), backward])
@pytest.mark.parametrize(("command", "passes"), [((0.3, 0.0), False), ((0.0, 0.5), True), ((-0.3, 0.0), True)])
def test_a_robot_that_is_blind_ahead_may_turn_and_back_off_but_not_drive_on(see, command, passes):
    decision = Drive(command=command, scan=see).run(1.0)[-1]
    assert (decision.cause is None) == passes
    if not passes:
        assert decision.cause == causes.SCAN_BAD
        assert "ahead" in decision.reason


def test_nothing_in_range_ahead_is_not_blind():
    assert Drive(scan=blind_ahead(math.inf)).run(1.0)[-1].cause is None


def test_commands_within_one_percent_of_the_limit_pass_unclipped():
    drive = Drive(command=(1.51, -1.21))
    decision = drive.run(1.0)[-1]
    assert (decision.speed, decision.turn_rate) == (1.51, -1.21)


def test_a_laser_that_repeats_itself_while_the_robot_drives_is_frozen(driving):
    driving.parts["scan"] = lambda t: scan(t, np.full(360, 5.0))
    seconds, decision = driving.time_to_stop()
    assert seconds < CONFIG.frozen_timeout + 0.11
    assert decision.cause == causes.SCAN_BAD
    assert "same readings" in decision.reason


def test_a_laser_that_repeats_itself_while_the_robot_stands_is_fine():
    drive = Drive(command=(0.0, 0.5), scan=lambda t: scan(t, np.full(360, 5.0)))
    assert drive.run(3.0)[-1].turn_rate == 0.5


@pytest.mark.parametrize(
    ("stamps", "says"),
    [
        (lambda t: 100.0, "s old"),
        (lambda t: t - 1.0, "s old"),
        (lambda t: t + 1.0, "in the future"),
        (lambda t: 0.0, "header.stamp is 0"),
    ],
)
def test_messages_with_bad_stamps_are_silence(driving, stamps, says):
    driving.stamps = stamps
    seconds, decision = driving.time_to_stop()
    assert seconds < 0.5
    assert decision.cause.endswith("_stale")
    assert says in decision.reason
    driving.stamps = lambda t: t
    assert driving.run(CONFIG.resume_after + 0.15)[-1].speed == 0.5


@pytest.mark.parametrize("part", ["command", "odometry", "scan"])
def test_an_age_counts_from_the_stamp_on(part):
    drive = Drive()
    drive.stamps = lambda t: t - 0.2
    drive.run(0.1)
    assert getattr(drive.gate, part).age(drive.now + 0.1) == pytest.approx(0.3)


def test_a_stamp_a_little_ahead_of_a_coarse_clock_is_no_age(driving):
    driving.stamps = lambda t: t + 0.05
    driving.run(0.1)
    assert driving.gate.scan.age(driving.now) == 0.0


def test_a_simulation_that_stands_still_is_silence(driving):
    paused = driving.now
    driving.stamps = driving.clock = lambda t: paused
    seconds, decision = driving.time_to_stop()
    assert seconds < 0.5
    assert "repeats itself" in decision.reason


@pytest.mark.parametrize("late", [0.0, 0.05, 5.0])
def test_an_order_to_stand_is_obeyed_however_old_its_stamp(driving, late):
    driving.gate.on_command(twist(0.0), driving.now, driving.now - late, driving.now)
    decision = driving.gate.decide(driving.now)
    assert (decision.speed, decision.turn_rate) == (0.0, 0.0)


def test_a_simulation_that_begins_anew_is_believed_again():
    gate = VelocityGate()
    for epoch in (1000.0, 0.0):
        for tick in range(1, 20):
            now, clock = epoch + 5000 + tick * 0.05, (1000.0 - epoch) + 1 + tick * 0.05
            gate.on_command(twist(0.5), now, clock, clock)
            gate.on_odometry(odometry(clock), now, clock)
            gate.on_scan(scan(clock), now, clock)
            decision = gate.decide(now)
        assert decision.speed == 0.5


def test_the_emergency_stop_holds_until_each_source_releases_it(driving):
    driving.gate.on_emergency_stop(True, "/emergency_stop")
    driving.gate.on_emergency_stop(True, "r1/emergency_stop")
    assert {decision.speed for decision in driving.run(5.0)} == {0.0}
    driving.gate.on_emergency_stop(False, "/emergency_stop")
    decision = driving.run(1.0)[-1]
    assert decision.cause == causes.EMERGENCY_STOP
    assert "r1/emergency_stop" in decision.reason
    driving.gate.on_emergency_stop(False, "r1/emergency_stop")
    assert driving.run(CONFIG.resume_after + 0.1)[-1].speed == 0.5
    assert driving.gate.counts == {causes.EMERGENCY_STOP: 1}


def test_a_moment_without_the_fault_is_not_enough_to_drive_on(driving):
    bad = iter([True, True, False, True, False, False, True] + [False] * 20)
    driving.parts["command"] = lambda t: twist(math.nan if next(bad) else 0.5)
    speeds = [decision.speed for decision in driving.run(1.0)]
    assert speeds[:11] == [0.0] * 11  # seven with faults between, then the hysteresis
    assert speeds[-1] == 0.5
    assert driving.gate.counts == {causes.COMMAND_BAD: 1}


def test_a_stop_is_never_refused_or_counted_as_an_obstacle():
    drive = Drive(command=(0.0, 0.0), odometry=lambda t: odometry(t, 1.5), scan=lambda t: scan(t, ahead=0.4 + t % 0.01))
    assert drive.run(1.0)[-1].cause is None


@pytest.mark.parametrize(
    ("command", "passes"), [((0.3, 0.0), False), ((-0.3, 0.0), True), ((0.0, 1.2), True), ((0.3, 0.3), False)]
)
def test_a_robot_that_touches_a_pallet_may_turn_and_back_off_but_not_push(command, passes):
    drive = Drive(command=command, odometry=odometry, scan=lambda t: scan(t, ahead=0.34))
    decision = drive.run(1.0)[-1]
    assert (decision.cause is None) == passes
    assert (decision.speed, decision.turn_rate) == (command if passes else (0.0, 0.0))


def test_the_older_the_scan_the_further_off_the_robot_stops():
    braking = 1.5**2 / (2 * MODEL.deceleration) + 1.5 * CONFIG.reaction_time
    braking += MODEL.radius + CONFIG.margin + 1.5 * CONFIG.speed_margin
    gate = VelocityGate()
    gate.on_command(twist(1.5), 10.0)
    gate.on_odometry(odometry(10.0, 1.5), 10.0)
    gate.on_scan(scan(10.0, ahead=braking + 0.1), 10.0)
    gate.decide(9.7)
    assert gate.decide(10.0).cause is None
    assert gate.decide(10.2).cause == causes.OBSTACLE


def test_a_laser_off_the_centre_sees_obstacles_where_they_are():
    behind = LaserMount(x=-0.3, yaw=math.pi)
    drive = Drive(laser=behind, command=(0.5, 0.0), odometry=odometry, scan=lambda t: scan(t, ahead=0.06 + t % 0.01))
    assert drive.run(1.0)[-1].cause is None
    drive = Drive(laser=behind, command=(-0.5, 0.0), odometry=odometry, scan=lambda t: scan(t, ahead=0.06 + t % 0.01))
    assert drive.run(1.0)[-1].cause == causes.OBSTACLE


numbers = st.one_of(st.floats(), st.floats(-2, 2))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["command", "odometry", "scan", "stop", "go", "nothing"]),
            numbers,
            numbers,
            st.floats(0, 0.3),
        ),
        max_size=40,
    )
)
def test_whatever_arrives_only_admissible_commands_come_out(events):
    """The gate's invariant over any history: the output is zero with a reason, or finite, in range and fresh."""
    gate, now, last_command = VelocityGate(), 50.0, -math.inf
    for kind, a, b, wait in events:
        now += wait
        if kind == "command":
            gate.on_command(twist(a, b), now)
            last_command = now
        elif kind == "odometry":
            gate.on_odometry(odometry(now, a, b), now)
        elif kind == "scan":
            gate.on_scan(scan(now, np.full(360, np.clip(a, -9e9, 9e9))), now)
        elif kind in ("stop", "go"):
            gate.on_emergency_stop(kind == "stop")
        decision = gate.decide(now)
        if decision.cause is not None:
            assert (decision.speed, decision.turn_rate) == (0.0, 0.0)
            assert decision.cause in causes.CAUSES
            assert decision.reason
        else:
            assert -0.505 <= decision.speed <= 1.515
            assert abs(decision.turn_rate) <= 1.212
            assert now - last_command <= CONFIG.command_timeout
            assert max(gate.odometry.age(now), gate.scan.age(now)) <= 0.4
