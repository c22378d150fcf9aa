"""Learned, safe navigation for fleets of warehouse robots on ROS 2."""

from pathlib import Path

from dyna_nav.compiled import keep_compiled

__version__ = "0.1.0"

keep_compiled(Path(__file__).parent)
