"""The examples for clusters: what they run is a configuration that exists. Neither Slurm nor Kubernetes is here."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from sweeper.config import compose_studies

FOLDER = Path(__file__).parents[2] / "experiments/cluster"
SCRIPTS = sorted(path for path in FOLDER.iterdir() if path.suffix in (".sh", ".sbatch"))
GIVEN = {
    "SWEEPER_RUNS": "/shared/runs",
    "SWEEPER_STORAGE": "postgresql://me@db/optuna",
    "SWEEPER_TRACKING": "http://mlflow:5000",
}


@pytest.fixture
def stand_ins(tmp_path):
    """A Python that prints what it is told, and an srun that runs what it is told."""
    for name, line in (("python", "printf '%s\\n' \"$@\""), ("srun", 'exec "$@"')):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
    return tmp_path


def run(script, folder, *arguments, **given):
    environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", **given}
    return subprocess.run(
        [shutil.which("bash"), str(script), *arguments], env=environment, capture_output=True, text=True, timeout=30
    )


def entrypoint():
    job = yaml.safe_load((FOLDER / "ray_on_kubernetes.yaml").read_text(encoding="utf-8"))
    return job["spec"], shlex.split(job["spec"]["entrypoint"])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_bash_and_runs_two_studies_that_compose(script, stand_ins):
    subprocess.run([shutil.which("bash"), "-n", str(script)], check=True)
    done = run(script, stand_ins, "experiment=nsmc", "study.lr=[1e-4,2e-5]", **GIVEN)
    assert done.returncode == 0, done.stderr
    flag, module, *settings = done.stdout.splitlines()
    assert (flag, module) == ("-m", "sweeper")
    lr, batch = compose_studies(settings)
    assert (lr.study.name, batch.study.name, lr.study.lr) == ("lr", "batch", (1e-4, 2e-5))
    assert lr.launcher.name == "local"
    if script.suffix == ".sbatch":
        assert (lr.paths.runs, lr.storage, lr.tracking.uri) == tuple(GIVEN.values())


def test_the_slurm_script_says_which_variable_it_misses(stand_ins):
    for name in GIVEN:
        refused = run(FOLDER / "slurm.sbatch", stand_ins, **{key: GIVEN[key] for key in GIVEN if key != name})
        assert refused.returncode != 0
        assert f"{name}: names " in refused.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_line_of_a_script_is_explained(script):
    lines = script.read_text(encoding="utf-8").splitlines()
    bare = []
    for before, line in zip(["", *lines], lines, strict=False):
        is_setting = line.startswith("  ") and " # " not in line
        is_order = line.startswith("#SBATCH") and not before.startswith("# ")
        bare += [line] if is_setting or is_order else []
    assert bare == []


def test_the_job_on_kubernetes_runs_what_composes_and_its_nodes_have_what_a_worker_takes():
    spec, words = entrypoint()
    assert words[:3] == ["python", "-m", "sweeper"]
    lr, batch = compose_studies(words[3:])
    assert (lr.study.name, batch.study.name, lr.launcher.name, lr.launcher.address) == ("lr", "batch", "ray", "auto")
    cluster = spec["rayClusterSpec"]
    [group] = cluster["workerGroupSpecs"]
    [worker], [head] = (one["template"]["spec"]["containers"] for one in (group, cluster["headGroupSpec"]))
    gives = worker["resources"]["limits"]
    assert float(gives["cpu"]) >= 2 * lr.launcher.num_cpus  # two trials share the GPU
    assert gives["nvidia.com/gpu"] == 2 * lr.launcher.num_gpus
    assert worker["image"] == head["image"]
    assert worker["volumeMounts"] == head["volumeMounts"]
    assert lr.paths.runs.startswith(head["volumeMounts"][0]["mountPath"])


def test_the_job_on_kubernetes_runs_the_ray_that_is_tested():
    spec, _ = entrypoint()
    lock = (FOLDER.parents[1] / "requirements.lock").read_text(encoding="utf-8").splitlines()
    version = spec["rayClusterSpec"]["rayVersion"]
    assert f"ray=={version}" in lock
    assert f"rayproject/ray:{version}-py311" in (FOLDER / "README.md").read_text(encoding="utf-8")
