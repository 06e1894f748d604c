"""Studies run one after the other on one pool of workers, so that the second study pays no start-up.

The command line and the Python interface both come here through `start.py`; neither knows about ledgers.
"""

from collections.abc import Callable, Container, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from sweeper import assets
from sweeper.config import Config, plain
from sweeper.study.configurations import configurations
from sweeper.study.dropped import end_dropped
from sweeper.study.ledger import Ledger, open_storage
from sweeper.study.locks import among_others
from sweeper.study.plan import most_trials, plan_for, trials_of
from sweeper.study.pool import Pool
from sweeper.study.prepare import PreparedStudy, prepare
from sweeper.study.printed import print_results
from sweeper.study.progress import Progress, make_progress
from sweeper.study.pruning import make_pruner
from sweeper.study.result import StudyResult
from sweeper.study.retries import open_failed
from sweeper.study.runner import StudyRunner
from sweeper.study.space import seeds_of
from sweeper.tracked import NoTracker, Tracker
from sweeper.tracking import MlflowTracker

PATIENCE, HASTE = 5.0, 2.0  # seconds for tracking that does not get on; in all, where the sweep is being stopped


def run_studies(configs: Sequence[Config], console: Console, pool: Pool, trackers: ExitStack) -> list[StudyResult]:
    """Run the studies on this pool; see `start.run`.

    Args:
        trackers: closes each study's, once the pool has ended.
    """
    results: list[StudyResult] = []
    trials = most_trials(configs)
    for number, config in enumerate(configs):
        progress = make_progress(config.progress, console, later=epochs_of(configs[number + 1 :], after=configs[0]))
        tried = {record.key for earlier in results for record in earlier.records}
        result = _run_study(config, pool, progress, trackers, trials, tried)
        print_results(console, configurations(result.records), result.prepared.title)
        results.append(result)
    return results


def epochs_of(studies: Sequence[Config], after: Config) -> int:
    """Epochs that these studies train at most; 0 where only the minutes of a search would tell.

    A batch study takes one configuration over from the lr study before it, with all its seeds.
    """
    total = 0
    for config in studies:
        if (points := trials_of(config)) is None:
            return 0
        shared = config.study.name == "batch" and after.study.name == "lr" and len(config.study.batch_size or ()) > 1
        total += (points - shared * len(seeds_of(plain(config)) or [0])) * config.train.epochs
    return total


def _run_study(
    config: Config, pool: Pool, progress: Progress, trackers: ExitStack, trials: int, tried: Container[str]
) -> StudyResult:
    """One study.

    Args:
        trials: of the largest study of this command.
        tried: keys of the points that the studies before it have tried.
    """
    at_hand = Path(assets.encoder(config.model)).is_dir()
    if at_hand:  # the workers' imports take seconds, in which the data is prepared
        pool.start(plan_for(config, trials, pool.nodes))
    storage = open_storage(config.storage, Path(config.paths.runs))  # a wrong URL is told before the data is read
    prepared = prepare(
        plain(config), progress.note, pool.compute
    )  # finds out what is wrong with data or model, and says it
    plan = plan_for(config, trials, pool.nodes)
    open_failed(prepared.trials, [point for point in prepared.points.known if point.key not in tried], progress.note)
    pruner = make_pruner(prepared.config["prune"], config.train.epochs)
    ledger = Ledger(storage, prepared.study_id, prepared.lock, pruner, progress.note)
    tracker = make_tracker(config, prepared, progress, pool)
    trackers.push(_closing(tracker, progress))
    runner = StudyRunner(
        prepared,
        ledger,
        pool,
        plan,
        tracker,
        progress,
        retries=config.launcher.retries,
        keep_all=config.train.keep_weights == "all",
    )
    with among_others(prepared.present, lambda: end_dropped(prepared, ledger, runner.tracks, progress.note)):
        result = runner.run()
    if spent := prepared.points.spent:
        progress.note(f"the search has used {spent}")
    return result


def _closing(tracker: Tracker, progress: Progress) -> Callable[..., None]:
    """Deliver what is left to tracking, hastily where the sweep is being stopped; say so if something stays."""

    def close(kind: type[BaseException] | None, *_: object) -> None:
        if not (tracker.close(PATIENCE) if kind is None else tracker.close(HASTE, hasty=True)):
            progress.note("tracking: some of it was not delivered; the same command again delivers it.")

    return close


def make_tracker(config: Config, prepared: PreparedStudy, progress: Progress, pool: Pool) -> Tracker:
    """MLflow, or nothing where tracking is off. It begins when a worker trains: its imports take seconds too."""
    if config.tracking.name == "none":
        return NoTracker()
    return MlflowTracker(prepared.name, prepared.runs, config.tracking.uri, warn=progress.note, after=pool.at_work)
