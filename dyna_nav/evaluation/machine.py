"""What a computer is, as far as figures depend on it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
MODEL_KEYS = ("model name", "Model")  # x86, and Arm boards


def machine() -> dict[str, str | int]:
    """Processor, cores that this process may use, and operating system, as they are now."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"cpu": _cpu(), "cores": usable, "system": f"{platform.system()} {platform.machine()}"}


def _cpu() -> str:
    if CPUINFO.is_file():
        entries = [line.partition(":") for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()]
        for key in MODEL_KEYS:
            for name, _, value in entries:
                if name.strip() == key and value.strip():
                    return value.strip()
    return platform.processor() or "unknown processor"
