"""Simulated time passes for a node that is busy, and messages wait for one that has other things to do."""

from __future__ import annotations

import time

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_harness import RosHarness
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64

from dyna_nav.nodes.inbox import ClockOnDemand, Inbox


class Busy(ClockOnDemand, Node):
    """Nobody spins it: it computes."""


def busy(ros, use_sim_time):
    override = Parameter("use_sim_time", Parameter.Type.BOOL, use_sim_time)
    return Busy("busy", context=ros.node.context, parameter_overrides=[override])


def tell_the_time(ros):
    message, publisher = Clock(), ros.node.create_publisher(Clock, "/clock", 1)
    ros.every(0.02, lambda: publisher.publish(message))
    return message.clock


def seconds(node):
    return node.get_clock().now().nanoseconds * 1e-9


def test_simulated_time_does_not_wait_for_the_nodes_executor():
    with RosHarness("clock_test") as ros:
        node, clock = busy(ros, True), tell_the_time(ros)
        for second in (5, 6):
            clock.sec = second
            ros.wait_for(lambda now=second: seconds(node) == now, f"{second} s")


def test_a_node_can_be_given_back_to_real_time():
    with RosHarness("clock_test") as ros:
        node, clock = busy(ros, True), tell_the_time(ros)
        clock.sec = 5
        ros.wait_for(lambda: seconds(node) == 5, "simulated time")
        node.set_parameters([Parameter("use_sim_time", Parameter.Type.BOOL, False)])
        assert seconds(node) > 1e9
        node.set_parameters([Parameter("use_sim_time", Parameter.Type.BOOL, True)])
        ros.wait_for(lambda: seconds(node) == 5, "simulated time again")


def test_real_time_is_as_ever():
    with RosHarness("clock_test") as ros:
        assert seconds(busy(ros, False)) > 1e9


def test_no_executor_wakes_for_what_waits_in_an_inbox():
    with RosHarness("inbox_test") as ros:
        node, clock = busy(ros, True), tell_the_time(ros)
        inbox, heard = Inbox(node, Float64, "number"), []
        node.create_subscription(Float64, "last", lambda message: heard.append(message.data), 1)
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        number, last = (ros.node.create_publisher(Float64, topic, 1) for topic in ("number", "last"))
        ros.wait_for(lambda: number.get_subscription_count() and last.get_subscription_count(), "subscriptions")
        clock.sec = 5
        ros.wait_for(lambda: seconds(node) == 5, "simulated time")
        for _ in range(3):
            number.publish(Float64(data=1.0))
        last.publish(Float64(data=2.0))
        while not heard:
            executor.spin_once()  # returns for what there is to do, and there is nothing else
        executor.shutdown()
        ros.wait_for(lambda: [message.data for message, _ in inbox.read()] == [1.0], "the newest message, once")


def test_an_inbox_keeps_as_many_messages_as_fit_and_says_how_long_they_waited():
    with RosHarness("inbox_test") as ros:
        inbox, publisher = Inbox(ros.node, Float64, "number", depth=2), ros.node.create_publisher(Float64, "number", 9)
        witness, seen = [], ros.node.create_subscription(Float64, "number", lambda m: witness.append(m.data), 9)
        ros.wait_for(lambda: publisher.get_subscription_count() == 2, "both subscriptions")
        for number in (1.0, 2.0, 3.0):
            publisher.publish(Float64(data=number))
        ros.wait_for(lambda: witness == [1.0, 2.0, 3.0], "every message")
        heard = time.monotonic()
        ros.wait_for(lambda: time.monotonic() > heard + 0.1, "some time to pass")
        received = inbox.read()
        assert [message.data for message, _ in received] == [2.0, 3.0]
        assert all(0.1 <= waited < 60.0 for _, waited in received)
        assert inbox.read() == []
        inbox.close()
        ros.node.destroy_subscription(seen)
