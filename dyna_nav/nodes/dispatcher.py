"""Streams trips to the robots: sends ``<robot>/goal_pose`` until the planner has it, notes arrivals, publishes JSON.

Subscribes ``<robot>/odom``, ``<robot>/battery_state`` and ``/diagnostics`` (which goal the planner has, which one it
refused); publishes ``<robot>/goal_pose`` and ``dispatcher/status``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import BatteryState
from std_msgs.msg import String

from dyna_nav.mdp import GoalTolerance, RobotModel
from dyna_nav.nodes.diagnostics import planner_report, robot_reports, same_goal
from dyna_nav.nodes.inbox import NO_PUBLISHER_EVENTS, ClockOnDemand, Inbox
from dyna_nav.nodes.messages import LATCHED, NEWEST, pose_array, pose_stamped
from dyna_nav.nodes.parameters import declare_parameters
from dyna_nav.nodes.process import serve
from dyna_nav.nodes.robot_names import in_namespace, robots_served
from dyna_nav.nodes.trips import TripConfig, TripStream
from dyna_nav.parameters import parameter
from dyna_nav.site import resolve_site

PERIOD = 0.1  # how often arrivals are looked for [s]
RESEND = 1.0  # a goal that the planner does not show is sent again after [s]
STATUS = 0.5  # how often the status is published [s]


@dataclass(frozen=True)
class DispatcherConfig:
    """Parameters of the dispatcher node; those of the trips follow without a prefix."""

    map: str = parameter("default", "site: path of a map_server yaml, default, or random:SEED")
    robots: tuple[str, ...] = parameter(("r1", "r2", "r3", "r4"), "namespaces of the robots")


class Dispatcher(ClockOnDemand, Node):
    """Robots' positions in, goals out; raises ValueError when the site or a parameter cannot be used."""

    def __init__(self) -> None:
        super().__init__("dispatcher")
        config = declare_parameters(self, DispatcherConfig)
        self.names = list(robots_served(config.robots))
        self.stream = TripStream(
            resolve_site(config.map),
            len(self.names),
            declare_parameters(self, TripConfig),
            declare_parameters(self, RobotModel, prefix="robot"),
            declare_parameters(self, GoalTolerance, prefix="goal_tolerance"),
        )
        count = len(self.names)
        self._poses, self._speeds, self._batteries = np.full((count, 3), np.nan), np.zeros(count), np.ones(count)
        self._sent = np.full((count, 3), np.nan)  # the goal that was last sent to each robot ...
        self._sent_at = np.full(count, -np.inf)  # ... and when [s]
        self._refusals = [""] * count  # the refusals already dealt with
        self._status_due = 0.0
        self._goals = [
            self.create_publisher(
                PoseStamped, in_namespace(name, "goal_pose"), NEWEST, event_callbacks=NO_PUBLISHER_EVENTS
            )
            for name in self.names
        ]
        self._status = self.create_publisher(String, "dispatcher/status", LATCHED)
        self._odometry = [Inbox(self, Odometry, in_namespace(name, "odom")) for name in self.names]
        self._charge = [Inbox(self, BatteryState, in_namespace(name, "battery_state")) for name in self.names]
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)
        self._planner_active = False  # has been: nobody's trip begins while the first planner still loads its model
        self._known = np.full((count, 3), np.nan)  # the goals that the planner says it has
        self.create_timer(PERIOD, self._step, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _look(self) -> None:
        """Note where the robots are and what charge they have."""
        for index, (odometry, charge) in enumerate(zip(self._odometry, self._charge, strict=True)):
            for message, _ in odometry.read():
                self._poses[index] = pose_array(message.pose.pose)
                self._speeds[index] = message.twist.twist.linear.x
            for message, _ in charge.read():
                self._batteries[index] = message.percentage

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        planner = planner_report(message)
        self._planner_active |= planner is not None and planner.state == "active"
        for name, report in robot_reports(message):
            if name not in self.names:
                continue
            index = self.names.index(name)
            self._known[index] = report.goal or np.nan
            if report.refusal != self._refusals[index]:
                self._refusals[index] = report.refusal
                if report.refusal and same_goal(report.refused_goal, self.stream.goals()[index]):
                    self.get_logger().warning(f"{name}: the planner refuses its goal: {report.refusal}")
                    self.stream.refuse(index, report.refusal)

    def _step(self) -> None:
        now = self.get_clock().now().nanoseconds * 1e-9
        if now == 0.0 or not self._planner_active:
            return  # simulated time, or the work, has not begun
        before = self._tally()
        self._look()
        self.stream.step(now, self._poses, self._speeds, self._batteries)
        for index, goal in enumerate(self.stream.goals()):
            waiting = same_goal(goal, self._sent[index]) and now - self._sent_at[index] < RESEND
            if np.isfinite(goal).all() and not same_goal(goal, self._known[index]) and not waiting:
                self._goals[index].publish(pose_stamped(goal, self.get_clock().now().to_msg()))
                self._sent[index], self._sent_at[index] = goal, now
        if self._tally() != before or now >= self._status_due:
            self._status_due = now + STATUS
            self._status.publish(String(data=json.dumps(self._summary(now))))

    def _tally(self) -> tuple:
        return (self.stream.completed, len(self.stream.failed), *self.stream.states())

    def _summary(self, now: float) -> dict:
        """What ``dispatcher/status`` says; times in seconds."""
        stream = self.stream
        robots = {}
        for name, worker, state in zip(self.names, stream.workers, stream.states(), strict=True):
            trip = worker.trip
            robots[name] = {
                "state": state,
                "trip": trip.number if trip else 0,
                "station": trip.station.name if trip else "",
                "elapsed_s": round(now - trip.started, 1) if trip else 0.0,
            }
        return {
            "robots": robots,
            "trips_asked": stream.config.trips,
            "trips_completed": stream.completed,
            "trips_failed": [
                {"trip": f.number, "robot": self.names[f.robot], "station": f.station, "reason": f.reason}
                for f in stream.failed
            ],
            "travel_time_s": [round(seconds, 2) for seconds in stream.travel_times],
            "ideal_time_s": [round(seconds, 2) for seconds in stream.ideal_times],
            "done": stream.done,
        }


def main() -> None:
    """Entry point of the process."""
    serve(Dispatcher)


if __name__ == "__main__":
    main()
