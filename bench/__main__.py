"""`python -m bench`: every case, its sides in turn (A B A B …), a table, and a JSON line a case.

Each measurement is a fresh process with the same encoder weights, rows, epochs, precision and processors; a
round has one seed for all sides. A case whose sides did not train the same thing is marked void.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.cases import QUICK, Case, Side, Sizes, all_cases
from bench.child import measure
from bench.machine import BUSY, cores, describe, load
from bench.materials import NSMC, check_nsmc
from bench.publish import RESULTS, write_json
from bench.results import result_of, rows_of
from bench.summary import write_page
from sweeper import cli
from sweeper.errors import UserError

Found = dict[str, list[dict[str, Any]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 1 if a comparison is void.

    Raises:
        UserError: an unknown case, or NSMC is not there.
    """
    given = parse(arguments)
    threads = given.threads or cores()
    machine = describe(threads, given.device)
    busy = machine["load_at_start"]
    if busy is not None and busy > BUSY:
        _say(f"other processes run on this machine (load {busy}): these figures are not to be quoted")
    results = []
    with TemporaryDirectory(prefix="bench-") as folder:
        work, sizes = Path(folder), QUICK if given.quick else Sizes()
        cases = choose(all_cases(work, sizes, given.precision, given.device), given.case)
        nsmc = str(check_nsmc(given.nsmc)) if any(case.needs_nsmc for case in cases) else None
        measure("materials:prepare", {"work": folder, "nsmc": nsmc, "sizes": asdict(sizes)}, threads)
        for _, group in groupby(cases, lambda case: case.group or case.name):
            together = list(group)
            found = run_together(together, given.rounds, threads)
            for case in together:
                results.append(result_of(case, found, {**machine, "load_at_end": load()}, given.precision))
                if given.results is not None:
                    write_json(results[-1], given.results / f"{case.name}.json")
                    write_page(given.results)
    print("\n" + rows_of(results))
    for result in results:
        print(json.dumps(result, ensure_ascii=False))
    return 0 if all(result["valid"] for result in results) else 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; `results` is None for a quick run, which proves nothing."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure sweeper against transformers.")
    add = parser.add_argument
    add("--case", action="append", metavar="NAME", help="run this case alone; may be repeated")
    add("--rounds", type=int, metavar="N", help="measurements of each side (default 2, of prediction 3)")
    add("--quick", action="store_true", help="tiny sizes, to see that everything runs; writes no results")
    add("--nsmc", type=Path, default=NSMC, metavar="FOLDER", help="with ratings_train.txt and ratings_test.txt")
    add("--threads", type=int, metavar="N", help="processors of each measurement (default: all)")
    add("--precision", choices=("float32", "bf16"), default="float32", help="of both sides")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--results", type=Path, metavar="FOLDER", help="for one JSON file a case (default: bench/results)")
    given = parser.parse_args(arguments)
    if given.results is None and not given.quick:
        given.results = RESULTS
    if any(number is not None and number < 1 for number in (given.rounds, given.threads)):
        raise UserError("--rounds and --threads take a whole number above 0")
    return given


def choose(cases: Sequence[Case], names: Sequence[str] | None) -> list[Case]:
    """The named cases in their own order; all where none is named.

    Raises:
        UserError: there is no such case.
    """
    known = [case.name for case in cases]
    for name in names or ():
        if name not in known:
            raise UserError(f"--case {name}: there is no such case; the cases are {', '.join(known)}")
    return [case for case in cases if not names or case.name in names]


def run_together(cases: Sequence[Case], rounds: int | None, threads: int) -> Found:
    """Measure every side of some cases in turn, round after round.

    Returns:
        Measurements by side, one a round.
    """
    sides: dict[str, Side] = {side.name: side for case in cases for side in case.sides}
    found: Found = {name: [] for name in sides}
    for seed in range(rounds or cases[0].rounds):
        for name, side in sides.items():
            started = time.monotonic()
            found[name].append(measure(side.function, {**side.job, "seed": seed}, threads))
            _say(
                f"{'+'.join(case.name for case in cases)}, round {seed + 1}, {name}: "
                f"{found[name][-1]['seconds']:.2f} s (process {time.monotonic() - started:.0f} s)"
            )
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    cli.run(main)
