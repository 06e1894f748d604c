"""One configuration → one trial record, on files that survive a kill at any moment.

After every epoch, in this order: weights and predictions that may turn out to be the overfitting
point's, the epoch's line in `curve.jsonl`, the resume state. The state is the commit: on a restart
the curve is cut back to the state's epoch and training goes on from there. Nothing here knows who
watches: an epoch is handed to `on_epoch`, and tracking, Optuna and the terminal are elsewhere.
"""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sweeper.data.corpus import Corpus
from sweeper.study.files import (
    append_epoch,
    are_whole,
    clear_up,
    discard_state,
    drop_candidates,
    epoch_of,
    keep_candidate,
    name_final,
    read_curve,
    remove_half_written,
    weights_name,
    write_curve,
)
from sweeper.study.locks import locked
from sweeper.study.record import RECORD, State, TrialRecord
from sweeper.study.task import A_LOOK, LOCK, START, TrialTask
from sweeper.study.versions import versions
from sweeper.training.checkpoint import StateFiles, write_atomically
from sweeper.training.classifier import load_classifier
from sweeper.training.loop import FitSettings, Training, fit
from sweeper.training.metrics import EpochMetrics
from sweeper.training.overfitting import OverfittingTracker

OnEpoch = Callable[[EpochMetrics], bool | None]
OnStep = Callable[[int, int], None]


def run_trial(task: TrialTask, on_epoch: OnEpoch, on_step: OnStep | None = None) -> TrialRecord:
    """Train one point from where it was left, or from the start, and write its record.

    Args:
        on_epoch: called once an epoch is safe on disk, and first for every epoch restored from it; the trial is
            pruned where it gives True.
        on_step: called with (step, steps) of the epoch under way.

    Raises:
        Busy: another process trains this trial at this moment.
        UserError: the configuration cannot be trained.
        OSError: the disk is full or not writable; what was there stays.
    """
    folder = Path(task.folder)
    with locked(folder / LOCK, wait=A_LOOK):
        remove_half_written(folder)
        if (folder / RECORD).exists() and (record := TrialRecord.read(folder)).serves(task.stopped_by):
            clear_up(folder)
            return record
        return _train(task, folder, on_epoch, on_step)


def _train(task: TrialTask, folder: Path, on_epoch: OnEpoch, on_step: OnStep | None) -> TrialRecord:
    threads = _threads_of(folder, task)
    torch.set_num_threads(threads)
    corpus = Corpus.open(Path(task.corpus))
    training = _training(task, corpus, on_step)
    curve, tracker, kept = _restore(folder, training, task.config["overfitting"])
    stopped = any([on_epoch(epoch) for epoch in curve]) or _has_its_score(task, tracker, len(curve))
    saved = set(kept)
    for epoch in fit(training) if _is_finite(curve) and not stopped else ():
        curve.append(epoch)
        tracker.update(epoch.val_loss)
        if epoch.epoch in tracker.keep:
            kept |= keep_candidate(folder, epoch.epoch, training.model, training.validation_predictions)
        append_epoch(folder, epoch)
        kept = {name: checksum for name, checksum in kept.items() if epoch_of(name) in tracker.keep}
        StateFiles(folder).save(epoch.epoch, {"training": training.state_dict(), "kept": kept})
        drop_candidates(folder, keep=saved | set(kept))  # those of the state before stay as long as it stays
        saved = set(kept)
        stopped = bool(on_epoch(epoch)) or _has_its_score(task, tracker, epoch.epoch)
        if stopped:  # by not asking for the next
            break
    return _finish(task, folder, curve, tracker, kept, threads, corpus, stopped=stopped and not training.is_over)


def _has_its_score(task: TrialTask, tracker: OverfittingTracker, epochs: int) -> bool:
    """Whether `prune=overfit` ends the trial: the overfitting point and all that follows from it are certain."""
    return task.prune == "overfit" and tracker.is_final(epochs, task.extra_epochs)


def _is_finite(curve: Sequence[EpochMetrics]) -> bool:
    """Whether there is anything to go on with: a trial that has diverged may have been cut off before its record."""
    return not curve or bool(np.isfinite([curve[-1].train_loss, curve[-1].val_loss]).all())


def _training(task: TrialTask, corpus: Corpus, on_step: OnStep | None) -> Training:
    train = task.config["train"]
    model = load_classifier(
        task.config["model"],
        label_names=corpus.label_names,
        loss=train["loss"],
        dropout=task.config["head"]["dropout"],
        freeze_encoder=train["freeze_encoder"],
        seed=train["seed"],
    )
    settings = fit_settings(task)
    return Training(model, corpus.table, corpus.train, corpus.validation, settings, on_step=on_step)


