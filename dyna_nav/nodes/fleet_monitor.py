"""What is seen of a running fleet from outside, on its topics alone: for the table, the JSON and the picture."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import BatteryState
from std_msgs.msg import String

from dyna_nav.nodes.collision_reports import of_the_run
from dyna_nav.nodes.diagnostics import PlannerReport, RobotReport, gate_reports, planner_report, robot_reports
from dyna_nav.nodes.inbox import Inbox
from dyna_nav.nodes.messages import EVENTS, LATCHED
from dyna_nav.nodes.robot_names import in_namespace
from dyna_nav.safety.inputs import stamp_seconds

PERIOD = 0.1  # how often robots, batteries and commands are looked at [s]
TRACE_STEP = 0.1  # a path is kept with a point for every so many metres, or for every look
STANDSTILL = 0.05  # slower than this is standing [m/s]


class FleetMonitor(Node):
    """Subscribes everything that a run is judged by; nothing is published."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__("fleet_monitor")
        self.names = list(names)
        self.began = time.monotonic()
        self.first_command_s: float | None = None  # from the start to the first command that moves a robot [s]
        self.speeds = dict.fromkeys(names, float("nan"))  # [m/s]
        self.heard: dict[str, float] = {}  # steady time of the last word of each process that is watched [s]
        self._first_odometry: tuple[float, float] | None = None  # simulated and steady time [s] ...
        self._last_odometry: tuple[float, float] | None = None  # ... of the first and the newest of any robot
        self.batteries = dict.fromkeys(names, float("nan"))  # 0..1
        self.traces: dict[str, list[tuple[float, float]]] = {name: [] for name in names}  # x, y [m], map frame
        self.reports = {name: RobotReport() for name in names}
        self.gates = dict.fromkeys(names, "")  # why each gate holds its robot
        self.gate_stops: Counter[str] = Counter()
        self.ending = False  # the run is being stopped on purpose: what the gates do from now on is no safe stop
        self._gate_counts: Counter[tuple[str, str]] = Counter()
        self.collisions: list[dict] = []
        self.walked_into: list[dict] = []  # by people, while the robot stood: these are no collisions of the run
        self.status: dict = {}  # of the dispatcher
        self._planners: dict[int, PlannerReport] = {}  # by process: a restarted planner counts anew
        self._safe_stops: dict[tuple[int, str], dict] = {}

        def inboxes(message_type: type, topic: str) -> dict[str, Inbox]:
            return {name: Inbox(self, message_type, in_namespace(name, topic)) for name in names}

        self._odometry, self._battery = inboxes(Odometry, "odom"), inboxes(BatteryState, "battery_state")
        self._commands = inboxes(TwistStamped, "cmd_vel")
        self.create_timer(PERIOD, self.look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)
        self.create_subscription(String, "collisions", self._on_collision, EVENTS)
        self.create_subscription(String, "dispatcher/status", self._on_status, LATCHED)

    @property
    def planner(self) -> PlannerReport:
        """The planner that runs now."""
        return list(self._planners.values())[-1] if self._planners else PlannerReport()

    @property
    def planners(self) -> list[PlannerReport]:
        """Every planner process of the run, the present one last."""
        return list(self._planners.values()) or [PlannerReport()]

    @property
    def safe_stops(self) -> dict[str, int]:
        """How often robots were stopped for safety, by reason; by the planner, and by the gates as ``gate: reason``."""
        total = Counter({f"gate: {cause}": count for cause, count in self.gate_stops.items() if count})
        for counts in self._safe_stops.values():
            total.update(counts)
        return dict(sorted(total.items()))

    @property
    def standing(self) -> bool:
        """Whether every robot is seen to stand."""
        return all(abs(speed) <= STANDSTILL for speed in self.speeds.values())  # never so for NaN

    @property
    def simulated_s(self) -> float:
        """Simulated time from the first odometry to the last [s]."""
        return self._last_odometry[0] - self._first_odometry[0] if self._first_odometry else 0.0

    @property
    def wall_s(self) -> float:
        """Time that really passed meanwhile [s]: more than `simulated_s` when the simulator is too slow."""
        return self._last_odometry[1] - self._first_odometry[1] if self._first_odometry else 0.0

    def look(self) -> None:
        """Take note of what robots, batteries and commands are now."""
        now = time.monotonic()
        for name in self.names:
            for message, waited in self._odometry[name].read():
                self._note_odometry(name, message, now - waited)
            for message, _ in self._battery[name].read():
                self.batteries[name] = message.percentage
            for message, waited in self._commands[name].read():
                if message.twist.linear.x or message.twist.angular.z:
                    self._note_drive(now - waited)

    def _note_odometry(self, name: str, message: Odometry, received: float) -> None:
        self.speeds[name] = message.twist.twist.linear.x
        self.heard["simulator"] = received
        self._last_odometry = (stamp_seconds(message.header.stamp), received)
        if self._first_odometry is None:
            self._first_odometry = self._last_odometry
        trace, here = self.traces[name], (message.pose.pose.position.x, message.pose.pose.position.y)
        far = not trace or math.dist(here, trace[-1]) > TRACE_STEP
        if far and math.isfinite(here[0]) and math.isfinite(here[1]):
            trace.append(here)

    def _note_drive(self, received: float) -> None:
        self.heard["planner"] = received  # only an active planner has robots moved
        if self.first_command_s is None:
            self.first_command_s = received - self.began

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        planner = planner_report(message)
        if planner is not None:
            if planner.state == "active":
                self.heard["planner"] = time.monotonic()
            else:
                self.heard.pop("planner", None)  # it may be silent while it loads a site
            if planner.cycles or planner.pid not in self._planners:
                self._planners[planner.pid] = planner
            for name, report in robot_reports(message):
                if name in self.reports:
                    self.reports[name] = report
                    self._safe_stops[planner.pid, name] = report.safe_stops
        for name, gate in gate_reports(message):
            self.heard["velocity_gate"] = time.monotonic()
            if name in self.gates and not self.ending:
                self.gates[name] = gate.reason
                for cause, count in gate.stops.items():
                    before = self._gate_counts[name, cause]
                    self.gate_stops[cause] += count - before if count >= before else count  # fewer: a new process
                    self._gate_counts[name, cause] = count

    def _on_collision(self, message: String) -> None:
        report = json.loads(message.data)
        (self.collisions if of_the_run(report) else self.walked_into).append(report)

    def _on_status(self, message: String) -> None:
        self.status = json.loads(message.data)
