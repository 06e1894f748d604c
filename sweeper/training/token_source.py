"""Token ids by place: on a GPU where the table fits there, else out of the memory map.

A table that is larger than the free memory is read from disk again and again. The kernel is then told which
pages the next batch needs (`madvise`), so that it reads them while this batch is computed: no thread, no copy,
and the ids are the same with and without it. Limit: where the ids are no memory map, or the system takes no
such advice, they are read when they are asked for.
"""

import mmap
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.training.boundaries import to_device

DEVICE_SHARE = 4  # a token table up to a quarter of the free device memory lives there
MEMORY = Path("/proc/meminfo")


class TokenSource:
    """The ids of a table for one device.

    Args:
        ids: (tokens,) int32, memory-mapped.
        device: where the ids are wanted.

    Attributes:
        reads_ahead: whether `expect` does anything.
    """

    def __init__(self, ids: NDArray[np.int32], device: torch.device) -> None:
        self.ids = ids
        self.device = device
        self.on_device: Tensor | None = None
        if device.type == "cuda" and ids.nbytes <= torch.cuda.mem_get_info(device)[0] // DEVICE_SHARE:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns that the map is read-only; it is only read
                self.on_device = torch.from_numpy(ids).to(device)
        self._map: Any = getattr(ids, "_mmap", None)
        self.reads_ahead = (
            self.on_device is None
            and self._map is not None
            and hasattr(mmap, "MADV_WILLNEED")
            and ids.nbytes > free_memory()
        )

    def take(self, places: NDArray[Any]) -> Tensor:
        """Ids at `places` (n,), as int64 on the device."""
        if self.on_device is not None:
            return self.on_device[to_device(places, self.device)].long()
        return to_device(self.ids[places].astype(np.int64), self.device)

    def expect(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        """Say which rows are asked for next; returns at once.

        Args:
            starts, lengths: (rows,) first id and number of ids of each row.
        """
        size, whole = self.ids.itemsize, len(self._map)
        first = starts * size // mmap.PAGESIZE * mmap.PAGESIZE  # advice is given for whole pages
        with suppress(OSError):  # it is advice: what is not read ahead is read when it is asked for
            for start, end in zip(first.tolist(), ((starts + lengths) * size).tolist(), strict=True):
                self._map.madvise(mmap.MADV_WILLNEED, start, min(end, whole) - start)


def free_memory() -> int:
    """Bytes that files can be held in without pushing anything else out; all of the machine's if it cannot be told."""
    with suppress(OSError, ValueError):
        for line in MEMORY.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
