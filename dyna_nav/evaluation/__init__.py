"""The lockstep benchmark: scenarios, task streams, paired statistics and plots; any controller, no ROS."""
