"""Which way messages go: never through shared memory, where a process that dies holds up all the others.

Fast DDS keeps a lock in each segment of shared memory. Whoever ends, or is frozen, while it holds one is waited for: a
velocity gate was seen to stand 1.6 s inside a publication, because another process of the fleet had ended.
"""

from __future__ import annotations

from collections.abc import Mapping

from dyna_nav.share import share_path

FAST_DDS = "rmw_fastrtps"
PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")  # until and from version 3


def this_machine_only(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables, to be set over an environment, with which processes talk to this machine only, whatever it says.

    Fast DDS gets a profile for it: its own way of keeping to this machine brings shared memory back, whatever
    ``FASTDDS_BUILTIN_TRANSPORTS`` says.
    """
    nobody = {"ROS_STATIC_PEERS": "", "ROS_LOCALHOST_ONLY": ""}
    if environment.get("RMW_IMPLEMENTATION", FAST_DDS).startswith(FAST_DDS):
        profile = str(share_path("config/loopback.xml"))
        return nobody | {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT"} | dict.fromkeys(PROFILES, profile)
    if environment.get("ROS_DISTRO") == "humble":  # later distributions warn of its variable
        nobody["ROS_LOCALHOST_ONLY"] = "1"
    return nobody | {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def without_shared_memory(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables, to be set over an environment, that keep Fast DDS out of shared memory where the user lets us choose.

    The user chooses with a profile or ``FASTDDS_BUILTIN_TRANSPORTS``; who keeps to this machine still does.
    """
    if any(environment.get(name) for name in PROFILES):
        return {}
    if environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() == "LOCALHOST" or (
        environment.get("ROS_LOCALHOST_ONLY") == "1"
    ):
        return this_machine_only(environment)
    return {"FASTDDS_BUILTIN_TRANSPORTS": environment.get("FASTDDS_BUILTIN_TRANSPORTS") or "UDPv4"}
