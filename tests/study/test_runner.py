"""Who does what next when workers, trials or memory fail; the workers are played, the ledger and the files are real."""

import itertools
import json
import math
import queue
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from records import CONFIG, record

from sweeper.errors import UserError
from sweeper.study.budget import Budget
from sweeper.study.files import append_epoch
from sweeper.study.ledger import Ledger, open_storage
from sweeper.study.locks import locked
from sweeper.study.points import GridPoints
from sweeper.study.pool import Event, Plan
from sweeper.study.prepare import PreparedStudy
from sweeper.study.progress import NoProgress
from sweeper.study.record import RECORD, WEIGHTS
from sweeper.study.retries import MICRO_BATCHES, open_failed
from sweeper.study.runner import StudyRunner
from sweeper.study.sampling import Space
from sweeper.study.search import SearchPoints
from sweeper.study.space import Point
from sweeper.study.task import LOCK
from sweeper.tracked import NoTracker
from sweeper.training.metrics import EpochMetrics

PIDS = itertools.count(1000)
STUDY = "made/lr@1"
NO_PRUNING = {"prune": {"name": "none", "extra_epochs": 0}}


def point(key: str, lr: float = 1e-3, batch_size: int = 8, accumulate: int = 1) -> Point:
    config = {**CONFIG, "train": {**CONFIG["train"], "accumulate": accumulate}}
    return Point(key, {"lr": lr, "batch_size": batch_size}, config | NO_PRUNING)


class PlayedPool:
    """Workers that answer at once.

    Args:
        says: what a worker says to a task, as (kind, data) each.
        starts: of the workers' processes, one after the other, whether they get ready.
    """

    def __init__(self, says, starts=()):
        self.says, self.starts = says, itertools.chain(starts, itertools.repeat(True))
        self.at_work = threading.Event()
        self.events, self.sent, self.pids, self.ready, self.told = queue.Queue(), [], {}, set(), set()

    def start(self, plan):
        for worker in range(plan.workers):
            if worker not in self.pids:
                self.restart(worker)

    def restart(self, worker):
        pid = self.pids[worker] = next(PIDS)
        if next(self.starts):
            self.ready.add(pid)
            self.events.put(Event(worker, "ready", {}))
        else:
            self.events.put(
                Event(worker, "exit", {"pid": pid, "reason": "process ended", "advice": "see the log in logs"})
            )

    def is_ready(self, worker):
        return self.pids.get(worker) in self.ready

    def process_id(self, worker):
        return self.pids.get(worker)

    def is_news(self, text):
        return not (text in self.told or self.told.add(text))

    def send(self, worker, task):
        self.sent.append((self.pids[worker], task))
        for kind, data in self.says(task):
            self.events.put(Event(worker, kind, {"key": task.key, "pid": self.pids[worker], **data}))


def done(task):
    replace(record(task.key, lr=task.varied["lr"]), config=task.config).write(Path(task.folder))
    return [("ended", {})]


def error(kind, reason="it broke"):
    return [("error", {"kind": kind, "reason": reason})]


class Told(NoProgress):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def start(tmp_path):
    """One start of the command on played workers, over the same files as the starts before."""

    def start(pool, points, *, retries=2, workers=1, seeds=None, keep_all=None):
        corpus = SimpleNamespace(fingerprint="d", folder=tmp_path / "corpus", card={})
        points = GridPoints(tuple(points)) if isinstance(points, list) else points
        config = CONFIG | NO_PRUNING | {"study": {**CONFIG["study"], "seeds": seeds}}
        prepared = PreparedStudy("made", "lr", STUDY, config, corpus, points, "cpu", "float32", tmp_path)
        told = Told()
        open_failed(prepared.trials, points.known, told.note)
        ledger = Ledger(open_storage(None, tmp_path), STUDY, prepared.lock)
        plan = Plan(("cpu",) * workers, 1)
        keep_all = seeds is None if keep_all is None else keep_all
        runner = StudyRunner(prepared, ledger, pool, plan, NoTracker(), told, retries=retries, keep_all=keep_all)
        return runner.run(), told.notes

    return start


