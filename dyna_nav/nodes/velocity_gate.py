"""The velocity gate: the only node that publishes `cmd_vel`, in a process of its own; `cmd_vel_executed` repeats it.

Passes the planner's commands on or stops the robot, as :mod:`dyna_nav.safety.gate` decides: at once for every command,
and twenty times a second whatever arrives. One process serves all robots of a machine. Neither torch nor ONNX Runtime
nor numba is loaded here, so that what breaks the planner cannot break the gate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Bool

from dyna_nav.mdp import RobotModel
from dyna_nav.nodes.emergency_memory import EmergencyMemory, how_to_release
from dyna_nav.nodes.inbox import NO_EVENTS, NO_PUBLISHER_EVENTS, ClockOnDemand, Inbox
from dyna_nav.nodes.parameters import declare_parameters
from dyna_nav.nodes.process import serve
from dyna_nav.nodes.robot_names import called, in_namespace, robots_served
from dyna_nav.parameters import parameter
from dyna_nav.safety import gate as causes
from dyna_nav.safety.gate import GateConfig, GateDecision, VelocityGate
from dyna_nav.safety.inputs import LaserMount, clock_on_arrival, stamp_seconds

_LAST_ZEROS = 5  # zero commands to every robot before the gate leaves
_ERRORS = (causes.EMERGENCY_STOP, causes.ODOMETRY_BAD, causes.SCAN_BAD, causes.COMMAND_BAD)


@dataclass(frozen=True)
class VelocityGateParameters:
    """Parameters of the node."""

    robots: tuple[str, ...] = parameter((), "namespaces of the robots; none, written ['']: that of the node")
    rate: float = parameter(20.0, "decisions per second, besides one for every command [Hz]", minimum=10, maximum=200)
    cmd_vel_stamped: bool = parameter(True, "publish geometry_msgs/TwistStamped, as Jazzy has it; false: Twist")
    frame: str = parameter("base_link", "frame of the commands, behind the robot's name")
    gate: GateConfig = field(default_factory=GateConfig)
    robot: RobotModel = field(default_factory=RobotModel)
    laser: LaserMount = field(default_factory=LaserMount)


class GatedRobot:
    """The topics of one robot around its gate."""

    def __init__(self, node: VelocityGateNode, name: str, parameters: VelocityGateParameters) -> None:
        self.name = name
        self.gate = VelocityGate(parameters.robot, parameters.gate, parameters.laser)
        self.decision: GateDecision | None = None
        self._node, self._parameters = node, parameters
        self._published = -math.inf
        self._reported = True
        topic = partial(in_namespace, name)
        self._frame = topic(parameters.frame)
        newest = QoSProfile(depth=1)

        def publisher(message_type: type, short: str) -> Publisher:
            return node.create_publisher(message_type, topic(short), newest, event_callbacks=NO_PUBLISHER_EVENTS)

        self._publisher = publisher(TwistStamped if parameters.cmd_vel_stamped else Twist, "cmd_vel")
        self._executed = publisher(TwistStamped, "cmd_vel_executed")
        node.create_subscription(
            TwistStamped, topic("cmd_vel_planned"), self._on_command, newest, event_callbacks=NO_EVENTS
        )
        self._odometry = Inbox(node, Odometry, topic("odom"))
        self._scan = Inbox(node, LaserScan, topic("scan"))
        node.watch_emergency_stop(topic("emergency_stop"), (self,))

    def decide(self, answering_command: bool, report: bool = True) -> None:
        """Decide anew and tell the wheels: each command is answered, and so is everything that changes between two.

        A robot that is held hears zero at no less than half the node's rate. Without ``report``, who calls sees to it.
        """
        self._look()
        now = time.monotonic()
        decision, before = self.gate.decide(now), self.decision
        self.decision = decision
        changed = before is None or (before.speed, before.turn_rate) != (decision.speed, decision.turn_rate)
        repeat = decision.cause is not None and now - self._published > 1.5 / self._parameters.rate
        if answering_command or changed or repeat:
            self.publish(decision.speed, decision.turn_rate)
            self._published = now
        self._reported &= before is not None and before.cause == decision.cause
        if report:
            self.report()

    def report(self) -> None:
        """Tell people of a robot that was stopped or may go on, once."""
        if not self._reported:
            self._reported = True
            self._node.on_change(self, self.decision)

    def publish(self, speed: float, turn_rate: float) -> None:
        """Tell the wheels [m/s], [rad/s]; and the planner, in the form that does not depend on the base.

        While nobody listens to ``cmd_vel`` yet, the planner is told the truth: nothing moves.
        """
        message = TwistStamped()
        message.twist.linear.x, message.twist.angular.z = speed, turn_rate
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.header.frame_id = self._frame
        self._publisher.publish(message if self._parameters.cmd_vel_stamped else message.twist)
        if not self._publisher.get_subscription_count():
            message.twist = Twist()
        self._executed.publish(message)

    def wait_until_heard(self, seconds: float) -> bool:
        """Whether every reliable subscriber has acknowledged the last command within the time [s]."""
        return self._publisher.wait_for_all_acked(Duration(seconds=seconds))

    def diagnostics(self) -> DiagnosticStatus:
        """State, counts of the stops per cause, ages of the inputs."""
        decision, now = self.decision, time.monotonic()
        status = DiagnosticStatus(name=f"velocity_gate: {self.name}" if self.name else "velocity_gate")
        status.hardware_id = self.name
        if decision is None or decision.cause is None:
            status.level, status.message = DiagnosticStatus.OK, "passing commands on"
        else:
            status.level = DiagnosticStatus.ERROR if decision.cause in _ERRORS else DiagnosticStatus.WARN
            status.message = decision.reason
        values = {"cause": decision.cause or "" if decision else ""}
        for source in (self.gate.command, self.gate.odometry, self.gate.scan):
            values[f"age of {source.topic} [s]"] = f"{source.age(now):.3f}"
        values |= {f"stops: {cause}": str(self.gate.counts[cause]) for cause in causes.CAUSES}
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        return status

    def _clock(self) -> float:
        return 1e-9 * self._node.get_clock().now().nanoseconds

    def _on_command(self, message: TwistStamped) -> None:
        stamp = stamp_seconds(message.header.stamp)
        self.gate.on_command(message.twist, time.monotonic(), stamp, self._clock())
        self.decide(answering_command=True)

    def _look(self) -> None:
        """Take in what odometry and laser said since, each as of when it was received."""
        for inbox, take in ((self._odometry, self.gate.on_odometry), (self._scan, self.gate.on_scan)):
            for message, waited in inbox.read():
                clock = clock_on_arrival(self._clock(), stamp_seconds(message.header.stamp), waited)
                take(message, time.monotonic() - waited, clock)


class VelocityGateNode(ClockOnDemand, Node):
    """All gates of one machine. Raises ValueError for a parameter out of its range."""

    def __init__(self) -> None:
        super().__init__("velocity_gate")
        parameters = declare_parameters(self, VelocityGateParameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._emergency_memory = EmergencyMemory(self.context.get_domain_id())
        self.robots = [GatedRobot(self, name, parameters) for name in robots_served(parameters.robots)]
        self.watch_emergency_stop("/emergency_stop", self.robots)
        # Steady clocks: with simulated time, a simulator that stands still must not stop the gate's decisions.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / parameters.rate, self._decide, clock=steady)
        self.create_timer(1.0, self._report, clock=steady)

    def watch_emergency_stop(self, topic: str, robots: Sequence[GatedRobot]) -> None:
        """Let robots obey an emergency stop, be it latched (a gate that starts late hears of it) or not.

        Two subscriptions, because a latched one hears only latched publishers; hearing both does no harm.
        One that was pressed when an earlier gate ended is pressed still.
        """
        name = self.resolve_topic_name(topic)
        if self._emergency_memory.is_pressed(name):
            self.get_logger().error(f"{name} was pressed before this gate began and holds; {how_to_release(name)}")
            for robot in robots:
                robot.gate.on_emergency_stop(True, name)

        def obey(message: Bool) -> None:
            for robot in robots:
                robot.gate.on_emergency_stop(message.data, name)
                robot.decide(answering_command=False, report=False)
            try:  # after the wheels were told, before anybody else is: what is reported holds
                self._emergency_memory.remember(name, message.data)
            except OSError as error:
                self.get_logger().error(f"{name}: a gate that starts anew will not know of it: {error}")
            for robot in robots:
                robot.report()

        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(Bool, topic, obey, QoSProfile(depth=10))
        self.create_subscription(Bool, topic, obey, latched, event_callbacks=NO_EVENTS)

    def on_change(self, robot: GatedRobot, decision: GateDecision) -> None:
        """Report a robot that was stopped or may go on, at once."""
        if decision.cause is None:
            self.get_logger().info(f"{called(robot.name)}: drives on")
        else:
            self.get_logger().warning(f"{called(robot.name)}: stopped: {decision.reason}")
        self._publish([robot.diagnostics()])

    def close(self) -> None:
        """The process ends: the last thing that each robot hears, several times, is zero."""
        for _ in range(_LAST_ZEROS):
            for robot in self.robots:
                robot.publish(0.0, 0.0)
            for robot in self.robots:
                robot.wait_until_heard(0.2 / len(self.robots))

    def _decide(self) -> None:
        for robot in self.robots:
            robot.decide(answering_command=False)

    def _report(self) -> None:
        self._publish([robot.diagnostics() for robot in self.robots])

    def _publish(self, status: Sequence[DiagnosticStatus]) -> None:
        message = DiagnosticArray(status=status)
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def main() -> None:
    """Entry point of the process."""
    serve(VelocityGateNode)


if __name__ == "__main__":
    main()
