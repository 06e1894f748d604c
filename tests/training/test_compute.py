import pytest
import torch

from sweeper.errors import UserError
from sweeper.training import compute
from sweeper.training.compute import (
    BUCKET,
    autocast,
    out_of_memory,
    resolve_device,
    resolve_precision,
    token_multiple,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_auto_device_is_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == resolve_device("cuda").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == CPU


def test_cuda_without_a_gpu_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"train\.device=cuda.*no GPU.*auto"):
        resolve_device("cuda")


@pytest.mark.parametrize(("capability", "precision"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16")])
def test_auto_precision_on_gpus(monkeypatch, capability, precision):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", CUDA) == precision


@pytest.mark.parametrize(("tiles", "precision"), [(True, "bf16"), (False, "float32")])
def test_auto_precision_on_cpus(monkeypatch, tiles, precision):
    monkeypatch.setattr(compute, "_multiplies_bf16", lambda: tiles)
    assert resolve_precision("auto", CPU) == precision


def test_a_precision_that_was_asked_for_stays():
    assert resolve_precision("float32", CUDA) == "float32"
    assert resolve_precision("bf16", CPU) == "bf16"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_impossible_precisions_are_refused(precision):
    with pytest.raises(UserError, match=rf"train\.precision={precision}.*float32"):
        resolve_precision(precision, CPU)


def test_autocast_computes_in_its_precision():
    layer = torch.nn.Linear(2, 2)
    for precision, dtype in (("bf16", torch.bfloat16), ("float32", torch.float32)):
        with autocast(precision, CPU):
            assert layer(torch.ones(1, 2)).dtype == dtype


def test_rows_are_rounded_where_kernels_are_made_for_each_shape():
    assert token_multiple("bf16", CPU) > 1
    assert token_multiple("float32", CPU) == 1


def test_a_gpu_fills_rows_up_and_replayed_steps_come_in_buckets():
    assert token_multiple("bf16", CUDA) == 64
    assert token_multiple("float32", CUDA) == 1
    assert token_multiple("bf16", CUDA, replayed=True) == BUCKET
    assert token_multiple("bf16", CPU, replayed=True) == token_multiple("bf16", CPU)


def test_autocast_without_a_cache_keeps_no_weight():
    assert torch.is_autocast_cache_enabled()
    with autocast("bf16", CPU, cache=False):
        assert not torch.is_autocast_cache_enabled()
    assert torch.is_autocast_cache_enabled()


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error, is_one):
    assert out_of_memory(error) == is_one