def states(tmp_path):
    study = optuna.load_study(study_name=STUDY, storage=open_storage(None, tmp_path))
    return [trial.state.name for trial in study.trials]


def seeded(*rates, seeds=(0, 1, 2)):
    """Points of a study with these seeds, configuration by configuration."""
    made = []
    for lr, seed in itertools.product(rates, seeds):
        plain = point(f"{lr:g}-{seed}", lr=lr)
        config = {**plain.config, "train": {**plain.config["train"], "seed": seed}}
        made.append(Point(plain.key, {**plain.varied, "seed": seed}, config))
    return made


def scoring(scores):
    """Workers whose trials come to these accuracies, by rate and seed, and keep their weights."""

    def done(task):
        accuracy = scores[task.varied["lr"]][task.config["train"]["seed"]]
        ended = replace(record(task.key, accuracies=(0.0, accuracy, 0.0)), config=task.config, varied=task.varied)
        ended.write(Path(task.folder))
        (Path(task.folder) / WEIGHTS).write_bytes(task.key.encode())
        return [("ended", {})]

    return done


SCORES = {1e-3: {0: 0.9, 1: 0.3, 2: 0.3}, 1e-4: {0: 0.8, 1: 0.6, 2: 0.7}}


def listed(tmp_path, points, seeds=3):
    """The study's file, as `prepare` writes it."""
    file = tmp_path / "made" / "studies" / "lr@1.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    config = CONFIG | NO_PRUNING | {"study": {**CONFIG["study"], "seeds": seeds}}
    file.write_text(json.dumps({"config": config, "trials": {one.key: dict(one.varied) for one in points}}))


def weights(tmp_path):
    return sorted(path.parent.name for path in tmp_path.glob(f"made/trials/*/{WEIGHTS}"))


def test_a_sweep_killed_in_the_middle_of_seeds_goes_on_with_the_next_one(start, tmp_path):
    def mortal(task):
        if len(pool.sent) > 2:
            raise Killed
        return scoring(SCORES)(task)

    pool = PlayedPool(mortal)
    points = seeded(1e-3, 1e-4)
    listed(tmp_path, points)
    with pytest.raises(Killed):
        start(pool, points, seeds=3)
    assert [task.key for _, task in pool.sent] == ["0.001-0", "0.001-1", "0.001-2"]
    assert weights(tmp_path) == ["0.001-0"]  # the best of its two so far
    again = PlayedPool(scoring(SCORES))
    result, _ = start(again, points, seeds=3)
    assert [task.key for _, task in again.sent] == ["0.001-2", "0.0001-0", "0.0001-1", "0.0001-2"]
    assert result.taken_over == {"0.001-0", "0.001-1"}
    assert result.winner.key == "0.0001-0"  # the best seed of the best mean, not the best trial
    assert weights(tmp_path) == ["0.0001-0"]


def test_trials_of_a_study_without_seeds_are_taken_over_and_a_winner_that_had_lost_is_trained_again(start, tmp_path):
    points, alone = seeded(1e-3, 1e-4), seeded(1e-3, 1e-4, seeds=[0])
    listed(tmp_path, alone, seeds=None)
    first, _ = start(PlayedPool(scoring(SCORES)), alone, keep_all=False)
    assert first.winner.key == "0.001-0"
    assert weights(tmp_path) == ["0.001-0"]
    listed(tmp_path, points)
    pool = PlayedPool(scoring(SCORES))
    result, notes = start(pool, points, seeds=3)
    assert [task.key for _, task in pool.sent] == ["0.001-1", "0.001-2", "0.0001-1", "0.0001-2", "0.0001-0"]
    assert notes == ["lr=0.0001 bs=8 seed=0: it wins by its seeds, but its weights were dropped; training it again"]
    assert result.winner.key == "0.0001-0"
    assert weights(tmp_path) == ["0.0001-0"]
    assert result.taken_over == {"0.001-0"}
    assert states(tmp_path) == ["COMPLETE"] * 6
    again = PlayedPool(scoring(SCORES))
    start(again, points, seeds=3)
    assert again.sent == []


