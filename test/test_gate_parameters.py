"""Configuration dataclasses as ROS parameters."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field

import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter

from dyna_nav.nodes.parameters import declare_parameters, keep_parameters
from dyna_nav.nodes.process import warn_of_unknown_parameters
from dyna_nav.parameters import parameter


@dataclass(frozen=True)
class Inner:
    depth: float = parameter(0.5, "depth of something [m]", minimum=0, maximum=1)


@dataclass(frozen=True)
class Outer:
    rate: float = parameter(20.0, "rate [Hz]", minimum=1, maximum=100)
    count: int = parameter(3, "how many", minimum=1, maximum=9)
    stamped: bool = parameter(True, "stamped or not")
    robots: tuple[str, ...] = parameter((), "namespaces of the robots")
    speeds: tuple[float, ...] = parameter((0.0, 0.5, 1.0), "fractions of full speed", minimum=0, maximum=1)
    inner: Inner = field(default_factory=Inner)


@pytest.fixture
def make_node():
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def make(**overrides):
        values = [Parameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
        nodes.append(Node("configured", context=context, parameter_overrides=values, enable_rosout=False))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    context.try_shutdown()


def test_defaults_of_the_dataclass_are_the_defaults_of_the_parameters(make_node):
    assert declare_parameters(make_node(), Outer) == Outer()


def test_overrides_reach_nested_configurations_and_whole_numbers_serve_as_floats(make_node):
    node = make_node(gate__inner__depth=1, gate__rate=10, gate__robots=["r1", "r2"])
    config = declare_parameters(node, Outer, "gate")
    assert config == Outer(rate=10.0, robots=("r1", "r2"), inner=Inner(depth=1.0))
    assert isinstance(config.rate, float)


def test_descriptors_carry_range_and_description(make_node):
    node = make_node()
    declare_parameters(node, Outer)
    descriptor = node.describe_parameter("rate")
    assert descriptor.description == "rate [Hz]"
    assert (descriptor.floating_point_range[0].from_value, descriptor.floating_point_range[0].to_value) == (1.0, 100.0)
    assert node.describe_parameter("count").integer_range[0].to_value == 9


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("rate", 500.0, r"parameter rate is 500.0; it must lie in \[1, 100\]"),
        ("count", 0, r"parameter count is 0; it must lie in \[1, 9\]"),
        ("rate", "fast", r"parameter rate is 'fast'; it must be a double"),
        ("stamped", 1, r"parameter stamped is 1; it must be a bool"),
        ("rate", float("nan"), r"parameter rate is nan; it must be a finite number"),
        ("speeds", [0.0, 2.0], r"parameter speeds is 2.0; it must lie in \[0, 1\]"),
        ("inner__depth", -1.0, r"parameter inner.depth is -1.0; it must lie in \[0, 1\]"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name_and_range(make_node, name, value, complaint):
    with pytest.raises(ValueError, match=complaint):
        declare_parameters(make_node(**{name: value}), Outer)


def test_an_empty_list_which_ros_takes_for_no_value_is_refused(make_node):
    node = make_node()
    node._parameter_overrides["robots"] = Parameter("robots")  # as `-p robots:=[]` leaves it
    with pytest.raises(ValueError, match="parameter robots has no value"):
        declare_parameters(node, Outer)


def test_a_misspelt_parameter_is_told(make_node):
    node, told = make_node(rate=50.0, rat=20.0), []
    declare_parameters(node, Outer)
    node.get_logger().warning = told.append
    warn_of_unknown_parameters(node)
    assert told == ["configured has no parameter rat; check the spelling"]


@pytest.mark.parametrize("content", ["map_publisher: [", "map_publisher: {map: default}", None])
def test_a_parameter_file_that_ros_cannot_read_is_one_sentence_and_exit_status_2(tmp_path, content):
    file = tmp_path / "parameters.yaml"
    if content is not None:
        file.write_text(content)
    command = [sys.executable, "-m", "dyna_nav.nodes.map_publisher", "--ros-args", "--params-file", str(file)]
    end = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert end.returncode == 2
    assert end.stderr.splitlines()[-1].startswith("ROS refuses the command line: ")
    assert str(file) in end.stderr
    assert "Traceback" not in end.stderr


def test_a_refused_value_can_be_corrected_and_read_again(make_node):
    node = make_node(rate=500.0)
    with pytest.raises(ValueError, match="rate is 500"):
        declare_parameters(node, Outer)
    assert node.set_parameters([Parameter("rate", value=50.0)])[0].successful
    assert declare_parameters(node, Outer).rate == 50.0


def test_setting_a_declared_parameter_out_of_range_is_refused_by_ros(make_node):
    node = make_node()
    declare_parameters(node, Outer)
    assert not node.set_parameters([Parameter("rate", value=500.0)])[0].successful


def test_a_parameter_that_nobody_would_read_again_cannot_be_set(make_node):
    node, reasons = make_node(), ["read at configure"]
    declare_parameters(node, Outer)
    keep_parameters(node, lambda: reasons[-1])
    answer = node.set_parameters([Parameter("rate", value=50.0)])[0]
    assert (answer.successful, answer.reason) == (False, "rate: read at configure")
    assert node.set_parameters([Parameter("use_sim_time", value=True)])[0].successful
    reasons.append("")  # in force no more
    assert node.set_parameters([Parameter("rate", value=50.0)])[0].successful
