"""Processes of one fleet run: each in a process group of its own, with its output in a file, and sure to end."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from dyna_nav.nodes.supervised import SUPERVISOR

MOST_DOMAINS = 101  # ROS domains whose ports lie below the ephemeral ones


def free_domain() -> int:
    """A ROS domain that nobody on this machine uses; where the user chose one (ROS_DOMAIN_ID), that one.

    Raises ValueError when ROS_DOMAIN_ID is not a domain or one in use, or when all are in use.
    """
    wish = os.environ.get("ROS_DOMAIN_ID", "")
    if wish:
        if not wish.isdigit() or int(wish) > 232:
            raise ValueError(f"ROS_DOMAIN_ID is {wish!r}; it must be a whole number from 0 to 232")
        if not is_free(int(wish)):
            raise ValueError(
                f"ROS_DOMAIN_ID is {wish}, and that domain is in use on this machine; "
                "unset it, choose another, or end what uses it (ros2 daemon stop)"
            )
        return int(wish)
    for offset in range(MOST_DOMAINS):
        domain = 1 + (os.getpid() + offset) % MOST_DOMAINS
        if is_free(domain):
            return domain
    raise ValueError("every ROS domain from 1 to 101 is in use; set ROS_DOMAIN_ID")


def is_free(domain: int) -> bool:
    """Whether no process on this machine takes part in a ROS domain."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7400 + 250 * domain + 10))  # the port of a domain's first DDS participant
        except OSError:
            return False
    return True


class ChildProcess:
    """One node as a child process; it can be started again after it ended."""

    def __init__(self, name: str, module: str, arguments: Iterable[str], environment: Mapping[str, str], folder: Path):
        """``python -m module arguments``, tied to this process, its output in folder/name.log; nothing starts yet."""
        self.name = name
        self.log = folder / f"{name}.log"
        self.starts = 0
        self.started = -math.inf  # steady time of its newest start [s]
        self._command = [sys.executable, "-m", "dyna_nav.nodes.supervised", module, *arguments]
        self._environment = {**environment, SUPERVISOR: str(os.getpid())}
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the process (again), in a process group of its own: a Ctrl-C in the terminal is not for it."""
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.starts += 1
        self.started = time.monotonic()

    @property
    def pid(self) -> int | None:
        """Its process id, when it was started."""
        return self._process.pid if self._process else None

    @property
    def exit_status(self) -> int | None:
        """How it ended (negative: by which signal), None while it runs or before it was started."""
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def last_words(self, lines: int = 8) -> str:
        """The end of its output."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.strip().splitlines()[-lines:])

    def signal(self, number: int) -> None:
        """Send a signal to its whole process group, if it still runs."""
        if self.running:
            os.killpg(self._process.pid, number)

    def reap(self, seconds: float) -> bool:
        """Wait for its end; whether it came."""
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True


def stop_all(children: Iterable[ChildProcess], seconds: float) -> list[str]:
    """Ask processes to end (SIGINT, and SIGCONT for a stopped one); kill those that have not after some seconds.

    Returns the names of those that had to be killed.
    """
    started = [child for child in children if child.running]
    for child in started:
        child.signal(signal.SIGINT)
        child.signal(signal.SIGCONT)
    deadline = time.monotonic() + seconds
    killed = []
    for child in started:
        if not child.reap(deadline - time.monotonic()):
            child.signal(signal.SIGKILL)
            child.reap(5.0)
            killed.append(child.name)
    return killed
