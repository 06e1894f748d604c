"""Choose learning rate, batch size and epochs for a BERT-style text classifier, and prove the choice.

`from sweeper import sweep, best, predict` gives the functions of `sweeper.api`, which do what the commands do. They
are looked up when asked for, so that `import sweeper` costs nothing. Two of them share their name with a command
(`python -m sweeper.best`), whose module Python would put in the function's place as soon as anything imports it;
the package refuses that, so `sweeper.best` is the function in whatever order things are imported. The module is
still there for `python -m` and for `from sweeper.best import main`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeper.api import Best, Sweep, best, predict, sweep
    from sweeper.errors import UserError

__all__ = ["Best", "Sweep", "UserError", "best", "predict", "sweep"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("sweeper.api"), name)
    raise AttributeError(f"module 'sweeper' has no attribute {name!r}")


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        """Importing the submodule `sweeper.best` must not hide the function."""
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
