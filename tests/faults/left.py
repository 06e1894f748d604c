"""What a sweep has left behind, as plain values without times, and where two such values differ."""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

TIMES = ("seconds", "sentences_per_second", "peak_memory_mb", "peak_rss_mb", "peak_gpu_mb")
TIMED_METRICS = ("epoch_seconds", *TIMES[1:])
ELSEWHERE = ("launcher", "storage", "tracking")  # settings of where a sweep runs and is shown, not of what it is
ASIDE = ".artifact.uploading."  # what MLflow has not renamed yet, and lists to nobody
TAGS = ("sweeper.state", "sweeper.overfit_epoch", "sweeper.winner")


def trial(folder: Path) -> dict[str, Any]:
    """A trial's folder: its files, its record and its curve without times, and what hashes weights have."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    lines = (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    for elsewhere in ELSEWHERE:
        record["config"].pop(elsewhere, None)
    record["tags"] = {k: v for k, v in record["tags"].items() if not k.startswith(("git.", "version."))}
    record["curve"] = [without_times(epoch) for epoch in record["curve"]]
    binary = [*folder.glob("*.safetensors"), *folder.glob("*.npy")]
    return {
        "files": sorted(path.name for path in folder.iterdir()),
        "record": record,
        "curve": [without_times(json.loads(line)) for line in lines],
        "hashes": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in binary},
    }


def without_times(epoch: Mapping[str, Any]) -> dict[str, str]:
    """The figures as text, so that a NaN equals itself."""
    return {name: repr(value) for name, value in epoch.items() if name not in TIMES}


def optuna_trials(runs: Path, url: str | None = None) -> dict[str, Any]:
    """Every Optuna trial by its point's key; a second one of the same key gets another name."""
    import optuna

    from sweeper.study.ledger import open_storage

    storage = open_storage(url, runs)
    found: dict[str, Any] = {}
    for name in optuna.get_all_study_names(storage):
        for one in optuna.load_study(study_name=name, storage=storage).trials:
            key = f"{name} {one.user_attrs.get('key')}"
            values = {
                "state": one.state.name,
                "value": one.value,
                "params": one.params,
                "steps": one.intermediate_values,
            }
            found[f"{key} again" if key in found else key] = values
    return found


def mlflow_runs(uri: str, served: Path | None = None) -> dict[str, Any]:
    """Every MLflow run by its name, read from its database; a second one of the same name gets another name.

    Args:
        served: folder of a server's artifacts.
    """
    if uri.startswith("sqlite:///"):
        with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
            return mlflow_tables(database, served)
    import psycopg

    with psycopg.connect(uri.replace("+psycopg", "")) as server:
        return mlflow_tables(server, served)


def mlflow_tables(database: Any, served: Path | None) -> dict[str, Any]:
    """The runs in the tables of an open database."""

    def select(query: str) -> list[Any]:
        return list(database.execute(query).fetchall())

    found: dict[str, Any] = {}
    for run, name, status, stage, place in select(
        "select run_uuid, name, status, lifecycle_stage, artifact_uri from runs"
    ):
        tags = dict(select(f"select key, value from tags where run_uuid = '{run}'"))
        params = dict(select(f"select key, value from params where run_uuid = '{run}'"))
        metrics = select(f"select key, step, value, is_nan from metrics where run_uuid = '{run}'")
        steps = Counter(
            (key, step, "NaN" if nan else 0.0 if key.removeprefix("at_overfit.") in TIMED_METRICS else value)
            for key, step, value, nan in metrics
        )
        title = f"{name} again" if name in found else str(name)
        found[title] = {
            "status": status, "stage": stage,
            "params": {k: v for k, v in params.items() if not k.startswith(ELSEWHERE)},
            "steps": {str(key): count for key, count in sorted(steps.items(), key=str)},
            "tags": {k: v for k, v in tags.items() if k in TAGS},
            "artifacts": artifacts(place, served),
        }  # fmt: skip
    return found


def artifacts(place: str, served: Path | None) -> list[str]:
    """Names of the files that lie with a run, `(empty)` where one is."""
    folder = Path(place.removeprefix("file://"))
    if served is not None:
        folder = served / place.removeprefix("mlflow-artifacts:/")
    files = [path for path in folder.rglob("*.*") if not path.name.startswith(ASIDE)]
    return sorted(path.name + ("" if path.stat().st_size else " (empty)") for path in files)


def differences(expected: Any, found: Any, where: str = "") -> Iterator[str]:
    """Where two nested values differ, one line each."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in sorted(expected.keys() | found.keys(), key=str):
            if key not in found:
                yield f"{where}/{key} is missing"
            elif key not in expected:
                yield f"{where}/{key} is there, {str(found[key])[:120]}"
            else:
                yield from differences(expected[key], found[key], f"{where}/{key}")
    elif expected != found:
        yield f"{where}: {str(found)[:160]} instead of {str(expected)[:160]}"
