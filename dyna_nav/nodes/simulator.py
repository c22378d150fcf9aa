"""The warehouse as a ROS node: MuJoCo physics paced by the wall clock, one set of robot topics for each robot.

Publishes ``/clock``, ``<robot>/odom`` (map frame), ``<robot>/scan``, ``<robot>/battery_state``, every collision as
JSON on ``collisions``, and where people are, if there are any, as markers on ``people``; subscribes
``<robot>/cmd_vel``. ``~/fault`` (JSON) makes things go wrong on purpose, see :mod:`dyna_nav.nodes.simulator_faults`.
"""

from __future__ import annotations

import array
import json
import time
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import BatteryState, LaserScan
from std_msgs.msg import Header, String
from visualization_msgs.msg import MarkerArray

from dyna_nav.mdp import RobotModel
from dyna_nav.nodes.collision_reports import collision_report, in_words
from dyna_nav.nodes.inbox import NO_PUBLISHER_EVENTS, Inbox
from dyna_nav.nodes.markers import people_markers
from dyna_nav.nodes.messages import EVENTS, MAP_FRAME, NEWEST, SENSOR_SOURCE, pose_message
from dyna_nav.nodes.parameters import declare_parameters
from dyna_nav.nodes.process import serve
from dyna_nav.nodes.robot_names import in_namespace, robots_served
from dyna_nav.nodes.simulator_faults import SensorFaults, apply_fault
from dyna_nav.parameters import parameter
from dyna_nav.simulation import Collision, Simulation, SimulationConfig, Walkers, draw_people, spawn_poses
from dyna_nav.simulation.rounds import MOST_WALKERS
from dyna_nav.site import Site, resolve_site

TICK = 0.025  # physics is advanced in steps of this length [s]
ODOMETRY_TICKS = 2  # 20 Hz
SCAN_TICKS = 4  # 10 Hz
BATTERY_TICKS = 40  # 1 Hz
MOST_LAG = 0.1  # beyond this it does not catch up with the wall clock: nobody could stop a robot in a leap of time [s]
CHARGER_REACH = 0.6  # a robot this near to a charger ... [m]
CHARGER_SPEED = 0.05  # ... and slower than this is plugged in [m/s]


@dataclass(frozen=True)
class SimulatorConfig:
    """Parameters of the simulator node; those of the physics follow under ``simulation``."""

    map: str = parameter("default", "site: path of a map_server yaml, default, or random:SEED")
    hidden_map: str = parameter("", "the hall as it really is, where it differs from map; empty: no difference")
    robots: tuple[str, ...] = parameter(("r1", "r2", "r3", "r4"), "namespaces of the robots")
    people: int = parameter(
        0, "people who walk their rounds among the robots and yield to nobody", minimum=0, maximum=MOST_WALKERS
    )
    seed: int = parameter(0, "seed of places, noise, payloads and people", minimum=0, maximum=2**31 - 1)
    real_time_factor: float = parameter(1.0, "simulated over wall-clock time", minimum=0.05, maximum=20)
    command_timeout: float = parameter(0.5, "a base without commands for so long brakes [s]", minimum=0.05, maximum=5)


