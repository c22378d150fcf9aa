"""Environment variables that the processes of a robot run best with."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dyna_nav.nodes.transport import this_machine_only, without_shared_memory

LEAN = {
    # Processes share the cores: linear algebra stays on one thread in each, threads that spin cost the others time.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # So does allocating (glibc): the middleware has a dozen threads, a heap for each would cost the planner 30 MB.
    "MALLOC_ARENA_MAX": "1",
}


def lean(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables, to be set over an environment, that keep processes small; what it says already, it keeps."""
    return {name: environment.get(name, value) for name, value in LEAN.items()}


def launch_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that the launch files set over the user's environment."""
    return lean(environment) | without_shared_memory(environment)


def ros_environment(domain: int) -> dict[str, str]:
    """The environment of processes that talk to this machine only, on one ROS domain.

    Whatever the user's environment says: simulated robots bear the names of real ones, and must not be heard by them.
    """
    domain_and_output = {"ROS_DOMAIN_ID": str(domain), "PYTHONUNBUFFERED": "1"}
    return {**os.environ, **domain_and_output, **lean(os.environ), **this_machine_only(os.environ)}
