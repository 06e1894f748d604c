"""The machine in words, without its name or its owner's, so that what was measured on it can be published."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

MATRIX_UNITS = ("amx_bf16", "avx512_bf16")  # what makes bf16 fast on a processor


def describe(*, gpu: bool) -> dict[str, Any]:
    """Processor, memory, system and, where trials ran on one, the GPU, as JSON-able values."""
    processor = _processor()
    return {
        "processor": processor.get("model name", platform.processor() or platform.machine()),
        "matrix_units": [unit for unit in MATRIX_UNITS if unit in processor.get("flags", "").split()],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpu": _gpu() if gpu else None,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _processor() -> dict[str, str]:
    """The first processor as Linux tells it; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _memory_gib() -> float | None:
    if sys.platform == "win32":
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
