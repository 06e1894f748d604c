"""A queue that never makes its caller wait: operations are done in order on a thread of their own.

What fails is done again with growing pauses until it works, so whatever stands behind it waits too and
order is kept. Nothing is stored on disk: an operation must be safe to repeat, and whoever queued it
repeats it at the next start if the process ended first. An operation that is refused (`hopeless`)
a few times over is dropped with a warning, so that it does not hold up the rest.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Literal

FIRST_PAUSE = 0.25  # seconds before the first repetition; doubles up to LONGEST_PAUSE
LONGEST_PAUSE = 15.0
LOOK = 0.1  # seconds between two looks whether a held outbox was closed
TRIES_OF_THE_HOPELESS = 3  # a refusal may come from two writers in each other's way

Operation = Callable[[], object]
Trouble = Literal["behind", "again", "dropped"]


class Outbox:
    """Operations waiting to be done elsewhere.

    Args:
        hopeless: says of an error that repeating will not help.
        notice: told when delivery falls behind (once each time), works again, or drops an operation; the
            second argument is the error, None for "again". Called on the outbox's thread.
        patient: whether operations that take their time are waited for at the end as long as they have not
            failed. For what is on this machine: it may be slow, but it is never away.
        after: the first operation waits until this is set, or the outbox is closed.
    """

    def __init__(
        self,
        hopeless: Callable[[Exception], bool],
        notice: Callable[[Trouble, Exception | None], None],
        patient: bool = False,
        after: threading.Event | None = None,
    ) -> None:
        self._hopeless = hopeless
        self._notice = notice
        self._waiting: queue.SimpleQueue[tuple[Operation, bool] | None] = queue.SimpleQueue()
        self._closing, self._given_up = threading.Event(), threading.Event()
        self._after = after
        self._thread: threading.Thread | None = None
        self._progress = time.monotonic()
        self._dropped = 0
        self._patient, self._patient_now, self._failing = patient, True, False
        self._has_begun = False

    def put(self, operation: Operation, patient: bool = False) -> None:
        """Queue an operation and return at once. Starts the thread at first use.

        Args:
            patient: as the outbox's, for this operation alone.
        """
        if self._closing.is_set():
            raise RuntimeError("the outbox is closed")
        self._waiting.put((operation, patient or self._patient))
        if self._thread is None:
            self._progress = time.monotonic()
            self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
            self._thread.start()

    def close(self, timeout: float, at_most: float, *, hasty: bool = False) -> bool:
        """Wait for what is queued, as long as it moves.

        Args:
            timeout: seconds without one operation done after which the rest is given up.
            at_most: seconds to wait even if it moves, counted from when the first operation was done.
            hasty: give up `timeout` seconds from now, whatever moves or is waited for with patience.

        Returns:
            Whether everything that was ever queued has been done. Later calls say the same again.
        """
        if not self._closing.is_set():
            self._closing.set()
            self._waiting.put(None)
        start = began = time.monotonic()
        while self._thread is not None and self._thread.is_alive():
            now = time.monotonic()
            start = start if self._has_begun or self._failing else now
            idle = 0.0 if self._patient_now and not self._failing else now - max(self._progress, start)
            if idle > timeout or now - start > at_most or (hasty and now - began > timeout):
                self._given_up.set()  # nobody is told any more, so nothing goes on knocking
                return False
            self._thread.join(0.02)
        return self._dropped == 0 and not self._given_up.is_set()

    def _work(self) -> None:
        while self._after is not None and not self._after.wait(LOOK) and not self._closing.is_set():
            pass
        while (entry := self._waiting.get()) is not None:
            operation, self._patient_now = entry
            self._has_begun = self._has_begun or not self._patient_now  # a patient first one: slow imports
            self._deliver(operation)
            self._progress, self._has_begun = time.monotonic(), True

    def _deliver(self, operation: Operation) -> None:
        pause, behind, refused = FIRST_PAUSE, False, 0
        while not self._given_up.is_set():
            try:
                operation()
            except Exception as error:
                self._failing = True
                refused += self._hopeless(error)
                if refused == TRIES_OF_THE_HOPELESS:
                    self._dropped += 1
                    return self._notice("dropped", error)
                if not refused and not behind:
                    behind = True
                    self._notice("behind", error)
            else:
                self._failing = False
                return self._notice("again", None) if behind else None
            self._given_up.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
