"""The time of a node that computes for long stretches: simulated time must not wait behind a cycle.

A node hears ``/clock`` in its executor, like any topic. While that is busy its time stands still, and what it sends
next looks like a repetition. Here simulated time is heard in a thread of its own.
"""

from __future__ import annotations

import contextlib
import threading

from rclpy.clock import Clock
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter


class FreshClock:
    """``clock`` is the clock of the node, or one that keeps up with ``/clock`` when the node uses simulated time."""

    def __init__(self, node: Node):
        self.clock: Clock = node.get_clock()
        self._executor: SingleThreadedExecutor | None = None
        if not node.get_parameter("use_sim_time").value:
            return
        self._node = Node(
            f"{node.get_name()}_clock", context=node.context, namespace=node.get_namespace(),
            use_global_arguments=False, start_parameter_services=False, enable_rosout=False,
            parameter_overrides=[Parameter("use_sim_time", Parameter.Type.BOOL, True)],
        )  # fmt: skip
        self.clock = self._node.get_clock()
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._listen, name="clock", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(ExternalShutdownException):  # the context was ended: there is nothing more to hear
            self._executor.spin()

    def close(self) -> None:
        """Stop the thread and take its node down."""
        if self._executor is None:
            return
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        self._executor = None
