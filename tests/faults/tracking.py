"""Faults of what sweeps are shown on: an MLflow server that is stopped or hangs, a locked database."""

import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from tests.faults.others import Bench, demand, fault
from tests.faults.servers import MlflowServer
from tests.faults.sweep import Sweep, until

IN_TIME = 90.0  # seconds that a sweep without a server may take on a busy machine; a start takes up to 30


@contextmanager
def served(bench: Bench) -> Iterator[tuple[MlflowServer, Sweep]]:
    """A server, and a sweep that is shown on it."""
    server = MlflowServer(bench.folder / "server")
    server.start()
    try:
        yield server, bench.sweep(more=[f"tracking.uri={server.uri}"])
    finally:
        server.stop()


def away(bench: Bench, leave: Callable[[MlflowServer], None], back: Callable[[MlflowServer], None]) -> None:
    """The server goes away in the second epoch; the sweep ends all the same, and says so; later all is there."""
    with served(bench) as (server, sweep):
        process = sweep.start()
        until(lambda: sweep.epochs_begun() >= 2, "no second epoch")
        leave(server)
        code = sweep.wait(process, IN_TIME)
        demand(code == 0, f"a sweep without its server ends with code {code}", sweep)
        demand("not delivered" in sweep.output(), "it was not said that tracking is behind", sweep)
        back(server)
        sweep.finish()
        bench.check(sweep, database=server.database, artifacts=server.artifacts)


@fault("MLflow server stopped until the sweep has ended")
def stopped(bench: Bench) -> None:
    away(bench, lambda server: server.stop(), lambda server: server.start())


@fault("MLflow server hangs until the sweep has ended")
def hangs(bench: Bench) -> None:
    away(bench, lambda server: server.signal(signal.SIGSTOP), lambda server: server.signal(signal.SIGCONT))


@fault("MLflow server started after the sweep")
def late(bench: Bench) -> None:
    with served(bench) as (server, sweep):
        server.stop()
        process = sweep.start()
        until(lambda: sweep.epochs_begun() >= 1, "no epoch")
        server.start()
        demand(sweep.wait(process) == 0, "a sweep without its server fails", sweep)
        sweep.finish()
        bench.check(sweep, database=server.database, artifacts=server.artifacts)


@fault("MLflow's database locked by another program")
def locked(bench: Bench) -> None:
    sweep = bench.sweep()
    process = sweep.start()
    until(lambda: sweep.epochs_begun() >= 1 and (sweep.runs / "mlflow.db").exists(), "no database")
    holder = threading.Thread(target=_hold, args=(sweep, 8.0))
    holder.start()
    demand(sweep.wait(process) == 0, "a locked database ends the sweep", sweep)
    holder.join()
    sweep.finish()
    bench.check(sweep)


def _hold(sweep: Sweep, seconds: float) -> None:
    with closing(sqlite3.connect(sweep.runs / "mlflow.db", timeout=30)) as database:
        database.execute("begin exclusive")
        time.sleep(seconds)
        database.rollback()
