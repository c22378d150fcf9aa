"""The dispatcher as a process: when it gives a robot its first trip."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from ros_harness import RosHarness

from dyna_nav.nodes.diagnostics import PLANNER, PlannerReport, status
from dyna_nav.nodes.messages import MAP_FRAME, NEWEST, SENSOR_SOURCE, pose_message
from dyna_nav.site import resolve_site

SITE = "random:3"


def test_no_trip_begins_before_a_planner_is_active():
    """Its time would count while nobody can drive."""
    start = resolve_site(SITE).stations[0]
    with RosHarness() as ros:
        ros.start("dyna_nav.nodes.dispatcher", {"map": SITE, "robots": ["r1"]})
        reports, goals, state = [], [], ["inactive"]
        odometry = ros.node.create_publisher(Odometry, "r1/odom", SENSOR_SOURCE)
        diagnostics = ros.node.create_publisher(DiagnosticArray, "/diagnostics", 100)
        ros.node.create_subscription(PoseStamped, "r1/goal_pose", goals.append, NEWEST)

        def speak():
            message = Odometry()
            message.header.frame_id = MAP_FRAME
            message.pose.pose = pose_message((start.x, start.y, start.yaw))
            odometry.publish(message)
            report = status(PLANNER, PlannerReport(state=state[0]), DiagnosticStatus.OK, "")
            diagnostics.publish(DiagnosticArray(status=[report]))
            if odometry.get_subscription_count() and diagnostics.get_subscription_count():
                reports.append(state[0])

        ros.every(0.05, speak)
        ros.wait_for(lambda: len(reports) > 40, "the dispatcher to have heard of the planner and the robot for 2 s")
        assert not goals
        state[0] = "active"
        ros.wait_for(lambda: goals, "the first trip")
