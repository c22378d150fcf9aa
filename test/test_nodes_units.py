"""The parts of nodes/ that need no process: reports, messages, trips, statistics, faults on request."""

from __future__ import annotations

import gc
import math
import socket
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import LaserScan
from simulation_worlds import hall, station

from dyna_nav.mdp import wrap_angle
from dyna_nav.nodes.child_process import free_domain, is_free
from dyna_nav.nodes.cycle_statistics import DurationHistogram, Schedule
from dyna_nav.nodes.diagnostics import (
    PLANNER,
    PlannerReport,
    RobotReport,
    planner_report,
    reason_kind,
    robot_reports,
    robot_status,
    same_goal,
    status,
)
from dyna_nav.nodes.messages import pose_array, pose_message, ranges_at
from dyna_nav.nodes.pose_source import compose, inverse
from dyna_nav.nodes.process import settle
from dyna_nav.nodes.process_environment import launch_environment, ros_environment
from dyna_nav.nodes.simulator_faults import SensorFaults, apply_fault
from dyna_nav.nodes.transport import this_machine_only, without_shared_memory
from dyna_nav.nodes.trips import TripConfig, TripStream
from dyna_nav.site import resolve_site
from dyna_nav.viewpoint import arc

coordinate = st.floats(-50, 50)
poses = st.tuples(coordinate, coordinate, st.floats(-3.1, 3.1)).map(np.array)


# Messages and geometry.


@given(poses)
def test_a_pose_survives_its_message(pose):
    assert pose_array(pose_message(pose)) == pytest.approx(pose, abs=1e-9)


@given(poses)
def test_a_pose_after_its_inverse_is_the_origin(pose):
    assert compose(inverse(pose), pose) == pytest.approx(np.zeros(3), abs=1e-9)


@given(st.floats(-1.5, 1.5), st.floats(-1.2, 1.2), st.floats(0.01, 0.2))
def test_an_arc_is_what_many_small_steps_make(speed, turn_rate, seconds):
    pose, step = np.zeros(3), seconds / 500
    for _ in range(500):
        pose = compose(pose, np.array([speed * step, 0.0, turn_rate * step]))
    whole = arc(np.array([speed, turn_rate]), seconds)
    assert whole[:2] == pytest.approx(pose[:2], abs=1e-3)
    assert wrap_angle(whole[2] - pose[2]) == pytest.approx(0.0, abs=1e-9)


def scan(ranges, start=-math.pi, increment=None):
    step = 2 * math.pi / len(ranges) if increment is None else increment
    message = LaserScan(angle_min=start, angle_max=start + (len(ranges) - 1) * step, angle_increment=step)
    message.range_min, message.range_max, message.ranges = 0.1, 10.0, [float(entry) for entry in ranges]
    return message


ANGLES = np.arange(360) * (2 * np.pi / 360) - np.pi


def test_a_scan_at_the_wanted_angles_is_taken_as_it_is():
    ranges = np.linspace(1.0, 9.0, 360)
    assert ranges_at(ANGLES, scan(ranges)) == pytest.approx(ranges, abs=1e-5)


def test_of_several_beams_near_one_angle_the_shortest_counts():
    ranges = np.full(1440, 5.0)
    ranges[720] = 1.0  # straight ahead
    assert ranges_at(ANGLES, scan(ranges))[180] == pytest.approx(1.0)


def test_a_coarse_laser_leaves_no_gaps_within_its_view_and_sees_nothing_outside():
    ahead = ranges_at(ANGLES, scan(np.full(91, 2.0), start=-math.pi / 2, increment=math.pi / 90))
    assert np.isfinite(ahead[91:269]).all()
    assert np.isnan(ahead[:85]).all()


@pytest.mark.parametrize("turn", [2 * math.pi / 90, -2 * math.pi / 90])
def test_a_coarse_laser_that_begins_anywhere_leaves_no_gaps(turn):
    assert ranges_at(ANGLES, scan(np.full(90, 2.0), start=0.0, increment=turn)) == pytest.approx(2.0)


def test_only_no_return_is_free_and_what_says_nothing_is_not_measured():
    ranges = np.full(360, 2.0)
    ranges[:6] = math.nan, 0.01, 0.0, 11.0, math.inf, -math.inf
    result = ranges_at(ANGLES, scan(ranges))
    assert np.isnan(result[:3]).all()
    assert np.isinf(result[3:5]).all()
    assert result[5] == pytest.approx(0.1)


# Diagnostics.


