"""The named moments of a sweep at which a fault can strike, in the order in which a sweep comes by them.

A moment is a call of a function of the product or of a library: before it, after it, or in the middle
of it, where `half` does a part of its work. Only names are used, so nothing is imported here.
"""

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from typing import Any

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Point:
    """A moment in the life of a sweep.

    Attributes:
        role: `worker` or `parent`: in which process it is.
        target: `module:attribute.path` of the function.
        when: before, after or half.
        only: says of the call's arguments whether it is meant; None means every call.
        half: does a part of the call's work; for `when` half.
    """

    role: str
    target: str
    when: str
    only: Callable[..., bool] | None = None
    half: Callable[..., Any] | None = None


def to(pattern: str) -> Callable[..., bool]:
    """The call renames something to a name like this."""
    return lambda source, target, *rest: fnmatch(os.path.basename(str(target)), pattern)


def aside(pattern: str) -> Callable[..., bool]:
    """The call writes a file that shall get a name like this."""
    return lambda path, *rest, **more: fnmatch(os.path.basename(str(path)), f".{pattern}.aside")


def diverged(task: Any, folder: Any, curve: Any, *rest: Any, **more: Any) -> bool:
    """The trial that ends has a loss that is not finite."""
    return not math.isfinite(curve[-1].val_loss)


def some_stay(states: Any, names: set[str]) -> bool:
    """States are removed because newer ones are there."""
    return bool(names)


def none_stays(states: Any, names: set[str]) -> bool:
    """States are removed because the trial has ended."""
    return not names


def is_verdict(trial: Any, key: str, value: Any) -> bool:
    """Optuna is told that a trial stops."""
    return key == "stopped_at"


def stops(*given: Any, stop: bool) -> bool:
    """A worker is told that its trial stops."""
    return stop


def is_stopped(*given: Any, stopped: bool) -> bool:
    """The trial that ends was stopped."""
    return stopped


