"""Sweeps on a real PostgreSQL in a temporary folder: Optuna's storage, and an MLflow server's database."""

import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.faults.left import differences, mlflow_runs, optuna_trials
from tests.faults.servers import MlflowServer, Postgres, postgres_binaries
from tests.faults.sweep import EPOCHS, Inputs, Sweep, until

pytest.importorskip("psycopg", reason="needs the driver: python -m pip install -e '.[postgres]'")
BINARIES = postgres_binaries()
pytestmark = pytest.mark.skipif(BINARIES is None, reason="needs PostgreSQL's programs initdb and postgres")


@pytest.fixture(scope="module")
def postgres():
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    assert BINARIES is not None
    with Postgres(BINARIES, folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def served(postgres, tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"), postgres.create("mlflow"))
    server.start()
    yield server
    server.stop()


def test_two_sweeps_of_many_workers_share_a_storage_and_an_mlflow_server_on_postgresql(postgres, served, tmp_path):
    inputs = Inputs.make(tmp_path / "inputs")
    url = postgres.create("optuna").replace("+psycopg", "")  # as people write it
    more = [f"storage={url}", f"tracking.uri={served.uri}"]
    sweeps = [Sweep(tmp_path / name, inputs, workers=4, more=more) for name in ("one", "two")]
    (tmp_path / "runs").mkdir()
    for sweep in sweeps:
        sweep.runs.symlink_to(tmp_path / "runs")
    processes = [sweep.start() for sweep in sweeps]
    for sweep, process in zip(sweeps, processes, strict=True):
        assert sweep.wait(process) == 0, sweep.output()
        assert "secret-of-the-test" not in sweep.output()
    sweeps[0].finish()  # what tracking still lacks
    assert sum(sweep.epochs_begun() for sweep in sweeps) == EPOCHS

    trials = optuna_trials(sweeps[0].runs, url)
    assert sorted(one["state"] for one in trials.values()) == ["COMPLETE", "COMPLETE", "FAIL"]
    assert all(set(one["params"]) == {"lr", "batch_size"} for one in trials.values())
    runs = mlflow_runs(served.database, served.artifacts)
    assert {run["status"] for run in runs.values()} == {"FINISHED"}
    assert sorted(runs) == ["lr", "lr=0.01 bs=8", "lr=0.03 bs=8", "lr=1e+30 bs=8"]
    assert {count for run in runs.values() for count in run["steps"].values()} == {1}
    assert not [
        path for path in sweeps[0].runs.rglob("*") if path.is_file() and b"secret-of-the-test" in path.read_bytes()
    ]


def test_a_sweep_on_postgresql_is_the_sweep_on_the_embedded_storage(postgres, tmp_path):
    inputs = Inputs.make(tmp_path / "inputs")
    url = postgres.create("same")
    embedded = Sweep(tmp_path / "embedded", inputs, more=["tracking=none"])
    served = Sweep(tmp_path / "served", inputs, more=["tracking=none", f"storage={url}"])
    for sweep in (embedded, served):
        assert sweep.run() == 0, sweep.output()
    found = optuna_trials(served.runs, url)
    assert list(differences(optuna_trials(embedded.runs), found)) == []


@pytest.mark.parametrize("prune", ["halving"])  # without a pruner it is the same with fewer changes
def test_a_sweep_outlives_restarts_of_its_storage(postgres, tmp_path, prune):
    inputs = Inputs.make(tmp_path / "inputs")
    url = postgres.create(f"restarted-{prune}")
    slow = {"point": "first step of an epoch", "do": "sleep", "seconds": 0.1}
    more = ["tracking=none", f"prune={prune}", "study.lr=[3e-2,1e-6,1e30]"]
    sweep = Sweep(tmp_path / "restarted", inputs, faults=[slow], more=[*more, f"storage={url}"])
    process = sweep.start()
    for epoch, how in ((2, signal.SIGINT), (4, signal.SIGQUIT)):
        until(lambda epoch=epoch: sweep.epochs_begun() >= epoch, f"no epoch {epoch}")
        postgres.stop(how)
        time.sleep(3)
        postgres.start()
    assert sweep.wait(process) == 0, sweep.output()
    assert sweep.output().count("storage: it is there again") == 2, sweep.output()
    assert "Traceback" not in sweep.output()
    assert "secret-of-the-test" not in sweep.output()
    undisturbed = Sweep(tmp_path / "undisturbed", inputs, more=more)
    assert undisturbed.run() == 0, undisturbed.output()
    assert list(differences(optuna_trials(undisturbed.runs), optuna_trials(sweep.runs, url))) == []
    assert sweep.epochs_begun() == undisturbed.epochs_begun()
