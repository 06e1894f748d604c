"""How a command begins: the workers' imports before ours, since both take seconds.

Importing torch and transformers takes a worker 9 s of a slow processor, and what the parent needs takes it 3 s. So
workers are started first, from modules that import nothing slow themselves, and one core is left to the parent: as many
workers as the other cores can take begin at once, the rest when the parent has its imports done.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper import assets
from sweeper.config import Config
from sweeper.errors import UserError
from sweeper.launcher import LOCAL
from sweeper.study.folders import check_writable
from sweeper.study.plan import most_trials, plan_for
from sweeper.study.pool import Pool
from sweeper.study.workers import ProcessPool, cores

if TYPE_CHECKING:
    from rich.console import Console

    from sweeper.study.result import StudyResult


def run(configs: Sequence[Config], console: "Console") -> "list[StudyResult]":
    """Run the studies in this order and print each one's table.

    Args:
        configs: one a study; a later one may need what an earlier one found (`batch` after `lr`).

    Raises:
        UserError: a study cannot be run as configured. Studies before it are complete.
    """
    check_writable(Path(configs[0].paths.runs))
    with ExitStack() as trackers, make_pool(configs[0]) as pool:  # the pool ends first: nothing trains on meanwhile
        begin(pool, configs)
        from sweeper.study.sweep import run_studies  # seconds of imports

        return run_studies(configs, console, pool, trackers)


def make_pool(config: Config) -> Pool:
    """Whoever the launcher says, without any worker yet.

    Raises:
        UserError: Ray is not installed.
    """
    logs = Path(config.paths.runs) / "logs"
    if config.launcher.name == LOCAL:
        return ProcessPool(logs)
    try:
        from sweeper.study.ray_workers import RayPool
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UserError(
            "launcher=ray: needs Ray, which is not installed: python -m pip install -e '.[ray]' in sweeper's checkout"
        ) from None
    return RayPool(logs, config.launcher, config.model)


def begin(pool: Pool, configs: Sequence[Config]) -> None:
    """Start the workers that the parent's imports leave a core to; none for an encoder that is not at hand yet."""
    if Path(assets.encoder(configs[0].model)).is_dir():
        plan = plan_for(configs[0], most_trials(configs), pool.nodes)
        pool.start(plan, at_first=max(1, cores() // plan.threads - 1))
