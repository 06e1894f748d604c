import json
from pathlib import Path

import pytest
import torch
from torch import nn

from sweeper.training import checkpoint
from sweeper.training.checkpoint import StateFiles, load_weights, save_weights, sha256, write_atomically

FULL = Path("/dev/full")


def tied() -> nn.Module:
    model = nn.ModuleDict({"first": nn.Linear(3, 3), "second": nn.Linear(3, 3)})
    model["second"].weight = model["first"].weight
    return model


def state(number: int) -> dict:
    return {"epoch": number, "tensor": torch.full((2,), float(number))}


def test_write_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "file.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")

    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_atomically(path, b"old")
    monkeypatch.setattr(checkpoint.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "disk full")))

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")

    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


def test_weights_come_back_with_their_checksum(tmp_path):
    model, other = nn.Linear(4, 2), nn.Linear(4, 2)

    checksum = save_weights(tmp_path / "w.safetensors", model)
    load_weights(tmp_path / "w.safetensors", other)

    assert checksum == sha256(tmp_path / "w.safetensors")
    assert torch.equal(model.weight, other.weight)


def test_tied_weights_are_stored_once_and_come_back_tied(tmp_path):
    model, other = tied(), tied()

    save_weights(tmp_path / "w.safetensors", model)
    load_weights(tmp_path / "w.safetensors", other)

    assert torch.equal(other["second"].weight, model["first"].weight)
    assert other["second"].weight is other["first"].weight


def test_weights_that_lie_transposed_in_memory_come_back(tmp_path):
    model, other = nn.Linear(3, 3), nn.Linear(3, 3)
    model.weight.data = torch.arange(9.0).view(3, 3).t()

    save_weights(tmp_path / "w.safetensors", model)
    load_weights(tmp_path / "w.safetensors", other)

    assert torch.equal(other.weight, model.weight)


def test_weights_of_another_shape_are_refused(tmp_path):
    save_weights(tmp_path / "w.safetensors", nn.Linear(4, 2))

    with pytest.raises(RuntimeError, match="size mismatch"):
        load_weights(tmp_path / "w.safetensors", nn.Linear(4, 3))


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_oserror(tmp_path, monkeypatch):
    real = torch.save
    monkeypatch.setattr(checkpoint.torch, "save", lambda content, file: real(content, FULL.open("wb", buffering=0)))

    with pytest.raises(OSError, match="No space"):
        StateFiles(tmp_path).save(1, state(1))

    assert StateFiles(tmp_path).latest() is None
    assert list(tmp_path.iterdir()) == []


def test_the_last_two_states_are_kept(tmp_path):
    files = StateFiles(tmp_path / "trial")
    for epoch in (1, 2, 3):
        files.save(epoch, state(epoch))

    epoch, latest = files.latest()
    assert epoch == 3
    assert torch.equal(latest["tensor"], torch.tensor([3.0, 3.0]))
    assert sorted(path.name for path in files.folder.iterdir()) == ["state-0002.pt", "state-0003.pt", "state.json"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_state_gives_the_one_before(tmp_path, damage):
    files = StateFiles(tmp_path)
    files.save(1, state(1))
    files.save(2, state(2))
    newest = tmp_path / "state-0002.pt"
    content = newest.read_bytes()
    if damage == "gone":
        newest.unlink()
    else:
        newest.write_bytes(content[:100] if damage == "cut" else content[:-1] + b"x")

    with pytest.warns(UserWarning, match="epoch 2 is missing or damaged"):
        epoch, latest = files.latest()

    assert (epoch, latest["epoch"]) == (1, 1)


def test_damage_everywhere_is_a_fresh_start(tmp_path):
    files = StateFiles(tmp_path)
    files.save(1, state(1))
    (tmp_path / "state.json").write_text("[{")

    with pytest.warns(UserWarning, match=r"state\.json is damaged"):
        assert files.latest() is None


def test_saving_again_after_going_back_drops_the_damaged_epoch(tmp_path):
    files = StateFiles(tmp_path)
    for epoch in (1, 2, 2):
        files.save(epoch, state(epoch))

    assert [entry["epoch"] for entry in json.loads((tmp_path / "state.json").read_text())] == [1, 2]


def test_left_overs_of_a_killed_process_go_and_clear_removes_everything(tmp_path):
    files = StateFiles(tmp_path)
    (tmp_path / ".state-0001.pt.77.aside").write_bytes(b"half")
    (tmp_path / "curve.jsonl").write_text("{}")
    files.save(1, state(1))
    assert not (tmp_path / ".state-0001.pt.77.aside").exists()

    files.clear()

    assert [path.name for path in tmp_path.iterdir()] == ["curve.jsonl"]
    assert files.latest() is None
