"""The life of one ROS process: start a node, serve it until SIGINT or SIGTERM, let it close, leave without a trace."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from dyna_nav.nodes.parameters import keep_parameters

WAKE_UP = 0.1  # longest time until a signal is noticed while nothing arrives [s]
READ_AT_START = "read when the node starts; set it in its parameter file and start the node again"
USAGE_ERROR = 2  # exit status for a configuration that cannot be used


class _Stop:
    """Whether the process was asked to stop.

    A plain attribute and no :class:`threading.Event`: signals come in bursts (the kernel sends one for each thread of a
    supervisor that dies), a handler is interrupted by the next one, and would wait for the lock that it holds itself.
    """

    asked = False

    def ask(self, *_: object) -> None:
        """Handle a signal."""
        self.asked = True


def run(make_node: Callable[[], Node], arguments: Sequence[str] | None = None) -> int:
    """Make a node and serve it until SIGINT or SIGTERM; its ``close()``, if it has one, is called before it goes.

    arguments: the command line without the program (default: this process's).
    Returns the exit status: 0, or 2 after one sentence on stderr when ROS refused the command line (as it does with a
    parameter file that it cannot read) or making the node raised ValueError or OSError.
    rclpy's own signal handlers are left out: they would end the context before the node can send a last zero command.
    """
    stop = _Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop.ask)
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # RCLError and UnknownROSArgsError, which rclpy keeps to itself
        print(f"ROS refuses the command line: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE_ERROR
    try:
        node = make_node()
        warn_of_unknown_parameters(node)
        if not isinstance(node, LifecycleNode):  # which reads them whenever it is configured
            keep_parameters(node, lambda: READ_AT_START)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        rclpy.try_shutdown()
        return USAGE_ERROR
    settle()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stop.asked:
            executor.spin_once(timeout_sec=WAKE_UP)
    except ExternalShutdownException:
        pass  # the context was ended from outside; closing below is all that is left
    finally:
        if hasattr(node, "close"):
            node.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def settle() -> None:
    """Keep everything that lives now out of later garbage collections.

    One that visits all objects of numba and its like takes as long as a cycle, or an odometry's time limit.
    """
    gc.collect()
    gc.freeze()


def warn_of_unknown_parameters(node: Node) -> None:
    """Say which parameters were set that the node does not have; ROS passes a misspelt one over in silence."""
    given = getattr(node, "_parameter_overrides", {})  # rclpy has no other way to ask
    unknown = sorted(name for name in given if not node.has_parameter(name))
    if unknown:
        node.get_logger().warning(f"{node.get_name()} has no parameter {', '.join(unknown)}; check the spelling")


def serve(make_node: Callable[[], Node]) -> NoReturn:
    """:func:`run`, then leave at once with its exit status: for the entry points of processes.

    Everything was closed by then. The interpreter would spend another second on taking numba and ONNX Runtime apart,
    and wait for a route that is being computed for nobody.
    """
    status = run(make_node)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