def test_a_sweep_killed_while_the_winner_is_trained_again_goes_on_with_it(start, tmp_path):
    def mortal(task):
        if task.key == "0.0001-0":
            raise Killed
        return scoring(SCORES)(task)

    points, alone = seeded(1e-3, 1e-4), seeded(1e-3, 1e-4, seeds=[0])
    listed(tmp_path, alone, seeds=None)
    start(PlayedPool(scoring(SCORES)), alone, keep_all=False)
    listed(tmp_path, points)
    with pytest.raises(Killed):
        start(PlayedPool(mortal), points, seeds=3)
    pool = PlayedPool(scoring(SCORES))
    assert start(pool, points, seeds=3)[0].winner.key == "0.0001-0"
    assert [task.key for _, task in pool.sent] == ["0.0001-0"]
    assert weights(tmp_path) == ["0.0001-0"]


def test_a_winner_whose_weights_never_come_is_trained_again_once(start, tmp_path):
    points = seeded(1e-3, seeds=[0, 1])
    listed(tmp_path, points, seeds=2)
    pool = PlayedPool(done)  # writes no weights
    result, _ = start(pool, points, seeds=2)
    assert len(pool.sent) == 3
    assert result.winner is not None


def test_a_worker_that_dies_before_it_is_ready_is_no_failure_of_a_point(start):
    result, notes = start(PlayedPool(done, starts=[False, False]), [point("a")], retries=2)
    assert result.records[0].state == "complete"
    assert notes == []


def test_epochs_that_lay_on_disk_are_told_from_those_that_are_trained(start, tmp_path):
    folder = tmp_path / "made/trials/a"
    folder.mkdir(parents=True)
    for epoch in (1, 2):
        append_epoch(folder, EpochMetrics(epoch, 1.0, 1.0, 0.5, 0.5, 0.5, 1e-3, 1.0, 10.0))
    _, notes = start(PlayedPool(done), [point("a"), point("b", lr=1e-4)])
    assert notes == ["lr=0.001 bs=8: goes on, 2 epochs of it on disk"]


def test_workers_that_never_get_ready_end_the_sweep_and_leave_every_point_open(start, tmp_path):
    pool = PlayedPool(done, starts=itertools.repeat(False))
    with pytest.raises(UserError, match="cannot start; see the log in"):
        start(pool, [point("a"), point("b")], workers=2)
    assert pool.sent == []
    assert not list(tmp_path.rglob(RECORD))
    assert start(PlayedPool(done), [point("a"), point("b")])[0].winner is not None


def test_workers_killed_together_while_they_start_are_started_once_more_each(start):
    result, _ = start(PlayedPool(done, starts=[False] * 4), [point("a")], workers=4, retries=1)
    assert result.winner is not None


@pytest.mark.parametrize("kind", ["passing", "memory"])
def test_after_an_error_the_trial_goes_on_in_a_new_process(start, kind):
    pool = PlayedPool(lambda task: error(kind) if len(pool.sent) == 1 else done(task))
    result, notes = start(pool, [point("a")])
    assert result.records[0].state == "complete"
    assert len({pid for pid, _ in pool.sent}) == 2
    assert "trying again" in notes[0]


def test_a_worker_that_had_no_error_keeps_its_process(start):
    pool = PlayedPool(done)
    result, _ = start(pool, [point("a"), point("b", lr=1e-4)])
    assert len({pid for pid, _ in pool.sent}) == 1
    assert result.taken_over == set()  # that it is ready was heard late: it had a trial already and got no second


def pieces(pool):
    return [task.accumulate for _, task in pool.sent]


def test_micro_batches_are_halved_whatever_the_retries_and_the_next_start_remembers(start, tmp_path):
    pool = PlayedPool(lambda task: done(task) if task.accumulate == 8 else error("memory", "out of memory"))
    result, notes = start(pool, [point("a")], retries=0)
    assert result.records[0].state == "complete"
    assert pieces(pool) == [1, 2, 4, 8]
    assert notes[-1] == "lr=0.001 bs=8: out of memory; trying again in 8 micro-batches"
    (tmp_path / "made" / "trials" / "a" / RECORD).unlink()
    again = PlayedPool(done)
    start(again, [point("a")])
    assert pieces(again) == [8]


