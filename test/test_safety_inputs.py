"""Bad input is refused with one sentence that names topic, field and value; good input passes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from sensor_msgs.msg import BatteryState, LaserScan

from dyna_nav.safety.inputs import battery_fault, goal_fault, odometry_fault, scan_fault, stamp_fault
from dyna_nav.site import OccupancyMap, Site

NOW = 1000.0
RADIUS = 0.35


def set_field(message, field, value):
    """Set a field given by its dotted name."""
    *path, last = field.split(".")
    for name in path:
        message = getattr(message, name)
    setattr(message, last, value)


def stamped(message, frame, age=0.0):
    message.header.frame_id = frame
    message.header.stamp.sec = int(NOW - age)
    message.header.stamp.nanosec = int(1e9 * ((NOW - age) % 1.0))
    return message


def odometry(age=0.0):
    message = stamped(Odometry(), "map", age)
    message.child_frame_id = "r1/base_link"
    return message


def scan(ranges=None, age=0.0):
    message = stamped(LaserScan(range_min=0.1, range_max=12.0, angle_min=-math.pi), "r1/laser", age)
    message.ranges = (np.full(360, 5.0) if ranges is None else np.asarray(ranges, float)).tolist()
    message.angle_increment = 2 * math.pi / 360
    message.angle_max = message.angle_min + 359 * message.angle_increment
    return message


def goal(x, y):
    message = stamped(PoseStamped(), "map")
    message.pose.position.x, message.pose.position.y = x, y
    return message


@pytest.fixture(scope="module")
def site():
    """A hall of 10 m x 10 m with a rack of 2 m x 2 m in its middle; its lower left corner lies at (-5, -5)."""
    cells = np.zeros((100, 100), np.int8)
    cells[40:60, 40:60] = 100
    cells[:, 90:] = -1
    return Site.from_map("hall", OccupancyMap(cells, 0.1, (-5.0, -5.0)))


def test_good_messages_have_no_fault(site):
    assert odometry_fault(odometry(), "odom", NOW, ("map", "odom"), ("r1/base_link",)) is None
    assert scan_fault(scan(), "scan", NOW, ("r1/laser",)) is None
    assert battery_fault(BatteryState(percentage=0.5)) is None
    assert battery_fault(BatteryState(percentage=math.nan)) is None  # not measured, by the message's definition
    assert goal_fault(goal(-3.0, -3.0), site, RADIUS) is None


def test_a_leading_slash_in_a_frame_does_not_matter():
    message = odometry()
    message.header.frame_id = "/map"
    assert odometry_fault(message, frames=("map",)) is None


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("header.frame_id", "world", "r1/odom: header.frame_id is 'world'; it must be 'map' or 'odom'"),
        ("child_frame_id", "", "r1/odom: child_frame_id is ''; it must be 'r1/base_link'"),
        ("pose.pose.position.y", math.nan, "r1/odom: pose.position.y is nan; it must be a finite number"),
        ("pose.pose.orientation.w", 0.5, "r1/odom: pose.orientation has norm 0.5; "),
        ("pose.pose.orientation.z", math.inf, "r1/odom: pose.orientation.z is inf; "),
        ("pose.pose.orientation.w", 1e200, "r1/odom: pose.orientation has norm 1e+200; "),
        ("pose.pose.orientation.z", 1.7e308, "r1/odom: pose.orientation has norm 1.7e+308; "),
        ("twist.twist.linear.x", -math.inf, "r1/odom: twist.linear.x is -inf; "),
        ("twist.twist.linear.x", 99.0, "r1/odom: twist.linear.x is 99 m/s; "),
        ("twist.twist.angular.z", -99.0, "r1/odom: twist.angular.z is -99 rad/s; "),
    ],
)
def test_odometry_that_cannot_be_believed(field, value, says):
    message = odometry()
    set_field(message, field, value)
    assert odometry_fault(message, "r1/odom", NOW, ("map", "odom"), ("r1/base_link",)).startswith(says)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("header.frame_id", "camera", "scan: header.frame_id is 'camera'"),
        ("angle_increment", 0.0, "scan: angle_increment is 0 with 360 ranges"),
        ("angle_max", 1.0, "scan: 360 ranges from angle_min -3.142 by angle_increment 0.01745 end at 3.124"),
        ("angle_min", math.nan, "scan: angle_min is nan"),
        ("range_max", 0.0, "scan: range_min is 0.1 and range_max 0; "),
        ("range_min", -1.0, "scan: range_min is -1 and range_max 12; "),
        ("ranges", [], "scan: ranges is empty"),
        ("ranges", [math.inf] * 360, "scan: none of 360 beams returns anything"),
        ("ranges", [12.0] * 360, "scan: none of 360 beams returns anything"),
        ("ranges", [math.nan] * 180 + [5.0] * 180, "scan: 180 of 360 ranges are NaN, zero or negative"),
        ("ranges", [0.0] * 360, "scan: 360 of 360 ranges are NaN, zero or negative"),
    ],
)
def test_scans_that_cannot_be_believed(field, value, says):
    message = scan()
    set_field(message, field, value)
    assert scan_fault(message, "scan", NOW, ("r1/laser",)).startswith(says)


def test_a_scan_with_few_blind_beams_is_good():
    ranges = np.full(360, math.inf)
    ranges[:170], ranges[200] = math.nan, 3.0
    assert scan_fault(scan(ranges), clock=NOW) is None


def test_a_full_circle_may_count_its_first_beam_twice():
    message = scan()
    message.angle_max = message.angle_min + 360 * message.angle_increment
    assert scan_fault(message) is None


@pytest.mark.parametrize("check", [odometry_fault, scan_fault])
@pytest.mark.parametrize(
    ("age", "says"), [(0.6, "header.stamp is 0.60 s old"), (-0.6, "header.stamp lies 0.60 s in the future")]
)
def test_stamps_off_the_clock(check, age, says):
    message = odometry(age) if check is odometry_fault else scan(age=age)
    assert says in check(message, clock=NOW)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_a_stamp_is_refused_exactly_when_it_is_off_the_clock(stamp, clock):
    fault = stamp_fault("odom", stamp, clock)
    assert (fault is None) == (stamp > 0.0 and -0.2 <= clock - stamp <= 0.4)


@pytest.mark.parametrize("charge", [-math.inf, math.inf, -0.1, 87.0])
def test_a_battery_that_is_no_fraction(charge):
    assert battery_fault(BatteryState(percentage=charge), "r1/battery_state").startswith(
        f"r1/battery_state: percentage is {charge:.4g}; it must be a fraction in [0, 1]"
    )


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("header.frame_id", "odom", "goal_pose: header.frame_id is 'odom'; it must be 'map'"),
        ("pose.position.x", math.nan, "goal_pose: pose.position.x is nan"),
        ("pose.orientation.w", 0.0, "goal_pose: pose.orientation has norm 0; "),
        ("pose.position.x", 7.0, "goal_pose: pose.position is (7.00, -3.00), outside the map of hall (x -5.00 to 5.00"),
        ("pose.position.y", -5.1, "goal_pose: pose.position is (-3.00, -5.10), outside the map of hall"),
        ("pose.position.x", 4.5, "goal_pose: pose.position is (4.50, -3.00), inside a rack, a wall or unknown space"),
        ("pose.position.y", -4.8, "goal_pose: pose.position is (-3.00, -4.80), 0."),
    ],
)
def test_goals_where_no_robot_can_stand(site, field, value, says):
    message = goal(-3.0, -3.0)
    set_field(message, field, value)
    assert goal_fault(message, site, RADIUS).startswith(says)


def test_a_goal_inside_a_rack_is_refused(site):
    assert "inside a rack" in goal_fault(goal(0.0, 0.0), site, RADIUS)


def test_a_goal_too_near_to_a_rack_is_told_the_room_it_needs(site):
    assert "the robot needs 0.35 m" in goal_fault(goal(-1.2, 0.05), site, RADIUS)


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_a_goal_is_accepted_exactly_where_the_robot_can_stand(site, x, y):
    assert (goal_fault(goal(x, y), site, RADIUS) is None) == bool(site.standable(np.array([x, y]), RADIUS))
