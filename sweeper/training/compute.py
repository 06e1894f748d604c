"""Where and in which number format a training runs: device, precision, shapes, and whether memory ran out."""

from contextlib import AbstractContextManager

import torch

from sweeper.errors import UserError

BUCKET = 256  # tokens: a replayed step exists for every multiple of it that comes up
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


def resolve(device: str, precision: str) -> tuple[str, str]:
    """Both by their names: `("cpu", "float32")`.

    Raises:
        UserError: as `resolve_device` and `resolve_precision`.
    """
    found = resolve_device(device)
    return found.type, resolve_precision(precision, found)


def _multiplies_bf16() -> bool:
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(supported is not None and supported())


def autocast(precision: str, device: torch.device, cache: bool = True) -> AbstractContextManager[None]:
    """Mixed precision for a forward pass; float32 changes nothing.

    Args:
        precision: `float32`, `bf16` or `fp16`.
        device: where the pass runs.
        cache: keep weights in the lower precision during the pass; a pass that is recorded must not.
    """
    dtype = DTYPES[precision]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32, cache_enabled=cache)


def token_multiple(precision: str, device: torch.device, replayed: bool = False) -> int:
    """What flat rows are filled up to a multiple of.

    oneDNN makes a bf16 kernel for every new shape (2 ms, and it stays in memory), so a CPU sees few shapes. A GPU
    multiplies half precision in tiles of 64 rows and more, whether they are full or not; full ones mean fewer
    shapes to find memory for. A step that is replayed needs the same shape again.
    """
    if device.type == "cuda":
        return BUCKET if replayed else 64 if precision != "float32" else 1
    return 32 if device.type == "cpu" and precision == "bf16" else 1


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of a GPU or of the machine (where torch raises a plain RuntimeError)."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )


def release_memory(device: torch.device) -> None:
    """Give what torch holds in reserve back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