def test_reports_survive_the_diagnostics_message():
    robot = RobotReport(
        state="standing", stop_reason="scan silent: r1/scan", goal=(1.0, 2.0, 0.5), refusal="inside a rack",
        refused_goal=(3.0, 4.0, 0.0), uncertainty=0.1, ood_score=2.0, breaker_open=True, safe_stops={"x": 3},
    )  # fmt: skip
    planner = PlannerReport(state="active", pid=7, cycles=12, model_version="3e1", warnings=("no GPU",))
    message = DiagnosticArray()
    message.status = [status(PLANNER, planner, b"\0", "active"), robot_status("r1", robot)]
    assert planner_report(message) == planner
    assert dict(robot_reports(message)) == {"r1": robot}


def test_a_text_that_looks_like_a_number_stays_a_text():
    message = DiagnosticArray(status=[status(PLANNER, PlannerReport(model_version="123"), b"\0", "")])
    assert planner_report(message).model_version == "123"


def test_goals_are_the_same_only_when_both_are_there():
    assert same_goal((1.0, 2.0, 3.0), np.array([1.0, 2.0, 3.0]))
    assert not same_goal((1.0, 2.0, 3.0), (1.0, 2.1, 3.0))
    assert not same_goal((), ())
    assert not same_goal(np.full(3, np.nan), np.full(3, np.nan))


def test_reasons_are_counted_without_their_particulars():
    assert reason_kind("scan silent: r1/scan: nothing for more than 0.4 s") == "scan silent"
    assert reason_kind("novel state") == "novel state"


@given(st.lists(st.floats(0, 1999), min_size=1, max_size=300))
def test_percentiles_lie_within_a_bin_above_the_true_ones(durations):
    histogram = DurationHistogram()
    for duration in durations:
        histogram.add(duration)
    true = float(np.sort(durations)[math.ceil(0.99 * len(durations)) - 1])
    assert true - 1e-9 <= histogram.percentile(0.99) <= true + 0.1 + 1e-9
    assert histogram.largest == max(durations)


def test_a_cycle_late_by_most_of_a_period_has_that_jitter_and_so_has_the_next():
    schedule = Schedule(0.1, start=5.0)
    jitters = [schedule.begin(5.0 + now)[0] for now in (0.1, 0.2, 0.39, 0.4, 0.5)]
    assert jitters == pytest.approx([0.0, 0.0, 0.09, 0.09, 0.0])
    assert schedule.skipped == 0


def test_slots_without_a_cycle_are_counted_once():
    schedule = Schedule(0.1, start=0.0)
    assert [schedule.begin(now)[1] for now in (0.101, 0.201, 0.511, 0.601, 0.701)] == [0, 0, 2, 0, 0]
    assert schedule.skipped == 2


# Trips.


@pytest.fixture(scope="module")
def site():
    return resolve_site("random:3")


def test_a_charge_that_is_never_enough_is_refused(site):
    with pytest.raises(ValueError, match=r"battery_low is 0\.9; it must not exceed battery_full, 0\.5"):
        TripStream(site, 1, TripConfig(battery_low=0.9, battery_full=0.5))


class Fleet:
    """Robots that are wherever their trips send them, some time later."""

    def __init__(self, site, robots, **config):
        self.stream = TripStream(site, robots, TripConfig(**config))
        start = [(s.x, s.y, s.yaw) for s in site.stations if s.kind == "charger"][:robots]
        self.poses = np.array(start)
        self.batteries = np.ones(robots)
        self.now = 0.0

    def step(self, seconds=0.1):
        self.now += seconds
        self.stream.step(self.now, self.poses, np.zeros(len(self.poses)), self.batteries)

    def arrive(self):
        goals = self.stream.goals()
        self.poses = np.where(np.isfinite(goals), goals, self.poses)


def test_trips_alternate_between_picks_and_racks_and_end_when_all_are_made(site):
    fleet, kinds = Fleet(site, 1, trips=4), []
    while not fleet.stream.done:
        fleet.step(2.0)
        if fleet.stream.states() == ["driving"]:
            kinds.append(fleet.stream.workers[0].trip.station.kind)
            fleet.arrive()
    assert kinds == ["pick", "rack", "pick", "rack"]
    assert fleet.stream.completed == 4
    assert all(ideal > 0 for ideal in fleet.stream.ideal_times)


def test_no_two_robots_are_sent_to_one_station(site):
    fleet = Fleet(site, 2, seed=5)
    for _ in range(60):
        fleet.step(2.0)
        names = [worker.trip.station.name for worker in fleet.stream.workers if worker.trip]
        assert len(set(names)) == len(names)
        fleet.arrive()


