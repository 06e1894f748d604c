"""`python -m tests.faults`: put every fault into sweeps, and write what was survived to RESULTS.md.

python -m tests.faults                    all of them, two sweeps at a time
python -m tests.faults --only MLflow      those whose name holds this; prints and writes nothing
python -m tests.faults --only MLflow --write    and puts their rows in the place of those in RESULTS.md
"""

import argparse
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import tests.faults.pruned
import tests.faults.stopping
import tests.faults.tracking  # noqa: F401  these enter their faults
from tests.faults.kills import Killer, Outcome, every_kill
from tests.faults.left import differences
from tests.faults.others import FAULTS, Bench, Skipped
from tests.faults.sweep import Inputs, Lost, Sweep

RESULTS = Path(__file__).parent / "RESULTS.md"
ROW = re.compile(r"^\| (.+) \| ([^|]+) \| (\d+) \| (\d+) \|$")
KILLED, OTHER = "killed at", "other fault"
HEAD = """# What a sweep survives

Written by `python -m tests.faults` (`make faults`). Each try drives the real command line over a grid of
three points and three epochs, puts the fault in, gives the same command again until it ends by itself, and
compares with an undisturbed sweep: every record and curve without its times, every kept file's hash, every
run, parameter, metric and step in MLflow, every trial in Optuna; and counts the epochs that were trained
again. Kills are SIGKILL and SIGTERM, with one worker and with four, of a worker, of the parent or of all
processes at once. `--only NAME --write` tries faults again and puts their rows in the place of the old ones.
"""


def main() -> int:
    """Run the command line and give its exit code: 1 where something was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="faults whose name holds this text")
    parser.add_argument("--jobs", type=int, default=2, help="sweeps at a time (default: 2)")
    parser.add_argument("--write", action="store_true", help="with --only: put these rows into RESULTS.md")
    options = parser.parse_args()
    # A shell that starts this in the background has SIGINT ignored, and every process below would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="faults-"))
    undisturbed = undisturbed_sweep(folder)
    killer = Killer(folder / "kills", Inputs(folder / "encoder", folder / "rows.csv"), undisturbed, say)
    kills = killer.try_all([kill for kill in every_kill() if options.only in kill.point], options.jobs)
    others = try_others(folder, undisturbed, options.only, options.jobs)
    lost = any(outcome.lost for outcome in [*kills.values(), *others.values()])
    minutes = (time.monotonic() - started) / 60
    if options.write:
        before = recorded(RESULTS.read_text(encoding="utf-8"))
        kills, others, minutes = before[0] | kills, before[1] | others, before[2] + minutes
    table = report(kills, others, minutes)
    print(table)
    if options.write or not options.only:
        RESULTS.write_text(table, encoding="utf-8")
    if not lost:
        shutil.rmtree(folder)
    return int(lost)


def undisturbed_sweep(folder: Path) -> Mapping[str, Any]:
    """Make the inputs; what a sweep leaves that nothing befalls, with one worker as with four."""
    inputs = Inputs.make(folder)
    left = []
    for workers in (1, 4):
        sweep = Sweep(folder / f"undisturbed-{workers}", inputs, workers=workers)
        sweep.finish()
        left.append(sweep.left())
    different = list(differences(*left))
    if different:
        raise Lost(f"four workers give something else than one: {different[:6]}")
    return left[0]


def try_others(folder: Path, undisturbed: Mapping[str, Any], only: str, jobs: int) -> dict[str, Outcome]:
    """Try the faults that are no kills, once each; one that cannot be tried here is counted as not tried."""
    inputs = Inputs(folder / "encoder", folder / "rows.csv")

    def one(name: str) -> tuple[str, Outcome]:
        place = folder / "others" / str(list(FAULTS).index(name))
        try:
            FAULTS[name](Bench(place, inputs, undisturbed))
        except Skipped as why:
            say(f"skipped: {name}: {why}")
            return name, Outcome(skipped=str(why))
        except Exception as error:  # a broken harness is no survival
            say(f"LOST in {place}: {name}: {error!r}")
            return name, Outcome(1, 0, [str(error)])
        say(f"survived: {name}")
        shutil.rmtree(place)
        return name, Outcome(1, 1)

    with ThreadPoolExecutor(jobs) as pool:
        return dict(pool.map(one, [name for name in FAULTS if only in name]))


def recorded(table: str) -> tuple[dict[str, Outcome], dict[str, Outcome], float]:
    """What `report` was given for a table: kills, other faults, minutes."""
    kills, _, others = table.partition(f"| {OTHER} |")
    whys = re.findall(r"^- (.+?): (.+)$", table, re.MULTILINE)
    found: list[dict[str, Outcome]] = []
    for part in (kills, others):
        rows = [match.groups() for line in part.splitlines() if (match := ROW.match(line))]
        found.append({
            name: Outcome(int(tried), int(survived), [why for whose, why in whys if whose == name])
            if tried.isdigit() else Outcome(skipped=tried)
            for name, tried, survived, _ in rows
        })  # fmt: skip
    minutes = re.search(r" in (\d+) min: ", table)
    return found[0], found[1], float(minutes[1]) if minutes else 0.0


def report(kills: Mapping[str, Outcome], others: Mapping[str, Outcome], minutes: float) -> str:
    """The table as Markdown."""
    every = [*kills.values(), *others.values()]
    totals = [sum(one.tried for one in every), sum(one.survived for one in every), sum(len(one.lost) for one in every)]
    lines = [
        HEAD,
        f"{totals[0]} tries at {len(kills)} kill points and with {len(others)} other faults in {minutes:.0f} min: "
        f"{totals[1]} survived, {totals[2]} lost.\n",
    ]
    for title, outcomes in ((KILLED, kills), (OTHER, others)):
        lines += [f"| {title} | times tried | survived | lost |", "|---|--:|--:|--:|"]
        for name, one in outcomes.items():
            lines.append(f"| {name} | {one.skipped or one.tried} | {one.survived} | {len(one.lost)} |")
        lines.append("")
    lost = [f"- {name}: {' '.join(why.split())}" for name, one in (*kills.items(), *others.items()) for why in one.lost]
    return "\n".join([*lines, *(["Lost:", "", *lost, ""] if lost else [])])


def say(text: str) -> None:
    """One line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