def test_memory_that_does_not_suffice_for_one_row_is_a_failure(start):
    pool = PlayedPool(lambda task: error("memory", "out of memory"))
    result, _ = start(pool, [point("a", accumulate=2)], retries=1)
    assert pieces(pool) == [1, 2, 4, 4]
    assert (result.records[0].state, result.records[0].reason) == ("failed", "out of memory (2 tries)")


@pytest.mark.parametrize("content", ["", "[1]", "0", "1e9"])
def test_a_damaged_number_of_micro_batches_stops_nobody(start, tmp_path, content):
    file = tmp_path / "made" / "trials" / "a" / MICRO_BATCHES
    file.parent.mkdir(parents=True)
    file.write_text(content)
    pool = PlayedPool(done)
    assert start(pool, [point("a")])[0].winner is not None
    assert pieces(pool)[0] in (1, 8)


def test_a_failed_point_is_tried_again_by_the_same_command_and_its_retries_are_counted_anew(start, tmp_path):
    broken = PlayedPool(lambda task: error("passing"))
    result, notes = start(broken, [point("a")], retries=1)
    assert result.winner is None
    assert notes[-1] == "lr=0.001 bs=8: given up; the same command again tries it again"
    again = PlayedPool(lambda task: error("passing") if len(again.sent) == 1 else done(task))
    result, notes = start(again, [point("a")], retries=1)
    assert result.records[0].state == "complete"
    assert notes[0] == "lr=0.001 bs=8: had failed (it broke (2 tries)); trying it again"
    assert states(tmp_path) == ["FAIL", "COMPLETE"]  # Optuna's ended trials cannot be changed
    assert start(PlayedPool(done), [point("a")])[0].taken_over == {"a"}
    assert states(tmp_path) == ["FAIL", "COMPLETE"]


def test_a_point_that_fails_at_every_start_is_in_optuna_once(start, tmp_path):
    for _ in range(3):
        pool = PlayedPool(lambda task: error("passing"))
        start(pool, [point("a")], retries=0)
        assert len(pool.sent) == 1
    assert states(tmp_path) == ["FAIL"]


def test_what_a_sweep_beside_this_one_gives_up_is_taken_over_and_not_tried_again(start):
    beside = PlayedPool(lambda task: error("passing"))

    def while_another_gives_up(task):
        start(beside, [point("b", lr=1e-4)], retries=0)
        return done(task)

    pool = PlayedPool(while_another_gives_up)
    result, _ = start(pool, [point("a"), point("b", lr=1e-4)])
    assert [one.state for one in result.records] == ["complete", "failed"]
    assert [task.key for _, task in pool.sent] == ["a"]


def test_a_point_that_was_trained_elsewhere_after_it_failed_is_told_to_optuna(start, tmp_path):
    start(PlayedPool(lambda task: error("passing")), [point("a")], retries=0)
    folder = tmp_path / "made" / "trials" / "a"
    record("a").write(folder)  # its sweep was killed before it could say so
    assert start(PlayedPool(done), [point("a")])[0].taken_over == {"a"}
    assert states(tmp_path) == ["FAIL", "COMPLETE"]


def test_only_failed_points_that_nobody_trains_are_opened(tmp_path):
    points = [point(key) for key in ("failed", "complete", "busy", "new")]
    for key, state in (("failed", "failed"), ("complete", "complete"), ("busy", "failed")):
        record(key, state=state).write(tmp_path / key)
    (tmp_path / "failed" / MICRO_BATCHES).write_text("4")
    said = []
    with locked(tmp_path / "busy" / LOCK):
        open_failed(tmp_path, points, said.append)
    assert len(said) == 1
    assert sorted(path.parent.name for path in tmp_path.glob(f"*/{RECORD}")) == ["busy", "complete"]
    assert not (tmp_path / "failed" / MICRO_BATCHES).exists()
    assert not (tmp_path / "new").exists()