def test_the_same_seed_gives_the_same_trips(site):
    def stations(seed):
        fleet, names = Fleet(site, 2, seed=seed), []
        for _ in range(10):
            fleet.step(2.0)
            names += [worker.trip.station.name for worker in fleet.stream.workers if worker.trip]
            fleet.arrive()
        return names

    assert stations(1) == stations(1)
    assert stations(1) != stations(2)


def test_a_robot_dwells_before_its_next_trip(site):
    fleet = Fleet(site, 1, dwell=1.0)
    fleet.step()
    fleet.arrive()
    fleet.step()
    assert fleet.stream.states() == ["dwelling"]
    fleet.step(0.5)
    assert fleet.stream.states() == ["dwelling"]
    fleet.step(0.6)
    assert fleet.stream.states() == ["driving"]


def test_a_trip_that_takes_too_long_has_failed_and_another_station_follows(site):
    fleet = Fleet(site, 1, trip_timeout=10.0)
    fleet.step()
    first = fleet.stream.workers[0].trip.station.name
    fleet.step(10.1)
    assert [trip.station for trip in fleet.stream.failed] == [first]
    assert fleet.stream.workers[0].trip.station.name != first


def test_a_refused_goal_fails_its_trip_with_the_planners_words(site):
    fleet = Fleet(site, 1)
    fleet.step()
    fleet.stream.refuse(0, "inside a rack")
    assert "inside a rack" in fleet.stream.failed[0].reason


def test_a_robot_low_on_charge_goes_to_a_charger_and_back_to_work(site):
    fleet = Fleet(site, 1)
    pick = next(station for station in site.stations if station.kind == "pick")
    fleet.poses[0] = pick.x, pick.y, pick.yaw
    fleet.batteries[0] = 0.1
    fleet.step()
    assert fleet.stream.states() == ["to charger"]
    fleet.arrive()
    fleet.step()
    assert fleet.stream.states() == ["charging"]
    fleet.batteries[0] = 0.9
    fleet.step()
    assert fleet.stream.states() == ["driving"]
    assert fleet.stream.completed == 0


def test_a_station_that_was_not_reached_is_tried_again_after_another_was(site):
    fleet = Fleet(site, 1, trip_timeout=10.0)
    fleet.stream.chargers = fleet.stream.chargers[:1]  # the only one
    pick = next(station for station in site.stations if station.kind == "pick")
    fleet.poses[0] = pick.x, pick.y, pick.yaw
    fleet.batteries[0] = 0.1
    fleet.step()
    fleet.step(10.1)
    assert fleet.stream.states() == ["driving"]
    fleet.arrive()
    fleet.step()
    fleet.step(1.1)
    assert fleet.stream.states() == ["to charger"]


def test_who_stands_at_the_only_other_station_tries_again_what_it_did_not_reach():
    two = hall(
        stations=[station("dock", 3.0, 3.0), station("shelf", 15.0, 7.0, "rack"), station("c", 3.0, 8.0, "charger")]
    )
    fleet = Fleet(two, 1, trip_timeout=10.0)
    fleet.step()
    fleet.arrive()
    fleet.step()
    fleet.step(1.1)
    assert fleet.stream.workers[0].trip.station.name == "shelf"
    for _ in range(3):
        fleet.step(10.1)
    assert [trip.station for trip in fleet.stream.failed] == ["shelf", "shelf"]


def test_stations_that_one_robot_blocks_at_once_count_for_one():
    """Sent to one of them, it would wait at the other for ever."""
    crowded = hall(stations=[station("dock", 3.0, 3.0), station("shelf", 3.2, 3.0, "rack")])
    with pytest.raises(ValueError, match="2 pick and rack stations, too near to each other to count for more than 1"):
        TripStream(crowded, 1, TripConfig())


def test_more_robots_than_stations_are_refused_in_one_sentence(site):
    with pytest.raises(ValueError, match="60 robots need at least 61"):
        TripStream(site, 60, TripConfig())


# Processes of a run.


def test_a_domain_that_is_asked_for_is_refused_while_it_is_in_use(monkeypatch):
    domain = next(domain for domain in range(150, 233) if is_free(domain))
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    assert free_domain() == domain
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(("", 7410 + 250 * domain))
        with pytest.raises(ValueError, match=f"ROS_DOMAIN_ID is {domain}, and that domain is in use"):
            free_domain()


