"""The MuJoCo model of a hall: walls from a map, differential-drive robots on real wheels, pallets that can be pushed.

A robot is one free body: a chassis (cylinder), two driven wheels on hinges with velocity servos, two frictionless
casters, and its payload. Only wheels, casters and pallets rest on the floor; only chassis and pallets meet walls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from dyna_nav.mdp import RobotModel
from dyna_nav.simulation.config import Pallet, SimulationConfig
from dyna_nav.simulation.walls import wall_boxes
from dyna_nav.site import Site

FLOOR, WALL = -1, -2  # owners of geoms that are neither robot nor pallet
WALL_HEIGHT = 1.0  # [m]
CHASSIS = (0.05, 0.35)  # lower and upper edge of the chassis above the floor [m]
TRACK = 0.7  # distance of a wheel from the centre over the robot's radius
WHEELBASE = 0.8  # distance of a caster from the centre over the robot's radius
WHEEL_MASS = 2.0  # [kg]
ROTOR_INERTIA = 0.02  # of motor and gear, seen at the wheel [kg m^2]
PALLET_FRICTION = 0.25
BODY_FRICTION = 0.2  # of walls and of robots' smooth plastic sides
PAYLOAD_SIZE = (0.4, 0.4, 0.2)  # of the load on the robot's deck [m]
_ON_FLOOR, _SOLID = 1, 2  # collision bits

Geom, Joint = mujoco.mjtGeom, mujoco.mjtJoint


@dataclass(frozen=True)
class World:
    """A compiled model with its state and the addresses of everything that the simulation touches."""

    model: mujoco.MjModel
    data: mujoco.MjData
    base_qpos: np.ndarray  # [robots] address of x, y, z, quaternion
    base_qvel: np.ndarray  # [robots] address of linear (world) and angular (body) velocity
    wheel_qvel: np.ndarray  # [robots, 2] address of the speeds of left and right wheel
    base_body: np.ndarray  # [robots]
    payload_body: np.ndarray  # [robots]
    wheel_geom: np.ndarray  # [robots, 2]
    pallet_qpos: np.ndarray  # [pallets]
    pallet_qvel: np.ndarray  # [pallets]
    owner: np.ndarray  # [geoms] robot, robots + pallet, FLOOR or WALL
    walls: int  # number of boxes


def build_world(
    site: Site, poses: np.ndarray, pallets: Sequence[Pallet], robot: RobotModel, config: SimulationConfig
) -> World:
    """Compile the world of a site with robots at poses [robots, 3] (x, y, yaw; map frame), standing still."""
    spec = mujoco.MjSpec()
    spec.option.timestep = config.physics_step
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10  # a wheel that holds must not creep
    # Several contacts per pair would take a box's face for the normal where a round chassis meets the box's corner.
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_MULTICCD)
    ground = spec.worldbody
    ground.add_geom(name="floor", type=Geom.mjGEOM_PLANE, size=[0, 0, 1], contype=_ON_FLOOR, conaffinity=0)
    boxes = wall_boxes(site, robot.radius)
    for x, y, half_width, half_depth in boxes:
        ground.add_geom(
            type=Geom.mjGEOM_BOX,
            pos=[x, y, WALL_HEIGHT / 2],
            size=[half_width, half_depth, WALL_HEIGHT / 2],
            friction=[BODY_FRICTION, 0.005, 0.0001],
            contype=_SOLID,
            conaffinity=0,
        )
    for i, pose in enumerate(poses):
        _add_robot(spec, i, pose, robot, config)
    for k, pallet in enumerate(pallets):
        body = ground.add_body(
            name=f"pallet:{k}", pos=[pallet.x, pallet.y, pallet.height / 2], quat=quaternion(pallet.yaw)
        )
        body.add_freejoint()
        body.add_geom(
            name=f"pallet:{k}",
            type=Geom.mjGEOM_BOX,
            size=[pallet.length / 2, pallet.width / 2, pallet.height / 2],
            mass=pallet.mass,
            friction=[PALLET_FRICTION, 0.005, 0.0001],
            contype=_SOLID,
            conaffinity=_ON_FLOOR | _SOLID,
            priority=1,
        )
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return _index(model, data, len(poses), len(pallets), len(boxes))


def _add_robot(spec: mujoco.MjSpec, i: int, pose: np.ndarray, robot: RobotModel, config: SimulationConfig) -> None:
    radius, wheel = robot.radius, config.wheel_radius
    low, high = CHASSIS
    base = spec.worldbody.add_body(name=f"robot:{i}", pos=[pose[0], pose[1], wheel], quat=quaternion(pose[2]))
    base.add_freejoint()
    base.add_geom(
        name=f"robot:{i}",
        type=Geom.mjGEOM_CYLINDER,
        size=[radius, (high - low) / 2, 0],
        pos=[0, 0, (high + low) / 2 - wheel],
        mass=config.mass - 2 * WHEEL_MASS,
        friction=[BODY_FRICTION, 0.005, 0.0001],
        contype=_SOLID,
        conaffinity=_ON_FLOOR | _SOLID,
    )
    for sign in (-1, 1):
        base.add_geom(
            type=Geom.mjGEOM_SPHERE,
            size=[CHASSIS[0] * 0.9, 0, 0],
            pos=[sign * WHEELBASE * radius, 0, CHASSIS[0] * 0.9 - wheel],
            mass=0,
            contype=0,
            conaffinity=_ON_FLOOR,
            condim=1,
            priority=1,
        )
    payload = base.add_body(name=f"payload:{i}", pos=[0, 0, high - wheel + PAYLOAD_SIZE[2] / 2])
    payload.mass, payload.inertia, payload.explicitinertial = 1e-3, [1e-5, 1e-5, 1e-5], True
    for side, sign in (("left", 1), ("right", -1)):
        name = f"{side}:{i}"
        body = base.add_body(name=name, pos=[0, sign * TRACK * radius, 0])
        body.add_joint(
            name=name,
            type=Joint.mjJNT_HINGE,
            axis=[0, 1, 0],
            damping=config.rolling_damping,
            armature=ROTOR_INERTIA,
        )
        # A sphere meets the floor in one point, as a narrow wheel does, and costs half the contacts of a cylinder.
        body.add_geom(
            name=name,
            type=Geom.mjGEOM_SPHERE,
            size=[wheel, 0, 0],
            mass=WHEEL_MASS,
            friction=[config.wheel_friction, 0.005, 0.0001],
            contype=0,
            conaffinity=_ON_FLOOR,
            priority=1,
        )
        motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.set_to_velocity(kv=config.servo_gain)
        motor.forcelimited, motor.forcerange = True, [-config.drive_torque, config.drive_torque]


def _index(model: mujoco.MjModel, data: mujoco.MjData, robots: int, pallets: int, walls: int) -> World:
    def body(name: str) -> int:
        return mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name)

    base = np.array([body(f"robot:{i}") for i in range(robots)], int)
    load = np.array([body(f"payload:{i}") for i in range(robots)], int)
    wheels = np.array([[body(f"{side}:{i}") for side in ("left", "right")] for i in range(robots)], int)
    pallet = np.array([body(f"pallet:{k}") for k in range(pallets)], int)
    owner_of_body = np.full(model.nbody, WALL)
    owner_of_body[base] = np.arange(robots)
    owner_of_body[wheels] = np.arange(robots)[:, None]
    owner_of_body[pallet] = robots + np.arange(pallets)
    owner = owner_of_body[model.geom_bodyid]
    owner[mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, "floor")] = FLOOR
    return World(
        model=model,
        data=data,
        base_qpos=model.jnt_qposadr[model.body_jntadr[base]].astype(int),
        base_qvel=model.jnt_dofadr[model.body_jntadr[base]].astype(int),
        wheel_qvel=model.jnt_dofadr[model.body_jntadr[wheels]].astype(int),
        base_body=base,
        payload_body=load,
        wheel_geom=model.body_geomadr[wheels].astype(int),
        pallet_qpos=model.jnt_qposadr[model.body_jntadr[pallet]].astype(int),
        pallet_qvel=model.jnt_dofadr[model.body_jntadr[pallet]].astype(int),
        owner=owner.astype(np.int64),
        walls=walls,
    )


def set_payload(world: World, robot: int, mass: float) -> None:
    """Put a load [kg] on a robot's deck in place of the one it has."""
    body = world.payload_body[robot]
    length, width, height = PAYLOAD_SIZE
    square = np.array([width**2 + height**2, length**2 + height**2, length**2 + width**2])
    world.model.body_mass[body] = max(mass, 1e-3)
    world.model.body_inertia[body] = max(mass, 1e-3) * square / 12
    # The derived constants are computed at the initial pose; a second MjData keeps the running state as it is.
    mujoco.mj_setConst(world.model, mujoco.MjData(world.model))


def yaw_of(quaternion: np.ndarray) -> np.ndarray:
    """Yaw [...] of unit quaternions [..., 4] (w, x, y, z)."""
    w, x, y, z = np.moveaxis(quaternion, -1, 0)
    return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def quaternion(yaw: float) -> list[float]:
    """Unit quaternion [4] (w, x, y, z) of a yaw [rad]."""
    return [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]
