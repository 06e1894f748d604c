"""Runs one study: hands its points to workers, and what they report to Optuna, tracking and the terminal.

The truth lies in the trials' folders. This room only decides who does what next: a point that
already has a record is taken over, a point that a dead process left is begun again, a point that
another sweep trains at this moment is waited for. Where all points are taken, the study is asked for
one more, which a search has as long as its budget lasts.
"""

import queue
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from sweeper.errors import UserError
from sweeper.study.agenda import Agenda
from sweeper.study.configurations import winner_of
from sweeper.study.files import read_curve
from sweeper.study.ledger import Ledger
from sweeper.study.locks import Busy, is_free
from sweeper.study.losers import Losers
from sweeper.study.pool import Event, Plan, Pool
from sweeper.study.prepare import PreparedStudy, studies_folder
from sweeper.study.progress import Progress
from sweeper.study.record import TrialRecord, trial_name
from sweeper.study.result import StudyResult
from sweeper.study.retries import Retries, open_without_weights
from sweeper.study.space import Point, seeds_of
from sweeper.study.task import JUDGED, LOCK, TrialTask, failed_record, tidy_up
from sweeper.study.tracks import Tracks
from sweeper.study.wording import count
from sweeper.tracked import Run, Tracker
from sweeper.training.metrics import EpochMetrics

TRAINED = "taken over: already trained"
POLL_SECONDS = 0.5  # how often another sweep's trials, and dead workers, are looked for


@dataclass
class _Assignment:
    """A point on a worker."""

    point: Point
    run: Run
    curve: list[EpochMetrics] = field(default_factory=list)