def test_what_holds_for_every_trial_is_said_once_and_without_a_trials_name(start, tmp_path):
    def says(task):
        return [("note", {"text": "using longest"}), ("note", {"text": f"{task.folder}: damaged"}), *done(task)]

    _, notes = start(PlayedPool(says), [point("aa"), point("bb", lr=1e-4)], workers=2)
    trials = tmp_path / "made" / "trials"
    assert sorted(notes) == [
        f"lr=0.0001 bs=8: {trials / 'bb'}: damaged",
        f"lr=0.001 bs=8: {trials / 'aa'}: damaged",
        "using longest",
    ]


@pytest.fixture
def search(tmp_path):
    """What one start of the command has of a search for so many trials."""

    def search(trials):
        config = {**CONFIG, "train": {**CONFIG["train"], "accumulate": 1}, **NO_PRUNING}
        return SearchPoints(
            Space({"lr": [1e-5, 1e-2], "batch_size": [8, 16]}), Budget(trials, None, None), sampler="tpe", seed=0,
            epochs=3, point=lambda varied: Point(f"{varied['lr']}-{varied['batch_size']}", varied, config),
            file=tmp_path / "made" / "studies" / "lr@1.json", head={"study": "search"},
        )  # fmt: skip

    return search


class Killed(Exception):
    pass


def by_rate(task):
    """Ends with an accuracy that depends on the learning rate alone."""
    accuracies = (0.0, 1 / (1 + abs(math.log10(task.varied["lr"]) + 4)), 0.0)
    ended = record(task.key, accuracies=accuracies)
    replace(ended, varied=task.varied, config=task.config).write(Path(task.folder))
    return [("ended", {})]


def test_a_search_that_is_killed_again_and_again_finds_the_points_of_an_undisturbed_one(start, search, tmp_path):
    def mortal(task):
        if len(pool.sent) == 4:
            raise Killed
        return by_rate(task)

    undisturbed, _ = start(PlayedPool(by_rate), search(12))
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    for _ in range(3):
        pool = PlayedPool(mortal)
        with pytest.raises(Killed):
            start(pool, search(12))
    result, _ = start(PlayedPool(by_rate), search(12))
    assert [one.varied for one in result.records] == [one.varied for one in undisturbed.records]
    assert len(result.records) == 12
    assert states(tmp_path) == ["COMPLETE"] * 12


def test_workers_of_a_search_that_are_free_at_once_get_different_points_and_no_more_than_the_budget(start, search):
    pool = PlayedPool(by_rate)
    result, _ = start(pool, search(5), workers=4)
    assert len({task.key for _, task in pool.sent}) == len(pool.sent) == len(result.records) == 5


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(start, search):
    first, _ = start(PlayedPool(by_rate), search(3))
    pool = PlayedPool(by_rate)
    result, _ = start(pool, search(5))
    assert [one.key for one in result.records[:3]] == [one.key for one in first.records]
    assert len(pool.sent) == 2
    again = PlayedPool(by_rate)
    assert start(again, search(5))[0].taken_over == {one.key for one in result.records}
    assert again.sent == []


def test_a_point_of_a_search_that_is_trained_already_is_taken_over_and_the_next_one_found(start, search, tmp_path):
    before = search(1)
    before.extend({})
    [first] = before.known
    (tmp_path / "made" / "studies" / "lr@1.json").unlink()  # another study's point, as far as the search knows
    start(PlayedPool(by_rate), [first])
    pool = PlayedPool(by_rate)
    result, _ = start(pool, search(2))
    assert result.taken_over == {first.key}
    assert len(result.records) == 2
    assert len(pool.sent) == 1


def test_a_point_of_a_search_that_fails_counts_and_is_tried_again_by_the_same_command(start, search):
    broken = PlayedPool(lambda task: error("passing") if len(broken.sent) == 1 else by_rate(task))
    result, _ = start(broken, search(3), retries=0)
    assert [one.state for one in result.records] == ["failed", "complete", "complete"]
    again = PlayedPool(by_rate)
    result, _ = start(again, search(3), retries=0)
    assert [one.state for one in result.records] == ["complete"] * 3
    assert len(again.sent) == 1
