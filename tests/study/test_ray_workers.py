"""Sweeps on a Ray cluster of three nodes on this machine: what they leave is what one machine leaves."""

import json
import os
import re
import signal
import socket
from pathlib import Path

import pytest

ray = pytest.importorskip("ray", reason="needs Ray: python -m pip install -e '.[ray]'")

from ray.cluster_utils import Cluster  # noqa: E402

from sweeper.config import compose  # noqa: E402
from sweeper.errors import UserError  # noqa: E402
from sweeper.study import plan, start  # noqa: E402
from sweeper.study.pool import Plan  # noqa: E402
from sweeper.study.ray_workers import _connected  # noqa: E402
from tests.faults.left import differences, optuna_trials, trial  # noqa: E402
from tests.faults.sweep import HOOK, Inputs, Sweep, until  # noqa: E402

MEMORY = 80 << 20
HEALTH = {  # a node that does not answer at once is dead within seconds, one on a busy machine has its time
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 3,
}
EPOCHS = 8
SLOWLY = {"point": "first step of an epoch", "do": "sleep", "seconds": 0.08}  # at each of an epoch's 9 steps
MORE = [f"train.epochs={EPOCHS}", "tracking=none"]


@pytest.fixture(scope="module")
def plan_of_faults(tmp_path_factory):
    """Workers of the cluster read it when they start, and write down there which epochs they begin."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "plan.json").write_text("[]")
    return folder


@pytest.fixture(scope="module")
def cluster(plan_of_faults):
    more = {"object_store_memory": MEMORY, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SWEEPER_FAULTS", str(plan_of_faults))
        environment.setenv("PYTHONPATH", str(HOOK), prepend=os.pathsep)
        nodes = Cluster(True, head_node_args={"num_cpus": 1, "_system_config": HEALTH, **more})
        nodes.add_node(num_cpus=1, object_store_memory=MEMORY)
        nodes.add_node(num_cpus=2, num_gpus=1, object_store_memory=MEMORY)
    yield nodes
    nodes.shutdown()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return Inputs.make(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def alone(inputs, tmp_path_factory):
    """The sweep of a single machine."""
    sweep = Sweep(tmp_path_factory.mktemp("alone") / "sweep", inputs, workers=2, more=MORE)
    assert sweep.run() == 0, sweep.output()
    return left(sweep)


def left(sweep):
    """All that the sweep has left behind, without times."""
    folders = sorted((sweep.runs / "rows" / "trials").iterdir())
    return {"trials": {one.name: trial(one) for one in folders}, "optuna": optuna_trials(sweep.runs)}


def on_ray(folder, cluster, inputs):
    ours = ["launcher=ray", f"launcher.address={cluster.address}", "launcher.workers=2"]
    return Sweep(folder / "sweep", inputs, more=[*ours, *MORE])


def pool_of(cluster, folder, *more):
    overrides = ["launcher=ray", f"launcher.address={cluster.address}", f"paths.runs={folder}", *more]
    return start.make_pool(compose(overrides))


def closed_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def node_of(process, cluster):
    """The node that started this process, a worker."""
    parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    for node in cluster.list_all_nodes():
        if parent in [one.process.pid for one in node.all_processes["raylet"]]:
            return node
    raise AssertionError(f"no node has started process {process}")


def test_a_cluster_that_does_not_answer_is_told_at_once(tmp_path, monkeypatch):
    port = closed_port()
    config = compose(["launcher=ray", f"launcher.address=127.0.0.1:{port}", f"paths.runs={tmp_path}"])
    with pytest.raises(UserError, match=rf"no Ray cluster answers at 127\.0\.0\.1:{port} .*`ray start --head`"):
        start.make_pool(config).__enter__()
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")  # where address=auto looks first
    with pytest.raises(UserError, match=rf"launcher\.address=auto: no Ray cluster answers at 127\.0\.0\.1:{port}"):
        start.make_pool(compose(["launcher=ray", f"paths.runs={tmp_path}"])).__enter__()
    assert not list(tmp_path.rglob("ray-*.lock"))


def test_a_worker_that_no_node_has_room_for_is_told_with_what_the_nodes_have(cluster, tmp_path):
    config = compose(["launcher=ray", "launcher.num_cpus=2", "launcher.num_gpus=1"])
    with pool_of(cluster, tmp_path) as pool:
        assert sorted((node.cpus, node.gpus) for node in pool.nodes) == [(1, 0), (1, 0), (2, 1)]
        assert plan.plan_for(config, 8, pool.nodes) == Plan(("cuda",), 2)
        with pytest.raises(UserError, match=r"launcher\.num_cpus=4.*no node .*: 2 CPUs, 1 GPUs"):
            plan.plan_for(compose(["launcher=ray", "launcher.num_cpus=4"]), 8, pool.nodes)


def test_workers_with_half_a_gpu_each_share_it_and_say_where_torch_cannot_use_it(cluster, tmp_path):
    with pool_of(cluster, tmp_path, "launcher.num_gpus=0.5") as pool:
        pool.start(plan.plan_for(compose(["launcher=ray", "launcher.num_gpus=0.5"]), 8, pool.nodes))
        actors = [actor for _, actor in pool._actors.values()]
        see = [actor.__ray_call__.remote(lambda _: os.environ["CUDA_VISIBLE_DEVICES"]) for actor in actors]
        assert ray.get(see) == ["0", "0"]
        with pytest.raises(UserError, match="sees no GPU"):  # the node only claims to have one
            pool.compute("auto", "auto", print)


def test_a_worker_that_does_not_see_the_runs_says_so_and_its_process_ends(cluster, tmp_path):
    with pool_of(cluster, tmp_path) as pool:
        (tmp_path / "logs").rename(tmp_path / "elsewhere")
        pool.start(Plan(("cpu",), 1))
        event = pool.events.get(timeout=60)
        assert event.kind == "exit"
        assert re.search(r"does not see .*ray-.*\.lock.* set paths\.runs to a folder on storage", event.data["advice"])
        assert event.data["pid"] == pool.process_id(0)
        assert not pool.is_ready(0)
        (tmp_path / "elsewhere").rename(tmp_path / "logs")


def test_the_handler_of_sigterm_stays_ours(cluster):
    def ours(*_):
        pass

    before = signal.signal(signal.SIGTERM, ours)
    try:
        with _connected(cluster.address):
            assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_sweep_on_the_cluster_is_the_sweep_of_one_machine(cluster, inputs, alone, tmp_path):
    sweep = on_ray(tmp_path, cluster, inputs)
    assert sweep.run() == 0, sweep.output()
    assert list(differences(alone, left(sweep))) == []
    assert not list(sweep.runs.rglob("ray-*.lock"))


def test_trials_of_a_node_that_is_removed_go_on_elsewhere_from_their_last_epoch(
    cluster, plan_of_faults, inputs, alone, tmp_path
):
    (plan_of_faults / "plan.json").write_text(json.dumps([SLOWLY]))
    (plan_of_faults / "epochs").unlink(missing_ok=True)
    sweep = on_ray(tmp_path, cluster, inputs)
    process = sweep.start()

    found = []

    def is_under_way():
        """Find a trial that trains on such a node; at the third epoch's line the second's state is on disk."""
        for curve in sorted(sweep.runs.glob("rows/trials/*/curve.jsonl")):
            if curve.read_text().count("\n") < 3 or (curve.parent / "record.json").exists():
                continue
            worker = (curve.parent / "lock").read_text().split(" ")[0]
            if (node := node_of(worker, cluster)) is not cluster.head_node:
                found.append((curve, node))
        return found

    until(is_under_way, "no trial with three epochs on a node beside the head")
    curve, node = found[0]
    cluster.remove_node(node, allow_graceful=False)
    before = curve.read_text().splitlines()[:2]
    assert sweep.wait(process) == 0, sweep.output()
    told = sweep.output()
    assert re.search(r"its worker (is gone: .*|cannot be reached); trying again \(1 of 20\)", told), told
    assert re.search(r"goes on, \d+ epochs of it on disk", told), told
    assert curve.read_text().splitlines()[:2] == before  # the very same seconds: these epochs were not trained again
    begun = (plan_of_faults / "epochs").read_text().splitlines()
    assert len(set(begun)) == 2 * EPOCHS + 1
    assert len(begun) - len(set(begun)) <= told.count("trying again")  # the epochs that were cut off, at most
    assert list(differences(alone, left(sweep))) == []
