"""`python -m sweeper.report`: one HTML page of an experiment, to read, to show and to print.

It reads what sweeps and `best` left under `paths.runs`, trains a TF-IDF baseline in seconds, and never looks at
the test split itself: what it shows of it, `best` wrote.
"""

import argparse
import datetime
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper import cli
from sweeper.errors import UserError

if TYPE_CHECKING:  # imported when needed, so that --help answers at once
    from sweeper.reporting.evidence import Evidence

EXPERIMENTS = "experiments"
SHOWN = ("model", "head", "data", "optimizer", "schedule", "train", "overfitting", "prune")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code.

    Raises:
        UserError: there is nothing to report on, or the page cannot be written.
    """
    parser = argparse.ArgumentParser(prog="python -m sweeper.report", description="One HTML page of an experiment.")
    parser.add_argument("--experiment", help="default: the one worked on last")
    parser.add_argument("--runs", default="runs", type=Path, help="paths.runs of the sweep (default: runs)")
    parser.add_argument("--output", type=Path, help="default: runs/<experiment>/report.html")
    parser.add_argument(
        "--baseline", action=argparse.BooleanOptionalAction, default=None,
        help="train TF-IDF with logistic regression for comparison (default: up to 100,000 training rows)",
    )  # fmt: skip
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the figures as JSON too: result.json")
    options = parser.parse_args(arguments)
    path = make_report(
        options.runs, options.experiment, options.output, baseline=options.baseline, record=options.record,
        say=lambda line: print(line, file=sys.stderr),
    )  # fmt: skip
    print(path)
    return 0


def make_report(
    runs: Path,
    experiment: str | None = None,
    output: Path | None = None,
    *,
    baseline: bool | None = None,
    record: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the page and give its path.

    Args:
        runs: `paths.runs` of the sweep.
        experiment: its name; None takes the one worked on last.
        output: default `<runs>/<experiment>/report.html`.
        baseline: False: without; True: however many rows; None: up to 100,000 training rows.
        record: where to write the figures as JSON (`sweeper.reporting.result`); None: nowhere.
        say: told what takes seconds.

    Raises:
        UserError: there is no finished trial, or the page cannot be written.
    """
    from sweeper.reporting.baseline import find_baseline
    from sweeper.reporting.evidence import gather
    from sweeper.reporting.page import render
    from sweeper.reporting.words import verdict
    from sweeper.study.latest import experiments

    name = experiment or next(iter(experiments(runs)), None)
    if name is None:
        raise UserError(f"{runs}: there is no finished trial in this folder. Run `make sweep` first.")
    evidence = gather(runs, name, [Path(EXPERIMENTS), Path(__file__).parent.parent / EXPERIMENTS])
    simple = None if evidence.corpus is None else find_baseline(evidence.corpus, evidence.folder, baseline, say)
    for line in verdict(evidence, simple):
        say(line)
    page = render(evidence, simple, {"facts": _facts(evidence), "config": _settings(evidence)})
    path = output or runs / name / "report.html"
    _write(path, page, "--output")
    if record is not None:
        from sweeper.reporting.result import make_result

        values = make_result(evidence, simple)
        _write(record, json.dumps(values, ensure_ascii=False, allow_nan=False, indent=1) + "\n", "--record")
    return path


def _write(path: Path, page: str, option: str) -> None:
    """Written aside and renamed: a page that is there is whole."""
    from sweeper.training.checkpoint import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page.encode("utf-8", errors="replace"))
    except OSError as error:
        raise UserError(
            f"{option} {path}: cannot be written ({error.strerror}). Free some space or name another file."
        ) from None


def _facts(evidence: "Evidence") -> dict[str, str]:
    """How trials and page were made."""
    from sweeper.study.versions import versions

    first = evidence.records[0]
    recorded = any(name.startswith("version.") for name in first.tags)
    known = first.tags if recorded else versions()
    libraries = [f"{name.removeprefix('version.')} {value}" for name, value in known.items() if "version." in name]
    of = "" if recorded else " of this page"
    return {
        "Page made": datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        "Encoder": _each(one.config["model"] for one in evidence.records),
        "Trials": f"{len(evidence.records)} on data {first.data[:12]}",
        "Device": _each(f"{one.device}, {one.precision}, {one.threads} thread(s) a trial" for one in evidence.records),
        "Seed": _each(one.config["train"]["seed"] for one in evidence.records),
        f"Libraries{of}": ", ".join(libraries),
        f"Commit{of}": known.get("git.commit", "not a git checkout"),
    }


def _each(values: Iterable[object]) -> str:
    """The distinct values, the best trial's first."""
    return "; ".join(dict.fromkeys(map(str, values)))


def _settings(evidence: "Evidence") -> Mapping[str, Any]:
    """The first trial's configuration, without storage, tracking and folders."""
    config = evidence.records[0].config
    return {section: config[section] for section in SHOWN if section in config}


if __name__ == "__main__":
    cli.run(main)
