"""Every number of the simulated base, its sensors and its battery, and what can stand in a hall: pallets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dyna_nav.parameters import check, parameter


@dataclass(frozen=True)
class SimulationConfig:
    """The simulated robot beyond :class:`dyna_nav.mdp.RobotModel`; the defaults are a warehouse robot of 60 kg."""

    physics_step: float = parameter(0.005, "step of the physics [s], a divisor of 0.1 s", minimum=0.001, maximum=0.01)
    latency: float = parameter(0.05, "time from a command to the drives' reaction [s]", minimum=0, maximum=1)

    mass: float = parameter(60.0, "mass of the empty robot [kg]", minimum=5, maximum=1000)
    wheel_radius: float = parameter(0.1, "radius of the driven wheels [m]", minimum=0.02, maximum=0.3)
    wheel_friction: float = parameter(0.8, "friction of the wheels on the floor", minimum=0.01, maximum=2)
    drive_torque: float = parameter(5.0, "torque of one motor when it drives [N m]", minimum=0.1, maximum=500)
    brake_torque: float = parameter(12.0, "torque of one motor when it brakes [N m]", minimum=0.1, maximum=500)
    servo_gain: float = parameter(10.0, "gain of a wheel's velocity servo [N m s/rad]", minimum=0.1, maximum=500)
    rolling_damping: float = parameter(0.03, "resistance of a turning wheel [N m s/rad]", minimum=0, maximum=10)

    beams: int = parameter(360, "beams of the laser, evenly over the full circle", minimum=8, maximum=4096)
    scan_max: float = parameter(12.0, "greatest range of the laser [m]", minimum=1, maximum=100)
    scan_period: float = parameter(0.1, "time between two scans [s]", minimum=0.005, maximum=10)
    scan_noise: float = parameter(0.01, "standard deviation of a range [m]", minimum=0, maximum=0.5)
    laser_height: float = parameter(0.12, "height of the laser's plane above the floor [m]", minimum=0.05, maximum=0.4)
    scan_shift: float = parameter(0.5, "how far a shifted laser is turned [rad]", minimum=0.01, maximum=3.14)

    position_noise: float = parameter(0.01, "standard deviation of the localised x and y [m]", minimum=0, maximum=0.5)
    heading_noise: float = parameter(
        math.radians(0.3), "standard deviation of the localised heading [rad]", minimum=0, maximum=0.5
    )
    noise_time: float = parameter(2.0, "correlation time of the localisation error [s]", minimum=0.01, maximum=100)
    speed_noise: float = parameter(0.005, "standard deviation of the measured speed [m/s]", minimum=0, maximum=0.5)
    turn_rate_noise: float = parameter(0.005, "standard deviation of the gyroscope [rad/s]", minimum=0, maximum=0.5)

    battery_capacity: float = parameter(250.0, "energy of a full battery [W h]", minimum=1, maximum=100_000)
    battery_start: float = parameter(1.0, "charge at the beginning, 0..1", minimum=0, maximum=1)
    idle_power: float = parameter(80.0, "power of computer, laser and drives at rest [W]", minimum=0, maximum=10_000)
    drive_efficiency: float = parameter(0.7, "mechanical over electrical power of the motors", minimum=0.05, maximum=1)
    charge_power: float = parameter(600.0, "power of a charger [W]", minimum=1, maximum=100_000)

    collision_separation: float = parameter(
        1.0, "a touch this long after the last one of the same pair is a new collision [s]", minimum=0, maximum=60
    )
    push_duration: float = parameter(0.1, "time over which a push acts [s]", minimum=0.01, maximum=2)
    lift_height: float = parameter(0.1, "how high a lifted robot hangs [m]", minimum=0.02, maximum=1)

    def __post_init__(self):
        check(self)


@dataclass(frozen=True)
class Pallet:
    """A loaded pallet that stands freely on the floor and can be pushed; x, y [m] and yaw [rad] in the map frame."""

    x: float
    y: float
    yaw: float = 0.0
    mass: float = parameter(100.0, "mass with its load [kg]", minimum=5, maximum=2000)
    height: float = parameter(0.25, "height [m]; it must reach above the laser's plane", minimum=0.15, maximum=2)
    length: float = parameter(1.2, "extent along its own x [m]", minimum=0.1, maximum=3)
    width: float = parameter(0.8, "extent along its own y [m]", minimum=0.1, maximum=3)

    def __post_init__(self):
        check(self, "pallet.")
