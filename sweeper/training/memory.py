"""The most memory that a training took: of this process, and of its GPU.

A worker trains many trials one after another, so both figures are counted anew for each. For resident memory
only Linux can do that (`/proc/self/clear_refs`), and a container may forbid it: the figure is then that of the
process since it began. Counting anew lowers what `getrusage` says too, so the highest figure of the process is
kept here, for whoever asks what many trials leave behind. Limit: two trainings at a time in one process are
counted together, from the start of the later one.
"""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
COUNT_ANEW = "5"  # proc(5): the highest resident set becomes the present one; nothing else happens

_highest_mb = 0.0


class PeakMemory:
    """The highest memory from here on.

    Args:
        device: of the training.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        process_peak_mb()  # keeps what is about to be forgotten
        self._anew = _count_anew()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @property
    def resident_mb(self) -> float:
        """MiB of this process; since the process began where it cannot be counted anew."""
        peak = _since_counted_anew() if self._anew else None
        return process_peak_mb() if peak is None else peak

    @property
    def gpu_mb(self) -> float | None:
        """MiB that torch held allocated on the GPU; None on a CPU."""
        return torch.cuda.max_memory_allocated(self._device) / 2**20 if self._device.type == "cuda" else None


def process_peak_mb() -> float:
    """Highest resident memory of this process since it began, in MiB; it can only grow."""
    global _highest_mb
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    since_anew = _since_counted_anew() or 0.0  # the kernel adds up more exactly for this one
    _highest_mb = max(_highest_mb, since_anew, peak / 2**20 if sys.platform == "darwin" else peak / 2**10)
    return _highest_mb


def _count_anew() -> bool:
    try:
        RESET.write_text(COUNT_ANEW, encoding="ascii")
    except OSError:
        return False
    return True


def _since_counted_anew() -> float | None:
    """MiB; None where the system does not say."""
    with suppress(OSError, ValueError):
        for line in STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    return None
