"""Sweeps that somebody stops, and sweeps that are not alone."""

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.left import differences, mlflow_runs, optuna_trials
from tests.faults.others import Bench, demand, fault
from tests.faults.sweep import EPOCHS, Sweep, until

TERMINATED = (130, 143)  # like Ctrl-C, or 128 + SIGTERM as schedulers expect
LEAVES_WITHIN = 30.0


def stop(bench: Bench, sweep: Sweep, number: int, codes: Sequence[int]) -> None:
    """A signal in the middle of the second epoch: it leaves in time, with its workers, and goes on later."""
    process = sweep.start()
    until(lambda: sweep.epochs_begun() >= 2, "no second epoch")
    asked = time.monotonic()
    process.send_signal(number)
    code = sweep.wait(process, LEAVES_WITHIN)
    demand(code in codes, f"left with code {code} after {time.monotonic() - asked:.0f} s", sweep)
    demand("Traceback" not in sweep.output(), "a traceback", sweep)
    until(lambda: not at_work(sweep), "workers that outlive their parent", 10)
    sweep.arrange([])
    sweep.finish()
    bench.check(sweep, again=1)


def at_work(sweep: Sweep) -> list[int]:
    """Processes whose working folder is the sweep's."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == sweep.folder.resolve():
                found.append(int(link.parent.name))
        except OSError:
            continue
    return found


@fault("SIGTERM from a scheduler")
def scheduler(bench: Bench) -> None:
    stop(bench, bench.sweep(), signal.SIGTERM, TERMINATED)


@fault("SIGTERM from a scheduler while tracking is slow")
def scheduler_and_slow_tracking(bench: Bench) -> None:
    slow = {"point": "MLflow told of some epochs", "do": "sleep", "seconds": 3}
    stop(bench, bench.sweep(faults=[slow]), signal.SIGTERM, TERMINATED)


@fault("Ctrl-C")
def interrupt(bench: Bench) -> None:
    stop(bench, bench.sweep(), signal.SIGINT, [130])


@fault("a point taken off the list after a kill, and put back")
def taken_off(bench: Bench) -> None:
    """It is open nowhere while it is off the list, and goes on from its last epoch when it is back."""
    sweep = bench.sweep(faults=[{"point": "state saved", "nth": 5, "do": "kill", "signal": 9, "whom": "all"}])
    sweep.run()
    demand(sweep.struck() == 1, "the second trial was not cut off", sweep)
    whole, sweep.arguments = sweep.arguments, [*sweep.arguments, "study.lr=[3e-2,1e30]"]
    sweep.finish()
    demand("no longer in the lr study's list" in sweep.output(), "it was not said", sweep)
    found = sorted(one["state"] for one in optuna_trials(sweep.runs).values())
    demand(found == ["COMPLETE", "FAIL", "FAIL"], f"Optuna's trials are left {found}", sweep)
    runs = sorted(run["status"] for run in mlflow_runs(f"sqlite:///{sweep.runs / 'mlflow.db'}").values())
    demand(runs == ["FINISHED", "FINISHED", "FINISHED", "KILLED"], f"MLflow's runs are left {runs}", sweep)
    sweep.arguments = whole
    sweep.finish()
    left = sweep.left()
    for again in [name for name in left["optuna"] if name.endswith(" again")]:  # beside the one that was let go
        left["optuna"][again.removesuffix(" again")] = left["optuna"].pop(again)
    listed = "/mlflow/lr/params/study.lr"  # of the start that told MLflow first: its parameters cannot be changed
    different = [one for one in differences(bench.undisturbed, left) if not one.startswith(listed)]
    demand(not different, f"put back, it ends otherwise: {different[:6]}", sweep)
    demand(sweep.epochs_begun() == EPOCHS, f"{sweep.epochs_begun()} epochs were begun", sweep)


@fault("two sweeps started together")
def together(bench: Bench) -> None:
    first, second = company(bench)
    for sweep, process in (first, second):
        demand(sweep.wait(process) == 0, "one of two ended with an error", sweep)
    first[0].finish()
    bench.check(first[0], again=-second[0].epochs_begun())


@fault("two sweeps started together, one killed")
def together_and_killed(bench: Bench) -> None:
    (first, lives), (second, dies) = company(bench)
    until(lambda: second.epochs_begun() + first.epochs_begun() >= 3, "no third epoch")
    dies.kill()
    dies.wait()
    demand(first.wait(lives) == 0, "the one left alone ended with an error", first)
    first.finish()
    bench.check(first, again=1 - second.epochs_begun())


def company(bench: Bench) -> list[tuple[Sweep, "subprocess.Popen[bytes]"]]:
    """Two sweeps over the same `runs/`, started at the same moment."""
    sweeps = [bench.sweep(name) for name in ("one", "two")]
    (bench.folder / "shared").mkdir()
    for sweep in sweeps:
        sweep.runs.symlink_to(bench.folder / "shared")
    return [(sweep, sweep.start()) for sweep in sweeps]
