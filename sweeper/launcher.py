"""Who runs trials, as the configuration may say it: processes of this machine, or workers on a Ray cluster.

A part of `sweeper.schema`, and as pure: whether there is a cluster, and what its nodes have, is found out later.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from sweeper.values import Count, Rule, Share, Text, Whole, shown

LOCAL, RAY = "local", "ray"
RAY_ALONE = ("address", "num_cpus", "num_gpus")  # keys that only launcher=ray takes
Address = Annotated[Text, Rule("that is auto or HOST:PORT", lambda x: re.fullmatch(r"auto|[^/\s]+:\d+", x) is not None)]


@dataclass(frozen=True)
class Launcher:
    name: Literal["local", "ray"]
    workers: Literal["auto"] | Count
    threads: Literal["auto"] | Count
    trials_per_gpu: Count
    retries: Whole
    address: Address | None
    num_cpus: Count | None
    num_gpus: Share | None


def on_one_machine(launcher: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """Plain values of the launcher for whoever has no cluster: the trials' threads stay, and so their digits."""
    if launcher["name"] == LOCAL:
        return dict(launcher)
    return {**launcher, **dict.fromkeys(RAY_ALONE), "name": LOCAL, "workers": "auto", "threads": threads}


def contradictions_of(launcher: Launcher, device: str) -> Iterator[str]:
    """Values of the launcher that are possible one by one but not together, or not with `train.device`."""
    if launcher.name == LOCAL:
        for key in RAY_ALONE:
            if (value := getattr(launcher, key)) is not None:
                yield f"launcher.{key}: got {shown(value)}, takes null in launcher=local; launcher=ray takes it"
        return
    if missing := [key for key in RAY_ALONE if getattr(launcher, key) is None]:
        for key in missing:
            yield f"launcher.{key}: got null, takes a value in launcher=ray, whose own is in conf/launcher/ray.yaml"
        return
    if launcher.trials_per_gpu != 1:
        yield (
            f"launcher.trials_per_gpu: got {launcher.trials_per_gpu}, takes 1 in launcher=ray, where "
            "launcher.num_gpus=0.5 lets two trials share a GPU"
        )
    if launcher.num_gpus and device == "cpu":
        yield f"launcher.num_gpus: got {shown(launcher.num_gpus)}, takes 0 where train.device is cpu"
    if not launcher.num_gpus and device == "cuda":
        yield "launcher.num_gpus: got 0, takes a number above 0 where train.device is cuda"
