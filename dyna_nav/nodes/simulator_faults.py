"""Faults on request: JSON on the simulator's ``~/fault`` topic breaks robots, sensors and floors, for tests and demos.

    {"fault": "push", "robot": "r1", "impulse": [30, 0]}
    {"fault": "silent_odometry", "robot": "r1", "on": true}

The fault is one of :data:`SIMULATION_FAULTS` (methods of :class:`dyna_nav.simulation.Simulation`, with their
arguments) or one of the switches of :class:`SensorFaults`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from dyna_nav.simulation import Simulation

SIMULATION_FAULTS = (
    "push", "lift", "lower", "set_friction", "set_payload", "set_scan_fault", "jump_odometry", "stall", "add_pallet",
    "remove_pallet",
)  # fmt: skip


class SensorFaults:
    """Switches for what the simulator publishes; bool [robots] each."""

    def __init__(self, robots: int):
        self.silent_odometry = np.zeros(robots, bool)
        self.silent_scan = np.zeros(robots, bool)
        self.nan_odometry = np.zeros(robots, bool)


def apply_fault(text: str, names: Sequence[str], simulation: Simulation, sensors: SensorFaults) -> str:
    """Carry out one fault request and return it in words.

    Raises ValueError, one sentence, for text that is not such a request.
    """
    try:
        request = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{text!r} is not JSON: {error}") from None
    if not isinstance(request, dict) or "fault" not in request:
        raise ValueError(f'{text!r} names no fault; write {{"fault": "push", "robot": "r1", "impulse": [30, 0]}}')
    arguments = dict(request)
    fault = arguments.pop("fault")
    if "robot" in arguments:
        if arguments["robot"] not in names:
            raise ValueError(f"robot is {arguments['robot']!r}; it must be one of {', '.join(names)}")
        arguments["robot"] = list(names).index(arguments["robot"])
    try:
        if fault in SIMULATION_FAULTS:
            getattr(simulation, fault)(**arguments)
        elif fault in vars(sensors):
            getattr(sensors, fault)[arguments["robot"]] = bool(arguments["on"])
        else:
            known = ", ".join([*SIMULATION_FAULTS, *vars(sensors)])
            raise ValueError(f"fault is {fault!r}; it must be one of {known}")
    except (TypeError, KeyError) as error:
        raise ValueError(f"fault {fault} does not take {arguments}: {error}") from None
    return f"{fault} {arguments}" if arguments else str(fault)