def test_a_simulated_fleet_talks_to_this_machine_only_whatever_the_user_has_exported(monkeypatch):
    for name, value in {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "ROS_STATIC_PEERS": "10.0.0.7", "ROS_LOCALHOST_ONLY": "1",
        "FASTRTPS_DEFAULT_PROFILES_FILE": "everywhere.xml",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    environment = ros_environment(7)
    # LOCALHOST would bring shared memory back; the profile is what keeps to this machine.
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SYSTEM_DEFAULT"
    assert (environment["ROS_LOCALHOST_ONLY"], environment["ROS_STATIC_PEERS"]) == ("", "")
    profile = ElementTree.parse(environment["FASTRTPS_DEFAULT_PROFILES_FILE"])
    assert [address.text for address in profile.iterfind(".//{*}interfaceWhiteList/{*}address")] == ["127.0.0.1"]
    assert profile.find(".//{*}useBuiltinTransports").text == "false"


@pytest.mark.parametrize(("distribution", "localhost_only"), [("humble", "1"), ("jazzy", "")])
def test_other_middleware_keeps_to_this_machine_in_its_own_way(distribution, localhost_only):
    variables = this_machine_only({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp", "ROS_DISTRO": distribution})
    assert variables["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert (variables["ROS_LOCALHOST_ONLY"], variables["ROS_STATIC_PEERS"]) == (localhost_only, "")


@pytest.mark.parametrize("local", [{"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, {"ROS_LOCALHOST_ONLY": "1"}])
def test_launched_nodes_stay_out_of_shared_memory_unless_the_user_has_chosen(local):
    assert without_shared_memory({}) == {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}
    assert without_shared_memory({"FASTDDS_BUILTIN_TRANSPORTS": "DEFAULT"}) == {"FASTDDS_BUILTIN_TRANSPORTS": "DEFAULT"}
    assert without_shared_memory({"FASTRTPS_DEFAULT_PROFILES_FILE": "site.xml", **local}) == {}
    assert without_shared_memory(local) == this_machine_only(local)


def test_launched_nodes_stay_small_unless_the_user_has_chosen():
    environment = launch_environment({"OMP_NUM_THREADS": "4"})
    assert (environment["OMP_NUM_THREADS"], environment["MALLOC_ARENA_MAX"]) == ("4", "1")
    assert environment["FASTDDS_BUILTIN_TRANSPORTS"] == "UDPv4"


# Faults on request.


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("push", "is not JSON"),
        ('{"robot": "r1"}', "names no fault"),
        ('{"fault": "push", "robot": "r9"}', "must be one of r1, r2"),
        ('{"fault": "explode"}', "must be one of push"),
        ('{"fault": "silent_scan", "robot": "r1"}', "does not take"),
    ],
)
def test_a_fault_request_that_makes_no_sense_is_refused(text, problem):
    with pytest.raises(ValueError, match=problem):
        apply_fault(text, ["r1", "r2"], None, SensorFaults(2))


def test_a_sensor_fault_lasts_until_it_is_taken_back():
    sensors = SensorFaults(2)
    apply_fault('{"fault": "silent_scan", "robot": "r2", "on": true}', ["r1", "r2"], None, sensors)
    assert sensors.silent_scan.tolist() == [False, True]
    apply_fault('{"fault": "silent_scan", "robot": "r2", "on": false}', ["r1", "r2"], None, sensors)
    assert not sensors.silent_scan.any()


def test_what_lives_at_the_start_is_left_out_of_garbage_collections():
    gc.unfreeze()
    try:
        settle()
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()


SIGNALS_IN_A_HANDLER = """
import signal, sys
from dyna_nav.nodes import process

def another_signal(*_):
    signal.raise_signal(signal.SIGTERM)
    return another_signal

def interrupted(**_):
    sys.settrace(another_signal)  # from here on at each line, those of the handler among them
    signal.raise_signal(signal.SIGINT)
    sys.settrace(None)
    raise RuntimeError("this was after the handler")

process.rclpy.init = interrupted
sys.exit(process.run(make_node=None))
"""


def test_a_signal_that_arrives_while_another_one_is_handled_does_not_hold_the_process_up():
    """As it does when a supervisor of many threads dies: a lock in the handler would be waited for by itself."""
    command = [sys.executable, "-c", SIGNALS_IN_A_HANDLER]
    end = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (end.returncode, "this was after the handler" in end.stderr) == (2, True), end.stdout + end.stderr
