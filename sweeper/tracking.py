"""What a sweep did, for people to look at: the only file that knows MLflow.

The truth is in the trials' own files. Here it is copied to MLflow by operations that may be repeated
at will: everything is found by its tags before it is created, only epochs that the server lacks are
logged, and an epoch's timestamp follows from the run's start and the curve, so that even two
processes that log the same epoch leave one point. Operations run in order on a thread of their own
(`outbox.py`): training never waits for a server, and a server that is away gets the rest when it is
back, or at the next start. mlflow is imported on that thread, because it takes two seconds.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sweeper.outbox import Outbox, Trouble
from sweeper.run_list import DELIVERED, EPOCHS, ID, PARENT, RunList, one_at_a_time
from sweeper.tracked import (
    ENVIRONMENT,
    STATUS,
    NoTracker,
    Run,
    RunState,
    Text,
    Tracker,
    as_text,
    checked_uri,
    default_uri,
    digest,
    flat,
    folder_name,
    is_hopeless,
    made_whole,
    metrics_of,
    notice,
    short_tags,
)
from sweeper.training.metrics import EpochMetrics

PARAMS_A_CALL, METRICS_A_CALL = 100, 1000  # MLflow's limits

__all__ = ["MlflowStore", "MlflowTracker", "NoTracker", "Run", "Tracker"]


class MlflowTracker:
    """Copies to an MLflow server, or to an SQLite file under `runs`.

    Args:
        experiment: its name in MLflow.
        runs: `paths.runs`; the default database and the artifacts of a database without a server lie here.
        uri: `tracking.uri`; None is `sqlite:///<runs>/mlflow.db`.
        warn: told when tracking falls behind and when it is back.
        after: nothing is done before this is set, or the tracker closed; None begins at once.

    Raises:
        UserError: MLflow has no store for such a URI.
    """

    def __init__(
        self, experiment: str, runs: Path, uri: str | None = None,
        warn: Callable[[str], None] | None = None, after: threading.Event | None = None,
    ) -> None:  # fmt: skip
        self._warn = warn or (lambda text: print(text, file=sys.stderr))
        self._store = MlflowStore(experiment, runs, checked_uri(uri) or default_uri(runs))
        self._refused, self._is_local = False, self._store.uri.startswith("sqlite")
        self._outbox = Outbox(is_hopeless, self._notice, patient=self._is_local, after=after)
        self._outbox.put(lambda: self._store.client, patient=True)

    def study(self, name: str, study_id: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """See `Tracker.study`."""
        run, identity = Run(), {"sweeper.study": study_id}
        self._outbox.put(lambda: self._store.find_or_create(run, identity, name, flat(params), tags))
        return run

    def trial(self, study: Run, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """See `Tracker.trial`."""
        run = Run()

        def send() -> None:
            identity = {PARENT: _id(study), "sweeper.key": key}
            self._store.find_or_create(run, identity, name, flat(params), tags)

        self._outbox.put(send)
        return run

    def epochs(self, run: Run, curve: Sequence[EpochMetrics]) -> None:
        """See `Tracker.epochs`. What is sent late is sent together: an operation takes the curve as it is by then."""
        run.curve = tuple(curve)
        self._outbox.put(lambda: self._store.log_epochs(run, run.curve))

    def finish(
        self,
        run: Run,
        state: RunState,
        *,
        at_overfit: EpochMetrics | None = None,
        tags: Mapping[str, str] | None = None,
        figure: Text | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ) -> None:
        """See `Tracker.finish`."""
        files = {name: as_text(content) for name, content in (artifacts or {}).items()}
        told = {**(tags or {}), "sweeper.state": state}
        self._outbox.put(lambda: self._store.finish(run, STATUS[state], at_overfit, told, figure, files))

    def close(self, timeout: float = 5.0, *, hasty: bool = False) -> bool:
        """See `Tracker.close`. Waits longer while what is queued moves: six times locally, thrice for a server."""
        return self._outbox.close(timeout, at_most=timeout * (6 if self._is_local else 3), hasty=hasty)

    def _notice(self, trouble: Trouble, error: Exception | None) -> None:
        """One line for each outage, and for the first entry that is refused."""
        if trouble == "dropped" and self._refused:
            return
        self._refused = self._refused or trouble == "dropped"
        self._warn(notice(trouble, self._store.uri, error))


class MlflowStore:
    """The same operations done at once, each safe to repeat. `MlflowClient` and run ids only, no active run."""

    def __init__(self, experiment: str, runs: Path, uri: str) -> None:
        self.experiment, self.runs, self.uri = experiment, runs, uri

    @cached_property
    def client(self) -> Any:
        """The client; imports mlflow and, for a new database file, makes its tables."""
        return _quiet_client(self.uri)

    @cached_property
    def experiment_id(self) -> str:
        """The experiment of that name: found, brought back from MLflow's bin, or created."""
        server = self.uri.startswith(("http", "databricks"))
        place = None if server else (self.runs.resolve() / "mlartifacts" / folder_name(self.experiment)).as_uri()
        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                return str(self.client.create_experiment(self.experiment, artifact_location=place))
            except Exception as error:
                if getattr(error, "error_code", None) != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self.client.get_experiment_by_name(self.experiment)
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    @cached_property
    def run_list(self) -> RunList:
        """The runs there are."""
        return RunList(self.client, self.experiment_id, is_shared=self.uri != default_uri(self.runs))

    def find_or_create(
        self, run: Run, identity: Mapping[str, str], name: str, params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        """Fill in `run` with the run that has `identity`; add the parameters and tags it lacks."""
        identity = {**identity, ID: digest(identity)}
        with one_at_a_time(self.runs / "mlflow.lock") as turn:
            found, is_new = self.run_list.find(identity, turn), False
            if found is None:
                found, is_new = self.run_list.create(identity, name, short_tags(tags), turn)
            run.id, run.start, run.is_new = found.id, found.start, is_new
            if found.is_done:  # parameters and tags came before its end
                run.delivered, run.epochs = found.delivered, found.epochs
                return
            stored = None if is_new else self.client.get_run(run.id)
            known = stored.data.params if stored else {}
            self._log_params(run.id, {key: value for key, value in params.items() if key not in known})
        if stored is not None:
            self._open(run, stored, tags)

    def _open(self, run: Run, stored: Any, tags: Mapping[str, str]) -> None:
        """Find out what a run holds that was made before, and let it go on."""
        for metric in stored.data.metrics:
            steps = {one.step for one in self.client.get_metric_history(_id(run), metric)}
            run.logged.setdefault(metric, set()).update(steps)
        self._tag(_id(run), {key: value for key, value in tags.items() if stored.data.tags.get(key) != value})
        if stored.info.status in ("FAILED", "KILLED"):
            self.client.update_run(_id(run), status="RUNNING")

    def log_epochs(self, run: Run, curve: Sequence[EpochMetrics]) -> None:
        """Log the figures that the run lacks; step = epoch, time = the run's start and the seconds trained since."""
        from mlflow.entities import Metric

        at, missing = float(run.start), []
        for epoch in curve:
            at += epoch.seconds * 1000
            for name, value in metrics_of(epoch).items():
                if epoch.epoch > run.epochs and epoch.epoch not in run.logged.get(name, ()):
                    missing.append(Metric(name, value, int(at), epoch.epoch))
        self._log_metrics(run, missing)

    def finish(
        self,
        run: Run,
        status: str,
        at_overfit: EpochMetrics | None,
        tags: Mapping[str, str],
        figure: Text | None,
        files: Mapping[str, str],
    ) -> None:
        """Log the figures at the overfitting point, files and tags, then end the run; what is there stays untouched."""
        run_id = _id(run)
        content = digest({**tags, **files, "at": repr(at_overfit), "figure": str(figure is not None)})
        if run.delivered == content:
            return
        stored = None if run.is_new else self.client.get_run(run_id)
        known = stored.data.tags if stored else {}
        if known.get(DELIVERED) != content:
            for name, text in {**files, **({"curve.html": figure()} if figure is not None else {})}.items():
                self.client.log_text(run_id, text, name)
            if "sweeper.reason" in known and "sweeper.reason" not in tags:  # had failed, was tried again
                self.client.delete_tag(run_id, "sweeper.reason")
            if at_overfit is not None:
                self._log_metrics(run, self._at_overfit(run, at_overfit))
            self._tag(run_id, {**tags, DELIVERED: content, EPOCHS: str(len(run.curve))})
        if stored is None or stored.info.status != status:
            self.client.set_terminated(run_id, status)
        run.delivered = content

    def register(self, key: str, folder: Path, name: str) -> str:
        """Put an exported model folder into the model registry, loadable with `mlflow.transformers.load_model`.

        Returns:
            The version's number; the one there is, where this trial is registered under `name` already.
        """
        found = self.client.search_runs([self.experiment_id], f"tags.`sweeper.key` = '{key}'", order_by=["start_time"])
        if not found:  # trained without tracking
            self.find_or_create(run := Run(), {"sweeper.key": key}, folder.name, {}, {})
            self.client.set_terminated(_id(run))
        run_id = found[0].info.run_id if found else _id(run)
        if all(model.name != name for model in self.client.search_registered_models()):
            self.client.create_registered_model(name)
        versions = [one for one in self.client.search_model_versions(f"run_id = '{run_id}'") if one.name == name]
        if not versions:
            with TemporaryDirectory() as place:
                _save_for_registry(folder, Path(place) / "model")
                self.client.log_artifacts(run_id, str(Path(place) / "model"), "model")
            versions = [self.client.create_model_version(name, f"runs:/{run_id}/model", run_id, {"sweeper.key": key})]
        return str(versions[0].version)

    def _at_overfit(self, run: Run, at: EpochMetrics) -> list[Any]:
        from mlflow.entities import Metric

        values = {f"at_overfit.{name}": value for name, value in metrics_of(at).items()}
        missing = [name for name in values if at.epoch not in run.logged.get(name, ())]
        return [Metric(name, values[name], run.start, at.epoch) for name in missing]

    def _log_metrics(self, run: Run, metrics: Sequence[Any]) -> None:
        for batch in _batches(metrics, METRICS_A_CALL):
            self.client.log_batch(_id(run), metrics=batch)
            for metric in batch:
                run.logged.setdefault(metric.key, set()).add(metric.step)

    def _log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        for batch in _batches([Param(key, value) for key, value in params.items()], PARAMS_A_CALL):
            self.client.log_batch(run_id, params=batch)

    def _tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for batch in _batches([RunTag(key, value) for key, value in short_tags(tags).items()], PARAMS_A_CALL):
            self.client.log_batch(run_id, tags=batch)


def _batches(given: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [given[first : first + size] for first in range(0, len(given), size)]


def _quiet_client(uri: str) -> Any:
    """A client that does not retry for minutes, send usage data or print what it does. Slow: imports mlflow."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for logger in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(logger).setLevel("ERROR")
    with made_whole(uri) as aside:
        if aside is not None:
            MlflowClient(aside)
    return MlflowClient(uri)


def _save_for_registry(folder: Path, place: Path) -> None:
    import mlflow.transformers
    from transformers import pipeline

    classifier = pipeline("text-classification", str(folder.resolve()), device="cpu")  # relative: taken for a hub id
    mlflow.transformers.save_model(classifier, str(place), pip_requirements=["torch", "transformers"])


def _id(run: Run) -> str:
    if run.id is None:
        raise LookupError("its run was refused before")
    return run.id
