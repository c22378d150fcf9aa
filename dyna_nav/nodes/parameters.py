"""Configuration dataclasses as ROS parameters: one declaration gives type, range and description to both sides.

Typical use, in the constructor of a plain node or in ``on_configure`` of a lifecycle node::

    config = declare_parameters(self, GateConfig)                    # parameters "rate", "command_timeout", ...
    model = declare_parameters(self, RobotModel, prefix="robot")     # parameters "robot.radius", ...

Calling it again reads the present values anew, so a lifecycle node may be configured, refused, corrected with
``ros2 param set`` and configured once more. Once they are in force, :func:`keep_parameters` has ROS refuse a change
that nobody would read.
"""

from __future__ import annotations

import array
import dataclasses
import sys
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from dyna_nav.parameters import check

Config = TypeVar("Config")

_ROS_TYPE = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
    (bool,): Parameter.Type.BOOL_ARRAY,
    (int,): Parameter.Type.INTEGER_ARRAY,
    (float,): Parameter.Type.DOUBLE_ARRAY,
    (str,): Parameter.Type.STRING_ARRAY,
}


def declare_parameters(
    node: Node, config_class: type[Config], prefix: str = "", defaults: Config | None = None
) -> Config:
    """Declare every field of a configuration dataclass as a parameter of the node and return the values in force.

    Fields may be bool, int, float, str, tuples of these, and nested configuration dataclasses; the parameter of a
    nested field is ``outer.inner``. ``prefix`` is put in front, followed by a dot. ``defaults`` replaces the defaults
    of the class.

    Raises ValueError, one sentence naming the parameter, its value and its range, when a value does not fit. Every
    parameter is declared even then, so that it can be corrected and read again.
    """
    prefix = prefix + "." if prefix and not prefix.endswith(".") else prefix
    _declare(node, config_class, prefix, defaults if defaults is not None else config_class())
    config = _read(node, config_class, prefix)
    check(config, prefix)
    return config


def keep_parameters(node: Node, why: Callable[[], str]) -> None:
    """From now on refuse to set a parameter while ``why()`` says why, rather than accept what has no effect.

    A person who has "successfully" set a margin takes it for kept. ``use_sim_time`` is ROS's own, and can be set.
    """

    def answer(parameters: list[Parameter]) -> SetParametersResult:
        names = [parameter.name for parameter in parameters if parameter.name != "use_sim_time"]
        if not names or not (reason := why()):
            return SetParametersResult(successful=True)
        return SetParametersResult(successful=False, reason=f"{', '.join(names)}: {reason}")

    node.add_on_set_parameters_callback(answer)


def _declare(node: Node, config_class: type, prefix: str, defaults: Any) -> None:
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        name, default = prefix + field.name, getattr(defaults, field.name)
        if dataclasses.is_dataclass(default):
            _declare(node, type(default), name + ".", default)
        elif not node.has_parameter(name):
            _declare_one(node, name, _ros_type(name, hints[field.name]), default, field.metadata)


def _declare_one(node: Node, name: str, ros_type: Parameter.Type, default: Any, metadata: Any) -> None:
    """Declare one parameter; a value that does not fit is kept, without its range, for `_read` to refuse."""
    description, low, high = (metadata.get(key) for key in ("description", "minimum", "maximum"))
    descriptor = ParameterDescriptor(description=description or "")
    if low is not None or high is not None:
        if ros_type == Parameter.Type.INTEGER:
            span = (-(2**63) if low is None else int(low), 2**63 - 1 if high is None else int(high))
            descriptor.integer_range = [IntegerRange(from_value=span[0], to_value=span[1], step=0)]
        elif ros_type == Parameter.Type.DOUBLE:
            span = (-sys.float_info.max if low is None else low, sys.float_info.max if high is None else high)
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(span[0]), to_value=float(span[1]), step=0.0)
            ]
        else:
            descriptor.additional_constraints = f"every entry lies in [{low}, {high}]"
    try:
        node.declare_parameter(name, _ros_value(ros_type, default), descriptor)
    except (InvalidParameterTypeException, InvalidParameterValueException):
        node.declare_parameter(
            name, _ros_value(ros_type, default), ParameterDescriptor(description=description or "", dynamic_typing=True)
        )


def _read(node: Node, config_class: type[Config], prefix: str) -> Config:
    hints = typing.get_type_hints(config_class)
    values = {}
    for field in dataclasses.fields(config_class):
        name = prefix + field.name
        if dataclasses.is_dataclass(hints[field.name]):
            values[field.name] = _read(node, hints[field.name], name + ".")
        else:
            try:
                value = node.get_parameter(name).value
            except ParameterUninitializedException:  # an empty list has no type, and so no value
                raise ValueError(f"parameter {name} has no value; give it one, or leave it out") from None
            values[field.name] = _from_ros(name, _ros_type(name, hints[field.name]), value)
    return config_class(**values)


def _ros_type(name: str, hint: Any) -> Parameter.Type:
    """The ROS type of a field's annotation: bool, int, float, str or a tuple of one of these."""
    key = (typing.get_args(hint)[0],) if typing.get_origin(hint) in (tuple, list) else hint
    if key not in _ROS_TYPE:
        raise TypeError(f"configuration field {name} is declared as {hint}, which no ROS parameter can hold")
    return _ROS_TYPE[key]


def _ros_value(ros_type: Parameter.Type, value: Any) -> Any:
    """A default as ROS wants it: typed exactly, and an empty list of names as [""] (an empty list has no type)."""
    if ros_type == Parameter.Type.DOUBLE:
        return float(value)
    if ros_type == Parameter.Type.DOUBLE_ARRAY:
        return [float(number) for number in value]
    if ros_type == Parameter.Type.STRING_ARRAY and not value:
        return [""]
    return list(value) if isinstance(value, tuple) else value


def _from_ros(name: str, ros_type: Parameter.Type, value: Any) -> Any:
    """The value of a parameter as the dataclass wants it; whole numbers serve as floats; ValueError else."""
    wanted = ros_type.name.lower().replace("_", " ")
    scalar = ros_type.name.removesuffix("_ARRAY")
    is_array = scalar != ros_type.name
    if is_array != isinstance(value, (list, tuple, array.array)):
        raise ValueError(f"parameter {name} is {value!r}; it must be a {wanted}")
    entries = []
    for entry in value if is_array else (value,):
        is_number = isinstance(entry, (int, float)) and not isinstance(entry, bool)
        fits = {
            "BOOL": isinstance(entry, bool),
            "INTEGER": is_number and isinstance(entry, int),
            "DOUBLE": is_number,
            "STRING": isinstance(entry, str),
        }[scalar]
        if not fits:
            raise ValueError(f"parameter {name} is {value!r}; it must be a {wanted}")
        entries.append(float(entry) if scalar == "DOUBLE" else entry)
    if not is_array:
        return entries[0]
    return tuple(entry for entry in entries if entry != "")
