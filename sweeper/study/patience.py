"""Waiting for a storage that is away for a while: a database server that restarts takes some seconds.

The connection may be lost when a change has been made but not yet confirmed, so whatever is done
patiently looks at what there is before it adds something.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from optuna.exceptions import StorageInternalError

from sweeper.errors import UserError

PATIENCE = 120.0  # seconds that a storage may be away before the sweep ends
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
AWAY = ("OperationalError", "InterfaceError")  # of SQLAlchemy, which is Optuna's affair: told by name, not imported


class Speaker(Protocol):
    """What has methods that are patient."""

    say: Callable[[str], None]


Owner = TypeVar("Owner", bound=Speaker)
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def patiently(method: Callable[Concatenate[Owner, Given], Answer]) -> Callable[Concatenate[Owner, Given], Answer]:
    """Repeat a method while the storage is away; it must be safe to repeat after any part of it was done.

    Raises:
        UserError: the storage stays away. Nothing of its address is told, as that may hold a password.
    """

    @wraps(method)
    def patient(owner: Owner, /, *given: Given.args, **more: Given.kwargs) -> Answer:
        pause, lost = FIRST_PAUSE, 0.0
        while True:
            try:
                answer = method(owner, *given, **more)
            except Exception as error:
                if not is_away(error):
                    raise
                if not lost:
                    lost = time.monotonic()
                    owner.say(f"storage: the connection was lost; trying again for {PATIENCE:.0f} s")
                if time.monotonic() - lost > PATIENCE:
                    raise UserError(
                        f"storage: it has not answered for {PATIENCE:.0f} s. When its server runs again, give the same "
                        "command: it goes on from the last finished epoch."
                    ) from None
            else:
                if lost:
                    owner.say("storage: it is there again")
                return answer
            time.sleep(pause)  # holds no lock, so that nobody waits for a sweep that waits
            pause = min(2 * pause, LONGEST_PAUSE)

    return patient


def is_away(error: Exception) -> bool:
    """Whether a storage could not be asked, as against one that was and refused."""
    by_name = type(error).__module__ == "sqlalchemy.exc" and type(error).__name__ in AWAY
    return by_name or isinstance(error, StorageInternalError)
