"""Simulated time passes for a node that is busy."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_harness import RosHarness
from rosgraph_msgs.msg import Clock

from dyna_nav.nodes.fresh_clock import FreshClock


def node(ros, use_sim_time):
    override = Parameter("use_sim_time", Parameter.Type.BOOL, use_sim_time)
    return Node("busy", context=ros.node.context, parameter_overrides=[override])


def test_simulated_time_does_not_wait_for_the_nodes_executor():
    with RosHarness("clock_test") as ros:
        busy = node(ros, True)  # nobody spins it: it computes
        fresh = FreshClock(busy)
        message, publisher = Clock(), ros.node.create_publisher(Clock, "/clock", 1)
        ros.every(0.02, lambda: publisher.publish(message))
        for second in (5, 6):
            message.clock.sec = second
            ros.wait_for(lambda now=second: fresh.clock.now().nanoseconds == now * 10**9, f"{second} s")
        assert busy.get_clock().now().nanoseconds == 0
        fresh.close()
        fresh.close()  # twice is once


def test_real_time_needs_no_thread():
    with RosHarness("clock_test") as ros:
        steady = node(ros, False)
        assert FreshClock(steady).clock is steady.get_clock()
