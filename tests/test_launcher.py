"""What a launcher takes, and what it does not take beside other settings."""

import pytest

from sweeper.config import compose, from_plain, plain
from sweeper.errors import UserError


def test_ray_has_values_of_its_own_and_local_has_none():
    ray, local = compose(["launcher=ray"]).launcher, compose([]).launcher
    assert (ray.name, ray.address, ray.num_cpus, ray.num_gpus, ray.workers) == ("ray", "auto", 1, 0, "auto")
    assert (local.name, local.address, local.num_cpus, local.num_gpus) == ("local", None, None, None)


@pytest.mark.parametrize("address", ["auto", "10.0.0.7:6379", "head.lab:6379", "[::1]:6379"])
def test_a_cluster_is_found_by_itself_or_by_its_address(address):
    assert compose(["launcher=ray", f"launcher.address={address}"]).launcher.address == address


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["launcher=slurm"], "launcher: got slurm, takes one of local, ray"),
        (["launcher.num_gpus=0.5"], "launcher.num_gpus: got 0.5, takes null in launcher=local; launcher=ray takes it"),
        (["launcher.address=auto"], "launcher.address: got auto, takes null in launcher=local"),
        (["launcher=ray", "launcher.num_cpus=null"], "launcher.num_cpus: got null, takes a value in launcher=ray"),
        (["launcher=ray", "launcher.num_cpus=0"], "launcher.num_cpus: got 0, takes a whole number 1 or more"),
        (["launcher=ray", "launcher.num_gpus=2"], "launcher.num_gpus: got 2, takes a number from 0 to 1"),
        (["launcher=ray", "launcher.address=ray://head:10001"], "takes text not empty that is auto or HOST:PORT"),
        (["launcher=ray", "launcher.address=head"], "launcher.address: got head, takes text"),
        (["launcher=ray", "launcher.trials_per_gpu=2"], "takes 1 in launcher=ray, where launcher.num_gpus=0.5"),
        (["launcher=ray", "launcher.num_gpus=1", "train.device=cpu"], "got 1.0, takes 0 where train.device is cpu"),
        (["launcher=ray", "train.device=cuda"], "launcher.num_gpus: got 0, takes a number above 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_loaded(overrides, told):
    with pytest.raises(UserError) as error:
        compose(overrides)
    assert told in str(error.value)


def test_configurations_from_before_there_was_a_choice_ran_on_one_machine():
    values = plain(compose([]))
    for key in ("address", "num_cpus", "num_gpus"):
        del values["launcher"][key]
    assert from_plain(values) == compose([])
