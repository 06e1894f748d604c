"""Where and in which number format a training runs: device, precision, and the memory it took."""

import resource
import sys
from contextlib import AbstractContextManager

import torch

from sweeper.errors import UserError

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(device: str) -> torch.device:
    """`auto` is the first GPU where there is one, else the CPU.

    Raises:
        UserError: `cuda` was asked for and there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            f"train.device={device}, but this torch ({torch.__version__}) sees no GPU; "
            "use train.device=auto or cpu, or install a torch build for your GPU"
        )
    return torch.device(device)


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` is bf16 where the hardware multiplies it (GPU, or a CPU with AMX tiles), fp16 on other GPUs, else float32.

    Raises:
        UserError: fp16 on a CPU (its gradients need the GPU's loss scaling), or an unknown name.
    """
    if precision == "auto":
        if device.type == "cuda":
            return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
        return "bf16" if device.type == "cpu" and _multiplies_bf16() else "float32"
    if precision not in DTYPES:
        raise UserError(f"train.precision={precision} is unknown; it takes auto, float32, bf16 or fp16")
    if precision == "fp16" and device.type != "cuda":
        raise UserError("train.precision=fp16 needs a GPU; on a CPU use auto, float32 or bf16")
    return precision


def _multiplies_bf16() -> bool:
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(supported is not None and supported())


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Mixed precision for a forward pass; float32 changes nothing."""
    dtype = DTYPES[precision]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32)


def token_multiple(precision: str, device: torch.device) -> int:
    """What flat rows are filled up to a multiple of.

    oneDNN makes a bf16 kernel for every new shape (2 ms, and it stays in memory), so a CPU sees few shapes.
    """
    return 32 if device.type == "cpu" and precision == "bf16" else 1


def peak_memory_mb(device: torch.device) -> float:
    """Highest memory so far in MiB: allocated on a GPU, resident of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
