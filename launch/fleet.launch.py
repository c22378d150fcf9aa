"""A fleet: planner and velocity gate, and with simulate:=true the warehouse, its dispatcher and its map."""

from os import environ
from os.path import expanduser
from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from dyna_nav.nodes.launch_arguments import log_level, truth, whole_number
from dyna_nav.nodes.process_environment import launch_environment
from dyna_nav.nodes.robot_names import check_robot_names

PARAMETERS = str(Path(__file__).resolve().parent.parent / "config" / "fleet.yaml")

ARGUMENTS = (
    ("map", "default", "site: path of a map_server yaml, default, or random:SEED"),
    ("robots", "4", "how many robots (r1, r2, ...), or their namespaces separated by commas"),
    ("people", "0", "how many people walk among the robots in the simulation, 0 to 64; they yield to nobody"),
    ("simulate", "true", "start the simulator, the dispatcher and the map publisher as well"),
    ("model", "", "folder of the model bundle; empty: the one that ships with the package"),
    ("use_sim_time", LaunchConfiguration("simulate"), "take the time from /clock (default: as simulate)"),
    ("seed", "0", "seed of places, trips, noise and people"),
    ("log_level", "info", "debug, info, warn, error or fatal"),
    ("params_file", PARAMETERS, "parameter file of all nodes"),
)


def robot_names(text: str) -> list[str]:
    """Namespaces of the robots: r1, r2, ... for a number, otherwise the words between the commas."""
    names = [f"r{k + 1}" for k in range(int(text))] if text.isdigit() else [word.strip() for word in text.split(",")]
    if not names or not all(names):
        raise ValueError(f"launch argument robots is {text!r}; give a number of robots, or names separated by commas")
    check_robot_names(names)  # here, because a gate that refuses its names would be started again and again
    return names


def nodes(context) -> list:
    """The nodes, once the launch arguments are known."""
    value = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    site = value["map"]
    if site != "default" and not site.startswith("random:"):
        site = str(Path(site).expanduser().resolve())
    names = robot_names(value["robots"])
    seed, people = ({name: whole_number(name, value[name])} for name in ("seed", "people"))
    simulate = IfCondition(str(truth("simulate", value["simulate"])))
    time = {"use_sim_time": truth("use_sim_time", value["use_sim_time"])}
    level = log_level(value["log_level"])

    def node(executable: str, parameters: dict, **options) -> Node:
        return Node(
            package="dyna_nav",
            executable=executable,
            name=executable,
            parameters=[value["params_file"], parameters],
            arguments=["--ros-args", "--log-level", level],
            output="screen",
            **options,
        )

    fleet = {"robots": names, "map": site}
    safe = {"respawn": True, "respawn_delay": 0.5}  # robots stand while one of these is away
    over = {"on_exit": EmitEvent(event=Shutdown())}  # without warehouse or trips the rest has nothing to do
    return [
        node("planner", {**fleet, **seed, **time, "model": expanduser(value["model"])}, **safe),
        node("velocity_gate", {"robots": names, **time}, **safe),
        node("simulator", {**fleet, **seed, **people}, condition=simulate, **over),
        node("dispatcher", {**fleet, **seed, **time}, condition=simulate, **over),
        node("map_publisher", {"map": site, **time}, condition=simulate),
    ]


def generate_launch_description() -> LaunchDescription:
    """The launch description that ros2 launch asks for."""
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    environment = [SetEnvironmentVariable(name, value) for name, value in launch_environment(environ).items()]
    return LaunchDescription([*declared, *environment, OpaqueFunction(function=nodes)])