def fit_settings(task: TrialTask) -> FitSettings:
    """The loop's settings from the nested configuration."""
    train, optimizer, schedule = (task.config[section] for section in ("train", "optimizer", "schedule"))
    stop = train["early_stop"]
    values = {
        **{key: train[key] for key in ("batch_size", "epochs", "seed", "loss", "clip_norm", "batching")},
        **{key: optimizer[key] for key in ("lr", "weight_decay", "momentum")},
        "optimizer": optimizer["name"],
        "schedule": schedule["name"],
        "warmup": schedule["warmup"],
        "precision": task.precision,
        "device": task.device,
        "cuda_graphs": train.get("cuda_graphs", False),  # a trial that was begun before there was the key lacks it
        "accumulate": train["accumulate"] * task.accumulate,
        "early_stop_monitor": stop["monitor"],
        "early_stop_min_delta": stop["min_delta"],
        "early_stop_patience": stop["patience"],
    }
    return FitSettings(**values)


def _threads_of(folder: Path, task: TrialTask) -> int:
    """Sums depend on the number of threads, so a trial keeps the one it was begun with."""
    path = folder / START
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["threads"])
    except FileNotFoundError:
        pass
    except (ValueError, TypeError, KeyError):
        text = f"{path} is damaged and is written again; the trial goes on with {task.threads} processor threads"
        warnings.warn(text, stacklevel=2)
    start = {"threads": task.threads, "varied": dict(task.varied), "config": task.config}
    write_atomically(path, json.dumps(start, ensure_ascii=False, indent=1).encode())
    return task.threads


def _restore(
    folder: Path, training: Training, point: Mapping[str, Any]
) -> tuple[list[EpochMetrics], OverfittingTracker, dict[str, str]]:
    """Bring curve, tracker and training to the last epoch that is safe on disk, or to the very start."""
    states = StateFiles(folder)
    while (found := states.latest()) is not None:
        done, state = found
        curve, tracker = read_curve(folder)[:done], OverfittingTracker(point["min_delta"], point["patience"])
        for epoch in curve:
            tracker.update(epoch.val_loss)
        if len(curve) == done and are_whole(folder, state["kept"]):
            training.load_state_dict(state["training"])
            write_curve(folder, curve)
            return curve, tracker, state["kept"]
        warnings.warn(
            f"{folder}: the curve or kept weights of epoch {done} are damaged; going back to the epoch before",
            stacklevel=2,
        )
        discard_state(folder, done)
    write_curve(folder, [])
    return [], OverfittingTracker(point["min_delta"], point["patience"]), {}


def _finish(
    task: TrialTask,
    folder: Path,
    curve: list[EpochMetrics],
    tracker: OverfittingTracker,
    kept: Mapping[str, str],
    threads: int,
    corpus: Corpus,
    *,
    stopped: bool,
) -> TrialRecord:
    """Name the state, give the overfitting epoch's files their lasting names, write the record, clear up."""
    last, finite = curve[-1], _is_finite(curve)
    state: State = ("pruned" if stopped else "complete") if finite else "diverged"
    point = tracker.point if tracker.keep else None
    record = TrialRecord(
        key=task.key,
        state=state,
        config=task.config,
        varied=task.varied,
        data=corpus.fingerprint,
        curve=tuple(curve),
        overfit_epoch=None if point is None else point.epoch,
        overfit_reached=point is not None and point.reached,
        threads=threads,
        device=task.device,
        precision=task.precision,
        reason=_reason(task, tracker, last, state),
        weights_sha256=None if point is None else kept[weights_name(point.epoch)],
        stopped_by=task.stopped_by if state == "pruned" else None,
        tags=versions() | ({"micro_batches": str(task.accumulate)} if task.accumulate > 1 else {}),
    )
    if point is not None:
        name_final(folder, point.epoch)
    record.write(folder)
    clear_up(folder)
    return record


def _reason(task: TrialTask, tracker: OverfittingTracker, last: EpochMetrics, state: State) -> str | None:
    """Why a trial has no score; None where it has one."""
    if state == "diverged":
        return f"loss is not finite in epoch {last.epoch}"
    return f"by {task.prune} after epoch {last.epoch}" if state == "pruned" and not tracker.reached else None