class StudyRunner:
    """One study on one pool of workers.

    Args:
        retries: how often a point that failed for a passing cause is begun again.
        keep_all: keep the weights of every trial instead of the best one's.
    """

    def __init__(
        self,
        prepared: PreparedStudy,
        ledger: Ledger,
        pool: Pool,
        plan: Plan,
        tracker: Tracker,
        progress: Progress,
        *,
        retries: int,
        keep_all: bool,
    ) -> None:
        self.prepared, self.points = prepared, prepared.points
        self.ledger, self.pool, self.plan = ledger, pool, plan
        self.tracks, self.progress = Tracks(prepared, tracker), progress
        self.retries, self.keep_all = Retries(retries, prepared.trials), keep_all
        self.records, self.taken_over = dict[str, TrialRecord](), set[str]()
        self._trained_again = set[str]()
        lists, asked = studies_folder(prepared.runs, prepared.name), lambda: [point.key for point in self.points.known]
        self._losers = Losers(prepared.trials, lists, asked)
        self._agenda = Agenda(self.points)
        self._is_judged = prepared.config["prune"]["name"] in JUDGED
        self._at_work: dict[int, _Assignment] = {}
        self._idle, self._looked = set[int](), 0.0

    def run(self) -> StudyResult:
        """Train every point that has no record yet.

        Raises:
            UserError: a point cannot be trained as configured, or the disk is full or not writable.
        """
        self.progress.open(self.prepared.title, self.points, self.plan.workers)
        try:
            self._take_over_finished(self._agenda.take_in(), TRAINED)
            if self._has_more():
                self.pool.start(self.plan)
                self._idle = {worker for worker in range(self.plan.workers) if self.pool.is_ready(worker)}
            else:
                self.pool.at_work.set()  # nothing will be trained: what waits for the first step need not
            while self._has_more():
                self._assign()
                self._listen()
        finally:
            self.progress.close()
        records = tuple(self.records[point.key] for point in self.points.known)
        winner = winner_of(records)
        self.tracks.close(winner)
        return StudyResult(self.prepared, records, winner, frozenset(self.taken_over))

    def _has_more(self) -> bool:
        """Whether a point has no record yet, or one more is found."""
        while not self._agenda:
            if not self._extend() and not self._opens_winner():
                return False
        return True

    def _opens_winner(self) -> bool:
        """Whether the winner is trained again for its weights: one seed of it alone had lost them in another study."""
        best = winner_of(self.records.values()) if seeds_of(self.prepared.config) else None
        if best is None or best.key in self._trained_again or not open_without_weights(self.prepared.trials / best.key):
            return False
        self.progress.note(f"{best.name}: it wins by its seeds, but its weights were dropped; training it again")
        self._trained_again.add(best.key)
        self.taken_over.discard(best.key)
        del self.records[best.key]
        self._agenda.again(next(point for point in self.points.known if point.key == best.key))
        return True

    def _extend(self) -> bool:
        """One more point, if there is one; it may be trained already, by another study."""
        self._take_over_finished(self._agenda.but(self._mine()))
        if found := self.points.extend(self.records):
            self._take_over_finished(self._agenda.take_in(), TRAINED)
        return found

    def _take_over_finished(self, points: Iterable[Point], note: str = "taken over from another sweep") -> None:
        """Collect those of these points, none of which is trained here, that have a record."""
        for point in points:
            if (record := self.prepared.answer(point)) is not None:
                tidy_up(self.prepared.folder(point), record)
                self.taken_over.add(point.key)
                self._finish(point, record, self.tracks.begin(point), note)

    def _mine(self) -> set[str]:
        return {assignment.point.key for assignment in self._at_work.values()}

    def _assign(self) -> None:
        """Give every idle worker the next point that is free."""
        while self._idle and (point := self._claim()) is not None:
            worker = self._idle.pop()
            self._at_work[worker] = _Assignment(point, self.tracks.begin(point))
            if begun := len(read_curve(self.prepared.folder(point))):
                self.progress.note(f"{trial_name(point.varied)}: goes on, {count(begun, 'epoch')} of it on disk")
            self.pool.send(worker, self._task(point))
            self.progress.started(point, worker)

    def _claim(self) -> Point | None:
        """A known point that is free, or one that is found because all are taken."""
        while True:
            open_points = self._agenda.but(self._mine())
            point = self.ledger.claim(open_points, self._is_open) if open_points else None
            if point is None:
                if not self._extend():
                    return None
            elif self.prepared.answer(point) is None:
                return point
            else:
                self._take_over_finished([point])

    def _is_open(self, point: Point) -> bool:
        """Whether nobody has it. What another sweep has is looked at again and again until it has its record."""
        if is_free(self.prepared.folder(point) / LOCK) and self.prepared.answer(point) is None:
            return True
        self._agenda.leave(point)
        return False

    def _task(self, point: Point) -> TrialTask:
        accumulate = self.retries.micro_batches(point)
        return self.prepared.task(point, threads=self.plan.threads, accumulate=accumulate)

    def _listen(self) -> None:
        """Take one event, or look around after a while without one."""
        with suppress(queue.Empty):
            self._on(self.pool.events.get(timeout=POLL_SECONDS))
        if time.monotonic() - self._looked > POLL_SECONDS:
            self._looked = time.monotonic()
            self._take_over_finished(self._agenda.elsewhere(self._mine()))

    def _on(self, event: Event) -> None:
        if event.kind == "exit":
            return self._on_exit(event)
        if event.kind == "ready":
            return self._on_ready(event)
        assignment = self._at_work.get(event.worker)
        if assignment is None or event.data.get("key") != assignment.point.key:
            return None  # of a trial that this worker no longer has
        handlers: dict[str, Callable[[_Assignment, Event], None]] = {
            "step": self._on_step,
            "epoch": self._on_epoch,
            "ended": self._on_ended,
            "busy": self._on_busy,
            "error": self._on_error,
            "note": self._on_note,
        }
        return handlers[event.kind](assignment, event)

    def _on_ready(self, event: Event) -> None:
        """Only now does a worker get a trial: that a process cannot start is no failure of a point."""
        if self.pool.is_ready(event.worker) and event.worker not in self._at_work:
            self.retries.started(event.worker)
            self._idle.add(event.worker)

    def _on_step(self, assignment: _Assignment, event: Event) -> None:
        self.progress.step(assignment.point, event.data["step"], event.data["steps"])

    def _on_epoch(self, assignment: _Assignment, event: Event) -> None:
        epoch = EpochMetrics(**event.data["epoch"])
        assignment.curve.append(epoch)
        self.progress.epoch(assignment.point, epoch)
        stop = self.ledger.report(assignment.point, epoch)
        if self._is_judged:
            self.pool.answer(event.worker, stop=stop)
        self.tracks.tracker.epochs(assignment.run, assignment.curve)

    def _on_ended(self, assignment: _Assignment, event: Event) -> None:
        self._release(event.worker)
        record = TrialRecord.read(self.prepared.folder(assignment.point))
        self._finish(assignment.point, record, assignment.run)

    def _on_busy(self, assignment: _Assignment, event: Event) -> None:
        """Another sweep took the point between our look and our worker's; it is looked at again later."""
        self._release(event.worker)
        time.sleep(POLL_SECONDS / 10)

    def _on_error(self, assignment: _Assignment, event: Event) -> None:
        kind, reason = event.data["kind"], event.data["reason"]
        if kind == "user":
            raise UserError(reason)
        if kind == "disk":
            raise UserError(
                f"{self.prepared.trials}: cannot write there ({reason}). Free some space or set paths.runs to another "
                "folder; then run the same command again: it goes on from the last finished epoch."
            )
        self._restart(event.worker)
        if kind == "memory" and self.retries.halve(assignment.point):
            pieces = self.retries.micro_batches(assignment.point)
            name = self.prepared.trial_name(assignment.point)
            return self.progress.note(f"{name}: {reason}; trying again in {pieces} micro-batches")
        return self._failed(assignment, reason)

    def _on_note(self, assignment: _Assignment, event: Event) -> None:
        """Something is wrong that the trial itself has mended, such as a damaged file, or holds for every trial."""
        text = event.data["text"]
        if self.pool.is_news(text):
            about_it = assignment.point.key in text  # names the trial's folder
            self.progress.note(f"{self.prepared.trial_name(assignment.point)}: {text}" if about_it else text)

    def _on_exit(self, event: Event) -> None:
        """A worker is gone: killed, or out of memory. Its trial is begun again from its last epoch."""
        if self.pool.process_id(event.worker) != event.data["pid"]:
            return
        assignment = self._at_work.get(event.worker)
        if assignment is None and not self.retries.may_start(event.worker):
            raise UserError(f"worker processes cannot start; {event.data['advice']}")
        self._restart(event.worker)
        if assignment is not None:
            self._failed(assignment, f"its worker {event.data['reason']}")

    def _failed(self, assignment: _Assignment, reason: str) -> None:
        point = assignment.point
        if (done := self.prepared.answer(point)) is not None:  # it died with everything done but said
            tidy_up(self.prepared.folder(point), done)
            return self._finish(point, done, assignment.run)
        name, failures = self.prepared.trial_name(point), self.retries.failed(point)
        if failures <= self.retries.most:
            return self.progress.note(f"{name}: {reason}; trying again ({failures} of {self.retries.most})")
        try:
            record = failed_record(self._task(point), self.prepared.corpus.fingerprint, f"{reason} ({failures} tries)")
        except Busy:
            return None
        self._finish(point, record, assignment.run)
        if record.state == "failed":
            self.progress.note(f"{name}: given up; the same command again tries it again")
        return None

    def _restart(self, worker: int) -> None:
        """After an error too: a process whose GPU context or memory is broken would fail all its later trials."""
        self._at_work.pop(worker, None)
        self._idle.discard(worker)
        self.pool.restart(worker)

    def _release(self, worker: int) -> None:
        self._at_work.pop(worker, None)
        self._idle.add(worker)

    def _finish(self, point: Point, record: TrialRecord, run: Run, note: str | None = None) -> None:
        """A point has its record: tell everybody, and drop the weights that have lost."""
        self.records[point.key] = record = record.sharing(point.config)
        self._agenda.end(point)
        self.ledger.tell(point, record, note)
        self.progress.ended(point, record, note)
        self.tracks.end(record, run, note)
        if not self.keep_all:
            self._losers.drop([record])
