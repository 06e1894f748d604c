"""`python -m sweeper`: compose the configuration, run its studies, say who won and what to do next."""

import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from sweeper import cli
from sweeper.config import Config, compose_studies, from_plain, help_text, plain
from sweeper.errors import UserError

if TYPE_CHECKING:  # imported when needed, so that --help and a mistyped key answer at once
    from rich.console import Console

    from sweeper.study.result import StudyResult

SHOW_CONFIG, FROZEN = "--cfg", "--config"
HELP = ("-h", "--help", "help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code.

    Raises:
        UserError: the configuration, the data or a folder cannot be used.
    """
    overrides = list(sys.argv[1:] if arguments is None else arguments)
    if any(argument in HELP for argument in overrides):
        print(help_text())
        return 0
    chosen = [override for override in overrides if override != SHOW_CONFIG]
    configs = frozen(chosen) if FROZEN in chosen else compose_studies(chosen)
    return show(configs) if SHOW_CONFIG in overrides else run(configs)


def frozen(arguments: Sequence[str]) -> list[Config]:
    """The configuration of a frozen winner: `--config exports/NAME/config.yaml`.

    Raises:
        UserError: the file cannot be read, or holds no configuration; or other arguments are given.
    """
    import yaml

    if len(arguments) != 2 or arguments[0] != FROZEN:
        raise UserError(
            f"{FROZEN} takes the file of a frozen winner and nothing else: {FROZEN} exports/NAME/config.yaml"
        )
    try:
        values = yaml.safe_load(Path(arguments[1]).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{FROZEN} {arguments[1]}: cannot be read ({error})") from None
    if not isinstance(values, dict):
        raise UserError(f"{FROZEN} {arguments[1]}: holds no configuration; expected keys such as `model` and `data`")
    return [from_plain(values)]


def show(configs: Sequence[Config]) -> int:
    """Print the composed configurations as YAML, passwords left out."""
    import yaml

    texts = [yaml.safe_dump(plain(config), allow_unicode=True, sort_keys=False) for config in configs]
    print("---\n".join(texts), end="")
    return 0


def run(configs: Sequence[Config]) -> int:
    """Run the studies; 1 if one of them ended without a winner."""
    from rich.console import Console

    console = Console()
    console.print(opening(configs), markup=False, highlight=False, soft_wrap=True)
    from sweeper.study import start

    signal.signal(signal.SIGTERM, _leave)
    try:
        results = start.run(configs, console)
    except KeyboardInterrupt:
        console.print("Stopped. Every finished epoch is on disk: run the same command again to go on.")
        raise
    print_winner(console, results)
    return 0 if all(result.winner for result in results) else 1


def opening(configs: Sequence[Config]) -> str:
    """What is about to happen: said before the first slow import."""
    studies = ", then ".join(f"{config.study.name} study" for config in configs)
    return f"{configs[0].name}: {studies}."


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """A scheduler's SIGTERM ends like Ctrl-C: nothing needs saving, since every finished epoch is on disk."""
    raise cli.Terminated


def print_winner(console: "Console", results: "Sequence[StudyResult]") -> None:
    """The winner of all studies just run, and the commands that come next."""
    from sweeper.study.configurations import has_seeds
    from sweeper.study.result import together
    from sweeper.study.seeds_table import winner_lines

    ranked, name = together(results), results[-1].prepared.name
    if not ranked[0].scores:
        reasons = {record.reason for result in results for record in result.records if record.reason}
        console.print(f"No trial of {name} is complete: {'; '.join(sorted(reasons))}", markup=False)
        return
    runs = results[-1].prepared.runs
    of = f"--experiment {name}" if runs == Path("runs") else f"--experiment {name} --runs {shlex.quote(str(runs))}"
    python = Path(sys.executable)
    python = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    lines = [
        *winner_lines(ranked),
        "Next:",
        f"  {python} -m sweeper.report {of}          # a page that says how sure this is",
        f"  {python} -m sweeper.best {of} --export   # test it once and freeze it",
    ]
    if has_seeds(ranked):
        lines.append(f"  {python} -m sweeper.status {of} --trials   # every trial of every seed")
    if runs == Path("runs"):  # where make ui looks
        lines.append(f"  {'make ui':<{len(lines[-1].partition('#')[0]) - 2}}# every run in MLflow")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def command() -> NoReturn:
    """The installed `sweeper` command."""
    cli.run(main)


if __name__ == "__main__":
    command()
