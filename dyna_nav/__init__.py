"""Learned, safe navigation for fleets of warehouse robots on ROS 2."""

__version__ = "0.1.0"