class Simulator(Node):
    """Physics on a timer; raises ValueError when the site or a parameter cannot be used."""

    def __init__(self) -> None:
        super().__init__("simulator")
        self.config = declare_parameters(self, SimulatorConfig)
        physics = declare_parameters(self, SimulationConfig, prefix="simulation")
        self.names = list(robots_served(self.config.robots))
        site = resolve_site(self.config.map)
        hidden = resolve_site(self.config.hidden_map) if self.config.hidden_map else None
        self.simulation = self._populated(site, hidden, physics)
        self.chargers = np.array([(s.x, s.y) for s in site.stations if s.kind == "charger"]).reshape(-1, 2)
        self.sensor_faults = SensorFaults(len(self.names))
        self._commands = np.zeros((len(self.names), 2))
        self._commanded = np.full(len(self.names), -np.inf)  # steady time of each robot's newest command [s]
        self._ticks = 0
        self._reported = 0
        self._connect()
        self.simulation.observe()
        self._tick()  # what the first tick compiles must not look to the robots as if their wheels stood still
        self._began = time.monotonic() - TICK / self.config.real_time_factor
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(TICK / self.config.real_time_factor, self._catch_up, clock=steady)

    def _populated(self, site: Site, hidden: Site | None, physics: SimulationConfig) -> Simulation:
        """The hall with its robots and people where the seed puts them."""
        seed, model, hall = self.config.seed, RobotModel(), hidden or site
        poses = spawn_poses(hall, len(self.names), model.radius, seed)
        self.people = draw_people(hall, Walkers(count=self.config.people), poses[:, :2], seed, model.radius)
        return Simulation(
            site, len(self.names), seed, robot_model=model, config=physics, poses=poses, hidden_site=hidden,
            walkers=self.people,
        )  # fmt: skip

    def _connect(self) -> None:
        self._clock = self.create_publisher(ClockMessage, "/clock", NEWEST)
        self._collisions = self.create_publisher(String, "collisions", EVENTS)
        self._markers = self.create_publisher(MarkerArray, "people", NEWEST) if self.people else None

        def for_each_robot(message_type: type, topic: str) -> list:
            return [
                self.create_publisher(
                    message_type, in_namespace(name, topic), SENSOR_SOURCE, event_callbacks=NO_PUBLISHER_EVENTS
                )
                for name in self.names
            ]

        self._odometry = for_each_robot(Odometry, "odom")
        self._scans = for_each_robot(LaserScan, "scan")
        self._batteries = for_each_robot(BatteryState, "battery_state")
        self._orders = [Inbox(self, TwistStamped, in_namespace(name, "cmd_vel"), reliable=True) for name in self.names]
        self.create_subscription(String, "~/fault", self._on_fault, EVENTS)

    def _obey(self) -> None:
        """Take in the newest command of each robot."""
        for index, orders in enumerate(self._orders):
            for message, waited in orders.read():
                command = np.array([message.twist.linear.x, message.twist.angular.z])
                if not np.isfinite(command).all():
                    self.get_logger().error(f"{self.names[index]}/cmd_vel is not finite; the base brakes")
                    command = np.zeros(2)
                self._commands[index] = command
                self._commanded[index] = time.monotonic() - waited

    def _on_fault(self, message: String) -> None:
        try:
            what = apply_fault(message.data, self.names, self.simulation, self.sensor_faults)
        except ValueError as error:
            self.get_logger().error(f"{self.get_name()}/fault: {error}")
        else:
            self.get_logger().info(f"fault: {what}")

    def _catch_up(self) -> None:
        """Advance the physics to where the wall clock is, publishing on the way."""
        due = int((time.monotonic() - self._began) * self.config.real_time_factor / TICK)
        if (due - self._ticks) * TICK > MOST_LAG:
            self._began += ((due - self._ticks) * TICK - TICK) / self.config.real_time_factor
            due = self._ticks + 1
        while self._ticks < due:
            self._tick()

    def _tick(self) -> None:
        self._obey()
        silent = time.monotonic() - self._commanded > self.config.command_timeout / self.config.real_time_factor
        if self._ticks % SCAN_TICKS == 0:
            self._charge()
        self.simulation.advance(np.where(silent[:, None], 0.0, self._commands), TICK)
        self._ticks += 1
        stamp = _stamp(self.simulation.time)
        self._clock.publish(ClockMessage(clock=stamp))
        if self._ticks % ODOMETRY_TICKS == 0:
            observation = self.simulation.observe()
            for robot in range(len(self.names)):
                self._publish_odometry(robot, observation, stamp)
                if self._ticks % SCAN_TICKS == 0:
                    self._publish_scan(robot, observation, stamp)
                if self._ticks % BATTERY_TICKS == 0:
                    self._publish_battery(robot, float(observation.battery[robot]), stamp)
        if self._ticks % SCAN_TICKS == 0 and self._markers is not None and self._markers.get_subscription_count():
            radii = [person.radius for person in self.people]
            self._markers.publish(people_markers(self.simulation.walker_positions, radii, stamp))
        for collision in self.simulation.collisions[self._reported :]:
            self._publish_collision(collision)

    def _charge(self) -> None:
        """Robots that stand at a charger are plugged in."""
        poses, speeds = self.simulation.true_pose, np.abs(self.simulation.true_twist[:, 0])
        away = np.hypot(*(poses[:, None, :2] - self.chargers[None]).transpose(2, 0, 1)).min(axis=1, initial=np.inf)
        for robot, plugged in enumerate((away < CHARGER_REACH) & (speeds < CHARGER_SPEED)):
            self.simulation.charge(robot, bool(plugged))

    def _publish_odometry(self, robot: int, observation, stamp: Time) -> None:
        if self.sensor_faults.silent_odometry[robot]:
            return
        message = Odometry(header=Header(stamp=stamp, frame_id=MAP_FRAME))
        message.child_frame_id = in_namespace(self.names[robot], "base_link")
        pose = observation.pose[robot] if not self.sensor_faults.nan_odometry[robot] else np.full(3, np.nan)
        message.pose.pose = pose_message(pose)
        message.twist.twist.linear.x, message.twist.twist.angular.z = map(float, observation.twist[robot])
        self._odometry[robot].publish(message)

    def _publish_scan(self, robot: int, observation, stamp: Time) -> None:
        if self.sensor_faults.silent_scan[robot]:
            return
        angles = observation.scan_angles
        message = LaserScan(header=Header(stamp=stamp, frame_id=in_namespace(self.names[robot], "base_scan")))
        message.angle_min, message.angle_max = float(angles[0]), float(angles[-1])
        message.angle_increment = float(angles[1] - angles[0])
        message.scan_time = TICK * SCAN_TICKS
        message.range_max = float(observation.scan_max)
        message.ranges = array.array("f", observation.scan[robot].astype(np.float32).tobytes())
        self._scans[robot].publish(message)

    def _publish_battery(self, robot: int, charge: float, stamp: Time) -> None:
        message = BatteryState(
            header=Header(stamp=stamp, frame_id=in_namespace(self.names[robot], "base_link")), present=True
        )
        message.percentage = charge
        message.power_supply_technology = BatteryState.POWER_SUPPLY_TECHNOLOGY_LION
        self._batteries[robot].publish(message)

    def _publish_collision(self, collision: Collision) -> None:
        self._reported += 1
        report = collision_report(collision, self.names)
        self.get_logger().error(in_words(report))
        self._collisions.publish(String(data=json.dumps(report)))


def _stamp(seconds: float) -> Time:
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def main() -> None:
    """Entry point of the process."""
    serve(Simulator)


if __name__ == "__main__":
    main()
