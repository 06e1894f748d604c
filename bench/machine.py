"""What a measurement was taken on: figures of different machines must not be mixed up.

No name of a machine or of its owner is in it, so that results can be published.
"""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "accelerate", "optuna", "numpy")
BUSY = 0.5  # processors' worth of other people's work that spoils a measurement


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_cores(count: int) -> None:
    """Keep this process, and all that it starts, on so many processors (where the system can do that)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def describe(threads: int, device: str = "cpu") -> dict[str, Any]:
    """The machine and its software as JSON-able values.

    Args:
        threads: processors that each measurement uses.
        device: `cpu`, or `cuda` to name the GPU too.
    """
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "threads": threads,
        "memory_gib": _memory_gib(),
        "gpu": _gpu() if device == "cuda" else None,
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "load_at_start": load(),
    }


def load() -> float | None:
    """Processes running on average over the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _cpu() -> str:
    """The processor's name; where a virtual machine hides it, with its family and model number."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    name = found.get("model name", platform.machine())
    return f"{name} (family {found['cpu family']}, model {found['model']})" if "cpu family" in found else name


def _memory_gib() -> float | None:
    if sys.platform == "win32":
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name(0)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
