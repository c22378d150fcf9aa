"""Every parameter of the planner node: its own, and those of what it is put together from, each under a prefix."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.node import Node

from dyna_nav.mdp import RobotModel
from dyna_nav.nodes.controllers import CONTROLLER
from dyna_nav.nodes.parameters import declare_parameters
from dyna_nav.nodes.robot_port import InputTimeouts
from dyna_nav.parameters import parameter
from dyna_nav.planning import PlannerConfig
from dyna_nav.safety.deadline import DeadlineConfig
from dyna_nav.safety.inputs import InputLimits, LaserMount


@dataclass(frozen=True)
class PlannerNodeConfig:
    """Parameters of the planner node; those of the algorithm follow under ``planner``, of the base under ``robot``."""

    robots: tuple[str, ...] = parameter(
        ("r1", "r2", "r3", "r4"), "namespaces of the robots; none, written ['']: that of the node"
    )
    map: str = parameter("default", "site: path of a map_server yaml, default, or random:SEED")
    model: str = parameter("", "folder of the model bundle; empty: the one that ships with the package")
    provider: str = parameter("auto", "ONNX Runtime provider: auto, tensorrt, cuda or cpu")
    memory: str = parameter("", "folder of the permanent memory; empty: ~/.ros/dyna_nav/memory; none: not kept")
    controller: str = parameter(CONTROLLER, "class that plans, as module:Class")
    pose_source: str = parameter("odom", "odom (in the map frame), amcl_pose, or tf")
    odometry_frame: str = parameter("", "frame of odom with pose_source tf; empty: <robot>/odom")
    seed: int = parameter(0, "seed of the planner's random numbers", minimum=0, maximum=2**31 - 1)
    autostart: bool = parameter(True, "configure and activate without being asked to")


PARAMETERS = (
    (PlannerNodeConfig, ""),
    (PlannerConfig, "planner"),
    (RobotModel, "robot"),
    (DeadlineConfig, "deadline"),
    (InputLimits, "inputs"),
    (InputTimeouts, "timeouts"),
    (LaserMount, "laser"),
)


def read_parameters(node: Node) -> tuple:
    """Every parameter, declared and checked, in the order of PARAMETERS. Raises ValueError naming the first bad one."""
    found, refused = [], None
    for config_class, prefix in PARAMETERS:
        try:
            found.append(declare_parameters(node, config_class, prefix=prefix))
        except ValueError as error:
            refused = refused or error
    if refused:
        raise refused
    return tuple(found)
