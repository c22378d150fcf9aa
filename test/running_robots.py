"""Robots as real processes on real topics: simulator, gate and planner, and what the wheels hear."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from ros_harness import RosHarness
from std_msgs.msg import String

from dyna_nav.nodes.diagnostics import RobotReport, gate_reports, planner_report, robot_reports, same_goal
from dyna_nav.nodes.messages import EVENTS, NEWEST, pose_stamped
from dyna_nav.nodes.robot_names import in_namespace
from dyna_nav.site import resolve_site

MAP, NAMES = "random:3", ["r1", "r2"]
SLOW_START = 120.0  # a machine that compiles every kernel first [s]


class Robots:
    """The processes under test, and what is heard from them."""

    def __init__(self, ros: RosHarness, memory, names: Sequence[str] = NAMES) -> None:
        self.names = list(names)
        self.ros, self.memory, self.site = ros, str(memory), resolve_site(MAP)
        self.commands = dict.fromkeys(self.names, math.nan)  # newest speed plus turn rate told to the wheels
        self.reports = dict.fromkeys(self.names, RobotReport())
        self.gates = dict.fromkeys(self.names, "")
        self.sent: dict = dict.fromkeys(self.names)  # goals
        self._send_due = 0.0
        self.planner_state = ""
        self.goals = {
            name: ros.node.create_publisher(PoseStamped, in_namespace(name, "goal_pose"), NEWEST) for name in self.names
        }
        self._fault = ros.node.create_publisher(String, "simulator/fault", EVENTS)
        for name in self.names:
            ros.node.create_subscription(TwistStamped, in_namespace(name, "cmd_vel"), self._hear(name), NEWEST)
        ros.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)
        shared = {"robots": self.names, "map": MAP}
        self.simulator = ros.start("dyna_nav.nodes.simulator", {**shared, "seed": 1})
        self.gate = ros.start("dyna_nav.nodes.velocity_gate", {"robots": self.names, "use_sim_time": True})
        self.planner = self.start_planner()

    def start_planner(self):
        parameters = {"robots": self.names, "map": MAP, "use_sim_time": True, "memory": self.memory}
        return self.ros.start("dyna_nav.nodes.planner", parameters)

    def _hear(self, name):
        def on_command(message):
            self.commands[name] = abs(message.twist.linear.x) + abs(message.twist.angular.z)

        return on_command

    def _on_diagnostics(self, message):
        self.reports.update(robot_reports(message))
        self.gates.update((name, gate.reason) for name, gate in gate_reports(message))
        planner = planner_report(message)
        if planner is not None:
            self.planner_state = planner.state

    def fault(self, fault, **arguments):
        self._fault.publish(String(data=json.dumps({"fault": fault, **arguments})))

    def station(self, number):
        station = [s for s in self.site.stations if s.kind != "charger"][number]
        return np.array([station.x, station.y, station.yaw])

    def send(self, name, pose, frame="map"):
        self.goals[name].publish(pose_stamped(pose, self.ros.node.get_clock().now().to_msg(), frame))

    def keep_driving(self, name):
        """A condition: the robot is told to move; sends it on to another free station when it has none or is there."""
        report = self.reports[name]
        has_sent = self.sent[name] is not None
        if not has_sent or (report.state == "arrived" and same_goal(report.goal, self.sent[name])):
            taken = [goal for goal in self.sent.values() if goal is not None]
            self.sent[name] = next(s for s in map(self.station, range(7)) if not any(same_goal(s, t) for t in taken))
        if not same_goal(report.goal, self.sent[name]) and time.monotonic() > self._send_due:
            self.send(name, self.sent[name])
            self._send_due = time.monotonic() + 0.5
        return report.state == "driving" and same_goal(report.goal, self.sent[name]) and self.commands[name] > 0.1

    def forget(self):
        """The planner begins anew and knows of no goals."""
        self.sent = dict.fromkeys(self.names)
        self.reports = dict.fromkeys(self.names, RobotReport())

    def drives(self, name="r1", timeout=SLOW_START):
        self.ros.wait_for(lambda: self.keep_driving(name), f"{name} to drive", timeout)

    def stands(self, name="r1"):
        self.ros.wait_for(lambda: self.commands[name] == 0.0, f"{name} to be told to stand")
