"""One real robot: planner and velocity gate only; its base, laser and localisation are started elsewhere."""

from os import environ
from os.path import expanduser
from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from dyna_nav.nodes.launch_arguments import log_level, truth
from dyna_nav.nodes.process_environment import launch_environment
from dyna_nav.nodes.robot_names import robots_served

PARAMETERS = str(Path(__file__).resolve().parent.parent / "config" / "robot.yaml")

ARGUMENTS = (
    ("namespace", "r1", "namespace of the robot, whose topics are <namespace>/odom, ...; / for /odom, ..."),
    ("map", "", "path of the site's map_server yaml"),
    ("model", "", "folder of the model bundle; empty: the one that ships with the package"),
    ("use_sim_time", "false", "take the time from /clock"),
    ("log_level", "info", "debug, info, warn, error or fatal"),
    ("params_file", PARAMETERS, "parameter file of both nodes"),
)


def nodes(context) -> list:
    """The nodes, once the launch arguments are known."""
    value = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    if not value["map"]:
        raise ValueError("launch argument map is missing; give the path of the site's map_server yaml: map:=hall.yaml")
    names = [value["namespace"].strip("/")]  # [""] is how ROS hands on an empty list
    robots_served(list(filter(None, names)))  # here, because a gate that refuses it would be started again and again
    common = {"robots": names, "use_sim_time": truth("use_sim_time", value["use_sim_time"])}
    level = log_level(value["log_level"])
    planner = {**common, "map": str(Path(value["map"]).expanduser().resolve()), "model": expanduser(value["model"])}

    def node(executable: str, parameters: dict) -> Node:
        return Node(
            package="dyna_nav",
            executable=executable,
            name=executable,
            parameters=[value["params_file"], parameters],
            arguments=["--ros-args", "--log-level", level],
            output="screen",
            respawn=True,
            respawn_delay=0.5,
        )

    return [node("planner", planner), node("velocity_gate", common)]


def generate_launch_description() -> LaunchDescription:
    """The launch description that ros2 launch asks for."""
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    environment = [SetEnvironmentVariable(name, value) for name, value in launch_environment(environ).items()]
    return LaunchDescription([*declared, *environment, OpaqueFunction(function=nodes)])
