"""Runs a node that must not outlive its supervisor: ``python -m dyna_nav.nodes.supervised MODULE [ARGUMENT ...]``.

When the supervisor dies, however suddenly, the kernel sends the node a SIGINT, and the node stops its robots and ends.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2), Linux
SUPERVISOR = "DYNA_NAV_SUPERVISOR"  # environment variable: the supervisor's process id


def main() -> None:
    """Tie this process to its supervisor, then become the module."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != int(os.environ[SUPERVISOR]):  # it died before the kernel was told
        sys.exit(1)
    module, sys.argv = sys.argv[1], sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
