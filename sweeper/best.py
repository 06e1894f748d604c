"""`python -m sweeper.best`: the winner of an experiment, its one test, and its export."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from sweeper import cli

DEFAULT = ""  # --export without a folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code.

    Raises:
        UserError: there is no winner, or it cannot be tested or exported.
    """
    given = _parse(arguments)
    from sweeper.winner.choice import Winner, choose  # torch: not for --help

    best = Winner(choose(Path(given.runs), given.experiment), _note)
    target = _target(given, best.choice.exports / best.choice.name)
    frozen = target is not None and best.is_frozen_in(target)
    if target is not None and not frozen:
        from sweeper.export import check_target

        check_target(target)  # before the test split is read
    if not given.json:
        from sweeper.winner.printed import show

        show(best, trials=given.trials)
    if target is not None and frozen:
        _note(f"{target} already holds this winner")
    elif target is not None:
        best.export(target)
        _note(f"Exported to {target}")
    if target is not None and given.push:
        from sweeper.winner.publishing import push

        _note(f"Pushed to {push(target, given.push, public=given.public)}")
    if target is not None and given.register:
        from sweeper.winner.publishing import register

        _note(f"Registered as version {register(best.choice.winner, target, given.register, best.choice.runs)}")
    if given.json:
        print(json.dumps(best.summary() | {"export": None if target is None else str(target)}, ensure_ascii=False))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sweeper.best",
        description="The winner of an experiment: its trials, its test report and, with --export, its model folder.",
    )
    add = parser.add_argument
    add("--experiment", metavar="NAME", help="default: the one trained last")
    add("--runs", default="runs", metavar="DIR", help="where the trials are (paths.runs)")
    add("--exports", metavar="DIR", help="where exports go (default: the sweep's paths.exports)")
    add("--export", nargs="?", const=DEFAULT, metavar="DIR", help="freeze the winner; default: EXPORTS/NAME")
    add("--trials", action="store_true", help="a row for every trial, where configurations have several seeds")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    add("--push", metavar="USER/NAME", help="upload the export to the Hugging Face hub, private unless --public")
    add("--public", action="store_true", help="with --push: everybody may download it")
    add("--register", metavar="NAME", help="put the export into the MLflow model registry")
    given = parser.parse_args(arguments)
    if given.public and not given.push:
        parser.error("--public needs --push USER/NAME")
    if "=" in Path(given.export or "").name:
        parser.error(f"--export {given.export}: a setting, not a folder; this command takes --runs DIR, --exports DIR")
    return given


def _target(given: argparse.Namespace, usual: Path) -> Path | None:
    """The export's folder; pushing and registering need one too."""
    if given.export is None and not given.push and not given.register:
        return None
    if given.export:
        return Path(given.export)
    return Path(given.exports) / usual.name if given.exports else usual


def _note(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    cli.run(main)
