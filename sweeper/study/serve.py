"""A worker: it is told tasks and says events, and knows nothing of Optuna and MLflow, nor who started it.

As a process of its own, tasks come in on standard input and events go out on standard output, one JSON line each.
When its standard input closes, its parent is gone and it ends at once, in the middle of a step: the trial's files
allow that at any moment. Whatever libraries print goes to standard error, which the parent sends to a log file, so
that the terminal stays clean. On a Ray cluster the same loop runs in an actor (`ray_workers.py`).
"""

import errno
import gc
import json
import os
import queue
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TextIO

STEP_EVENTS_A_SECOND = 4
VERDICT = "stop"  # key of the parent's answer to an epoch of a trial that others are compared with
FULL_OR_FORBIDDEN = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

OURS = Path(__file__).resolve().parents[1]  # warnings of ours are for people, those of libraries are not


class Inbox:
    """What a worker has been told and has not read yet."""

    def __init__(self) -> None:
        self.tasks: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self.verdicts: queue.Queue[bool] = queue.Queue()

    def put(self, said: Mapping[str, Any]) -> None:
        """A task as plain values, or the answer to an epoch."""
        if VERDICT in said:
            self.verdicts.put(said[VERDICT])
        else:
            self.tasks.put(said)


class Say(Protocol):
    """How a worker says an event: `say(event="epoch", key=..., epoch=...)`, values that JSON has."""

    def __call__(self, **event: Any) -> None: ...


def main() -> None:
    """Serve tasks until the parent closes the pipe."""
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    inbox = Inbox()
    threading.Thread(target=_listen, args=(inbox,), daemon=True).start()
    serve(inbox, partial(_send, events))


def serve(inbox: Inbox, say: Say) -> None:
    """Train what comes in, for ever.

    Args:
        inbox: filled by another thread.
        say: told of everything; called by this thread alone.
    """
    import_slow_libraries()
    say(event="ready")
    while True:
        _serve(inbox.tasks.get(), say, inbox.verdicts)


def import_slow_libraries() -> None:
    """Seconds of imports, done while the parent prepares the data.

    Garbage is not looked for meanwhile, and never among what is imported: a tenth of the time, and pages stay shared.
    """
    gc.disable()
    import transformers.models.bert.modeling_bert  # noqa: F401

    import sweeper.study.trial
    import sweeper.training.classifier
    import sweeper.training.loop  # noqa: F401

    gc.freeze()
    gc.enable()


def _listen(inbox: Inbox) -> None:
    for line in sys.stdin:
        inbox.put(json.loads(line))
    os._exit(0)


def _send(events: TextIO, **event: Any) -> None:
    try:
        events.write(json.dumps(event) + "\n")
    except BrokenPipeError:
        os._exit(0)


def _serve(plain: Mapping[str, Any], say: Say, verdicts: "queue.Queue[bool]") -> None:
    from dataclasses import asdict

    from sweeper.errors import UserError
    from sweeper.study.locks import Busy
    from sweeper.study.task import JUDGED, task_from
    from sweeper.study.trial import run_trial
    from sweeper.training.metrics import EpochMetrics

    task = task_from(plain)
    key = task.key
    last = 0.0

    def on_epoch(epoch: EpochMetrics) -> bool:
        say(event="epoch", key=key, epoch=asdict(epoch))
        return task.prune in JUDGED and verdicts.get()

    def on_step(step: int, steps: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 1 / STEP_EVENTS_A_SECOND:
            last = now
            say(event="step", key=key, step=step, steps=steps)

    def on_warning(message: Warning | str, category: type[Warning], filename: str, *where: Any, **more: Any) -> None:
        if Path(filename).is_relative_to(OURS):
            say(event="note", key=key, text=str(message))
        else:
            _log(warnings.formatwarning(message, category, filename, *where[:1]))

    warnings.showwarning = on_warning
    try:
        run_trial(task, on_epoch, on_step)
        say(event="ended", key=key)
    except Busy:
        say(event="busy", key=key)
    except UserError as error:
        say(event="error", key=key, kind="user", reason=str(error))
    except Exception as error:
        _log(traceback.format_exc())
        say(event="error", key=key, kind=_kind(error), reason=f"{type(error).__name__}: {error}")


def _log(text: str) -> None:
    """Write to the log; that its disk is full shall be told to the parent, not end this process."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _kind(error: Exception) -> str:
    """`disk` stops the sweep, `memory` is tried again in smaller pieces, `passing` is tried again."""
    if isinstance(error, OSError) and error.errno in FULL_OR_FORBIDDEN:
        return "disk"
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return "memory"
    return "passing"


if __name__ == "__main__":
    main()