def half_content(original: Callable[..., Any], path: Any, content: bytes) -> None:
    original(path, content[: len(content) // 2])


def half_weights(original: Callable[..., Any], model: Any, path: str, **options: Any) -> None:
    original(model, path, **options)
    os.truncate(path, os.path.getsize(path) // 2)


def half_state(original: Callable[..., Any], state: Any, file: Any) -> None:
    original(state, file)
    file.flush()
    file.truncate(file.tell() // 2)


def half_curve(original: Callable[..., Any], folder: Any, epoch: Any) -> None:
    with (folder / "curve.jsonl").open("a") as file:
        file.write(f'{{"epoch": {epoch.epoch}, "train_lo')


def half_journal(original: Callable[..., Any], backend: Any, logs: list[Any]) -> None:
    with open(backend._file_path, "a") as file:
        file.write(json.dumps(logs[0])[:15])


def half_event(original: Callable[..., Any], task: Any, on_epoch: Any, on_step: Any = None) -> Any:
    """The worker dies while it tells its parent of an epoch."""
    [say] = [cell.cell_contents for cell in on_epoch.__closure__ if isinstance(cell.cell_contents, partial)]
    [pipe] = say.args
    pipe.write('{"event": "epoch", "key": "')
    pipe.flush()


def worker(target: str, when: str, only: Any = None, half: Any = None) -> Point:
    return Point("worker", target, when, only, half)


def parent(target: str, when: str, only: Any = None, half: Any = None) -> Point:
    return Point("parent", target, when, only, half)


REPLACE, WRITE = "pathlib:Path.replace", "pathlib:Path.write_bytes"
TRIAL, CHECK, STORE = "sweeper.study.trial:", "sweeper.training.checkpoint:", "sweeper.tracking:MlflowStore."
LEDGER, RUNNER, POOL = "sweeper.study.ledger:", "sweeper.study.runner:", "sweeper.study.workers:ProcessPool."
JOURNAL = "optuna.storages.journal._file:JournalFileBackend.append_logs"
STUDY, CLIENT = "optuna.study.study:Study.", "mlflow.tracking.client:MlflowClient."

POINTS: dict[str, Point] = {
    # the start of the parent
    "worker process started": parent(POOL + "restart", "after"),
    "data read, cache not named": parent("sweeper.data.cache:_rename", "before"),
    "data cache named": parent("sweeper.data.cache:_rename", "after"),
    "study file half-written": parent(WRITE, "half", aside("*@*.json.*"), half_content),
    "study file not named": parent(REPLACE, "before", to("*@*.json")),
    "Optuna storage not opened": parent("sweeper.study.sweep:open_storage", "before"),
    "Optuna journal half-written": parent(JOURNAL, "half", half=half_journal),
    "Optuna study created": parent(LEDGER + "Ledger.__init__", "after"),
    # a trial begins
    "Optuna point put in": parent(STUDY + "enqueue_trial", "after"),
    "Optuna point asked, without parameters": parent(STUDY + "ask", "after"),
    "Optuna point with half its parameters": parent("optuna.trial._trial:Trial.suggest_int", "before"),
    "point begun, not sent": parent(POOL + "send", "before"),
    "point sent": parent(POOL + "send", "after"),
    "trial's folder locked": worker(TRIAL + "_threads_of", "before"),
    "trial's start half-written": worker(WRITE, "half", aside("trial.json.*"), half_content),
    "trial's start written": worker(TRIAL + "_threads_of", "after"),
    "model built": worker(TRIAL + "_training", "after"),
    "trial restored": worker(TRIAL + "_restore", "after"),
    # an epoch
    "first step of an epoch": worker("sweeper.training.loop:Training._step", "before"),
    "middle of an epoch": worker("sweeper.training.loop:Training._step", "after"),
    "epoch trained, nothing written": worker("sweeper.training.loop:Training.run_epoch", "after"),
    "weights half-written": worker(CHECK + "save_model", "half", half=half_weights),
    "weights written, not named": worker(REPLACE, "before", to("weights-*")),
    "weights named": worker(REPLACE, "after", to("weights-*")),
    "predictions not named": worker(REPLACE, "before", to("predictions-*")),
    "weights and predictions kept": worker(TRIAL + "keep_candidate", "after"),
    "curve's line half-written": worker(TRIAL + "append_epoch", "half", half=half_curve),
    "curve's line written": worker(TRIAL + "append_epoch", "after"),
    "state half-written": worker(CHECK + "torch.save", "half", half=half_state),
    "state written, not named": worker(REPLACE, "before", to("state-*.pt")),
    "state named, not listed": worker(REPLACE, "after", to("state-*.pt")),
    "list of states half-written": worker(WRITE, "half", aside("state.json.*"), half_content),
    "list of states not named": worker(REPLACE, "before", to("state.json")),
    "old states not removed": worker(CHECK + "StateFiles._remove_all_but", "before", some_stay),
    "state saved": worker(CHECK + "StateFiles.save", "after"),
    "old weights removed": worker(TRIAL + "drop_candidates", "after"),
    "event half-told": worker(TRIAL + "run_trial", "half", half=half_event),
    "Optuna not told of an epoch": parent(LEDGER + "Ledger.report", "before"),
    "Optuna told of an epoch": parent(LEDGER + "Ledger.report", "after"),
    # a trial ends
    "trial at its end": worker(TRIAL + "_finish", "before"),
    "diverged trial at its end": worker(TRIAL + "_finish", "before", diverged),
    "final weights not linked": worker("sweeper.study.files:_link", "before"),
    "final weights linked": worker("sweeper.study.files:_link", "after"),
    "record half-written": worker(WRITE, "half", aside("record.json.*"), half_content),
    "record written, not named": worker(REPLACE, "before", to("record.json")),
    "record named, states not removed": worker(CHECK + "StateFiles.clear", "before"),
    "list of states removed, states not": worker(CHECK + "StateFiles._remove_all_but", "before", none_stays),
    "trial done, parent not told": worker(TRIAL + "run_trial", "after"),
    "Optuna not told of the end": parent(LEDGER + "Ledger.tell", "before"),
    "Optuna half-told of the end": parent("optuna.trial._trial:Trial.set_user_attr", "after"),
    "Optuna told all but the state": parent(STUDY + "tell", "before"),
    "Optuna told of the end": parent(STUDY + "tell", "after"),
    "losers' weights not dropped": parent("sweeper.study.losers:Losers.drop", "before"),
    "losers' weights dropped": parent("sweeper.study.losers:Losers.drop", "after"),
    # tracking, on a thread of its own: a sweep as short as these has ended before mlflow is imported
    "MLflow tables half-made": parent("mlflow.store.db.utils:_upgrade_db", "before"),
    "MLflow tables made": parent("mlflow.store.db.utils:_upgrade_db", "after"),
    "MLflow experiment created": parent(CLIENT + "create_experiment", "after"),
    "MLflow run not created": parent(CLIENT + "create_run", "before"),
    "MLflow run created, nothing in it": parent(CLIENT + "create_run", "after"),
    "MLflow parameters logged": parent(STORE + "_log_params", "after"),
    "MLflow not told of an epoch": parent(STORE + "log_epochs", "before"),
    "MLflow told of some epochs": parent(CLIENT + "log_batch", "after"),
    "MLflow not told of the end": parent(STORE + "finish", "before"),
    "MLflow page written, run not ended": parent(CLIENT + "log_text", "after"),
    "MLflow run not ended": parent(CLIENT + "set_terminated", "before"),
    "MLflow run ended": parent(CLIENT + "set_terminated", "after"),
    # the parent's end
    "study at its end": parent(RUNNER + "StudyRunner.run", "after"),
    "table not printed": parent("sweeper.study.sweep:print_results", "before"),
    "tracking not closed": parent("sweeper.tracking:MlflowTracker.close", "before"),
    "tracking closed": parent("sweeper.tracking:MlflowTracker.close", "after"),
    "workers not ended": parent(POOL + "__exit__", "before"),
    "workers ended": parent(POOL + "__exit__", "after"),
}  # fmt: skip

# A pruner's verdict on its way to the trial: in sweeps that have a pruner, see `tests/faults/pruned.py`.
VERDICTS: dict[str, Point] = {
    "verdict found, not written": parent("optuna.trial._trial:Trial.set_user_attr", "before", is_verdict),
    "verdict written, not its notes": parent("optuna.trial._trial:Trial.set_user_attr", "after", is_verdict),
    "verdict not sent": parent(POOL + "answer", "before", stops),
    "verdict sent": parent(POOL + "answer", "after", stops),
    "stopped trial at its end": worker(TRIAL + "_finish", "before", is_stopped),
}
