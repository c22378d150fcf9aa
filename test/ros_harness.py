"""Real processes on real topics in a test: a private ROS domain, processes that surely end, waiting for conditions.

with RosHarness() as ros:
    gate = ros.start("dyna_nav.nodes.velocity_gate", parameters={"robots": ["r1"]})
    ros.every(0.05, lambda: odometry.publish(message))
    ros.wait_for(lambda: commands and commands[-1] == 0.0, "a zero command")
    assert gate.stop() == 0
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from dyna_nav.nodes.process_environment import ros_environment
from dyna_nav.nodes.transport import this_machine_only

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20.0  # how long a condition may take before the test fails [s]; a slow machine needs it, a good one never
_RESERVATION_PORT = 21000  # one local port per domain marks it as taken by a test
_reserved: list[socket.socket] = []  # held until the test process ends
# Nodes of tests that have ended. They are silent, but not destroyed: taking a DDS participant down while it still deals
# with peers that were killed has crashed inside the middleware, and with it the whole test run. conftest.py sees to it
# that the process leaves without doing so either.
left_behind: list[tuple[rclpy.Context, Node]] = []


def free_domain_id() -> int:
    """A ROS domain (1 to 101) that no other test on this machine uses, reserved until this process ends.

    Raises RuntimeError when all are taken.
    """
    for offset in range(101):
        domain = 1 + (os.getpid() + offset) % 101
        reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        participant = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", _RESERVATION_PORT + domain))
            participant.bind(("", 7410 + 250 * domain))  # the DDS port of the first participant of that domain
        except OSError:
            reservation.close()
            continue
        finally:
            participant.close()
        _reserved.append(reservation)
        return domain
    raise RuntimeError("all 101 ROS domains of this machine are in use")


def child_environment(domain: int) -> dict[str, str]:
    """The environment of a ROS process of this checkout that talks to this machine and this domain only."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**ros_environment(domain), "PYTHONPATH": path}


class RosProcess:
    """A child process whose output is kept and which never outlives the test."""

    def __init__(self, command: Sequence[str], domain: int, environment: Mapping[str, str] | None = None):
        self.command = list(command)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            self.command,
            env={**child_environment(domain), **(environment or {})},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,  # a Ctrl-C in the test's terminal is not one for the child
        )
        self.pid = self._process.pid

    @property
    def output(self) -> str:
        """Everything that the process wrote to its standard output and error so far."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def send_signal(self, number: int) -> None:
        """Send a signal to the process (SIGSTOP, SIGCONT, SIGKILL, ...)."""
        self._process.send_signal(number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Exit status of the process, once it has ended. Raises AssertionError when it does not end."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} still runs after {timeout} s:\n{self.output}") from None

    def stop(self, number: int = signal.SIGINT, timeout: float = PATIENCE) -> int:
        """Ask the process to end and return its exit status."""
        if self.running:
            self._process.send_signal(number)
        return self.wait(timeout)

    def close(self) -> None:
        """End the process whatever it does."""
        if self.running:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
        self._log.close()


class RosHarness:
    """A private ROS domain with one node of the test in it, and the processes under test around it."""

    def __init__(self, name: str = "test", domain: int | None = None) -> None:
        """name: of the test's node; domain: the ROS domain, a free one when it is not given."""
        self.domain = free_domain_id() if domain is None else domain
        self.processes: list[RosProcess] = []
        self._ros_home = tempfile.TemporaryDirectory()  # what processes remember there, they remember for one test
        os.environ.update(ROS_DOMAIN_ID=str(self.domain), **this_machine_only(os.environ))
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=self.domain)
        self.node = Node(name, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def __enter__(self) -> RosHarness:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.close()
        self._executor.shutdown()
        for timer in list(self.node.timers):
            timer.cancel()
        left_behind.append((self._context, self.node))
        self._ros_home.cleanup()

    def start(
        self,
        module: str,
        parameters: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
        ros_arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> RosProcess:
        """Start ``python -m module``; parameters and ros_arguments are handed over after ``--ros-args``."""
        ros = [word for k, v in (parameters or {}).items() for word in ("-p", f"{k}:={_yaml(v)}")] + list(ros_arguments)
        command = [sys.executable, "-m", module, *arguments, *(["--ros-args", *ros] if ros else [])]
        process = RosProcess(command, self.domain, {"ROS_HOME": self._ros_home.name, **(environment or {})})
        self.processes.append(process)
        return process

    def every(self, period: float, callback: Callable[[], None]) -> None:
        """Call back every ``period`` seconds of wall time while the test spins."""
        self.node.create_timer(period, callback)

    def spin_once(self, timeout: float = 0.02) -> None:
        """Serve what has arrived, waiting up to ``timeout`` seconds for something."""
        self._executor.spin_once(timeout_sec=timeout)

    def wait_for(self, condition: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:
        """Spin until the condition holds and return its value; AssertionError, naming ``what``, when it never does."""
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {' '.join(p.command[1:])}\n{p.output[-3000:]}" for p in self.processes)
                raise AssertionError(f"waited {timeout} s in vain for {what}\n{logs}")
            self.spin_once()
        return value


def _yaml(value: Any) -> str:
    """A parameter value as ``--ros-args -p`` reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_yaml(entry) for entry in value) + "]"
    return f"'{value}'" if isinstance(value, str) else str(value)
