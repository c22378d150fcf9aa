"""How much of a core each process of a run takes: what another computer would have to give."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")  # per second: the unit of the kernel's accounts


class CpuShares:
    """Processor time of processes since they were first looked at; one that is started again is counted on."""

    def __init__(self) -> None:
        self._used: dict[str, float] = {}  # processor time of each name [s] ...
        self._newest: dict[str, tuple[int, float]] = {}  # ... and the process it was last read of: id, its total [s]
        self._began: float | None = None  # steady time of the first look [s]
        self._looked = 0.0  # and of the last

    def look(self, processes: Mapping[str, int]) -> None:
        """Read the accounts of processes, by name and id; one that has ended keeps what it was seen to use."""
        self._looked = time.monotonic()
        first = self._began is None
        if first:
            self._began = self._looked
        for name, process in processes.items():
            total = processor_seconds(process)
            if total is None:
                continue
            before_process, before = self._newest.get(name, (process, total if first else 0.0))
            self._used[name] = self._used.get(name, 0.0) + total - (before if before_process == process else 0.0)
            self._newest[name] = (process, total)

    def shares(self) -> dict[str, float]:
        """Processor time over time passed between the first look and the last, by name; 1 is one core. Empty before."""
        if self._began is None or self._looked <= self._began:
            return {}
        passed = self._looked - self._began
        return {name: round(used / passed, 4) for name, used in self._used.items()}


def processor_seconds(process: int) -> float | None:
    """Processor time [s], of user and system, of all threads of a process; None when it is gone or nobody says."""
    try:
        account = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended, or this is no Linux
        return None
    fields = account.rpartition(")")[2].split()  # the name, which may hold anything, stands before
    return (int(fields[11]) + int(fields[12])) / TICKS  # utime, stime
