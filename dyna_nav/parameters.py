"""One place for every number: configuration dataclasses whose fields know their range and meaning.

A configuration is a frozen dataclass whose fields are made with :func:`parameter`. The same declaration gives the
default to the algorithms, the type, range and description to ROS (``nodes/``), and the table to the documentation.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any


def parameter(default: Any, description: str, *, minimum: float | None = None, maximum: float | None = None) -> Any:
    """Declare one configuration field: its default, what it means (unit in brackets) and its inclusive range."""
    return dataclasses.field(
        default=default, metadata={"description": description, "minimum": minimum, "maximum": maximum}
    )


def check(config: Any, prefix: str = "") -> None:
    """Refuse a configuration with a value outside its declared range or that is not finite.

    Raises ValueError with one sentence that names the parameter, its value and its range.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        name = prefix + field.name
        if dataclasses.is_dataclass(value):
            check(value, name + ".")
            continue
        low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
        for number in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                continue
            if not math.isfinite(number):
                raise ValueError(f"parameter {name} is {number}; it must be a finite number")
            if (low is not None and number < low) or (high is not None and number > high):
                raise ValueError(f"parameter {name} is {number}; it must lie in [{low}, {high}]")
