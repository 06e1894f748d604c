"""What tracking is, without a tracker: the calls that a sweep makes, and the names under which things are shown.

Plain values in, plain values out; nothing here knows a server. `tracking.py` has the one that talks to MLflow.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from sweeper.errors import UserError, redact
from sweeper.run_list import one_at_a_time
from sweeper.training.metrics import EpochMetrics

PARAM_LENGTH, TAG_LENGTH, KEY_LENGTH = 6000, 8000, 250  # what MLflow takes
STATUS = {
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "diverged": "FINISHED",
    "failed": "FAILED",
    "stopped": "KILLED",
}
HOPELESS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST", "INVALID_STATE")
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the outbox repeats
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")
METRIC_NAMES = {"seconds": "epoch_seconds"}  # the other fields of EpochMetrics keep their names

RunState = Literal["complete", "pruned", "diverged", "failed", "stopped"]
Text = Callable[[], str]


@dataclass(eq=False)
class Run:
    """A run that the server may not have yet; `id` is None until it has.

    Attributes:
        curve: the latest that is to be told of it.
        is_new: made by this process, so that all that it holds is known.
        delivered, epochs: of one that has ended, what was told then (see `run_list.Listed`).
    """

    id: str | None = None
    start: int = 0
    logged: dict[str, set[int]] = field(default_factory=dict)
    curve: tuple[EpochMetrics, ...] = ()
    is_new: bool = False
    delivered: str | None = None
    epochs: int = 0


class Tracker(Protocol):
    """Where studies, trials and epochs are shown. Every method returns at once and may be repeated."""

    def study(self, name: str, study_id: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """The parent run of a study: found by `study_id`, or created."""
        ...

    def trial(self, study: Run, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """The run of a trial in `study`: found by `key`, or created; `params` may be nested."""
        ...

    def epochs(self, run: Run, curve: Sequence[EpochMetrics]) -> None:
        """Log what is missing of the trial's whole curve so far, first epoch to last."""
        ...

    def finish(
        self,
        run: Run,
        state: RunState,
        *,
        at_overfit: EpochMetrics | None = None,
        tags: Mapping[str, str] | None = None,
        figure: Text | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ) -> None:
        """End a trial's or a study's run.

        Args:
            at_overfit: figures at the overfitting point, logged as `at_overfit.*`.
            figure: gives the curve as HTML, stored as `curve.html`; called on another thread.
            artifacts: file name to text, or to plain values that are stored as JSON.
        """
        ...

    def close(self, timeout: float = 5.0, *, hasty: bool = False) -> bool:
        """Deliver the rest; False where something was left behind (the next start sends it).

        Args:
            timeout: seconds without progress to wait for.
            hasty: wait for no more than these, whatever is under way.
        """
        ...


class NoTracker:
    """Shows nothing (`tracking=none`)."""

    def study(self, name: str, study_id: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """Nothing."""
        return Run()

    def trial(self, study: Run, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """Nothing."""
        return Run()

    def epochs(self, run: Run, curve: Sequence[EpochMetrics]) -> None:
        """Nothing."""

    def finish(self, run: Run, state: RunState, **what: Any) -> None:
        """Nothing."""

    def close(self, timeout: float = 5.0, *, hasty: bool = False) -> bool:
        """Nothing is left behind."""
        return True


def metrics_of(epoch: EpochMetrics) -> dict[str, float]:
    """An epoch's figures by the names that MLflow shows; figures that do not exist (None) are left out."""
    plain = {METRIC_NAMES.get(name, name): value for name, value in asdict(epoch).items() if name != "epoch"}
    return {name: float(value) for name, value in plain.items() if value is not None}


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as `train.batch_size: "64"`; values read as they are written on a command line."""
    result: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            result |= flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            result[safe_key(f"{prefix}{key}")] = shortened(text, PARAM_LENGTH)
    return result


def safe_key(name: str) -> str:
    """A name that MLflow takes as a key."""
    return re.sub(r"[^\w./ -]", "_", name)[:KEY_LENGTH]


def shortened(text: str, length: int) -> str:
    """At most `length` characters; a cut is marked."""
    return text if len(text) <= length else text[: length - 1] + "…"


def short_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as MLflow takes them."""
    return {safe_key(key): shortened(str(value), TAG_LENGTH) for key, value in tags.items()}


def default_uri(runs: Path) -> str:
    """The SQLite file that is used where `tracking.uri` is not set."""
    return f"sqlite:///{(runs.resolve() / 'mlflow.db').as_posix()}"


def checked_uri(uri: str | None) -> str | None:
    """`uri` as it is.

    Raises:
        UserError: MLflow has no store for it.
    """
    if uri is not None and re.split(r"[:+]", uri, maxsplit=1)[0] not in SCHEMES:
        raise UserError(
            f"tracking.uri={uri}: expected a URL that starts with {', '.join(SCHEMES)}, such as "
            "http://host:5000 or sqlite:////folder/mlflow.db; leave it out to log under paths.runs."
        )
    return uri


def digest(values: Mapping[str, str]) -> str:
    """A short hash of the values, whatever their order."""
    return hashlib.sha256(json.dumps(dict(sorted(values.items()))).encode()).hexdigest()[:32]


def as_text(content: Any) -> str:
    """Text as it is, anything else as JSON."""
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1, default=str)


def folder_name(name: str) -> str:
    """A user's name as one folder name that cannot leave its place."""
    return re.sub(r"[^\w-]", "_", name)


def root_cause(error: Exception | None) -> BaseException | None:
    """What happened at the bottom ("connection refused"), beneath the layers that passed it on."""
    found: BaseException | None = error
    while found is not None and (deeper := found.__cause__ or found.__context__) is not None:
        found = deeper
    return found


def is_hopeless(error: Exception) -> bool:
    """Whether the server understood and refused; everything else may work later."""
    return getattr(error, "error_code", None) in HOPELESS or isinstance(error, LookupError)


def notice(trouble: str, uri: str, error: Exception | None) -> str:
    """What a person is told when tracking falls behind, is back (`again`), or refuses something (`dropped`)."""
    where = redact(uri)
    why = redact(str(root_cause(error))).strip().split("\n")[0][:200]
    texts = {
        "behind": f"tracking is behind: {where} does not answer ({why}). Training goes on; it is sent later.",
        "again": f"tracking is back: {where}",
        "dropped": f"tracking: {where} refused an entry ({why}). Training goes on.",
    }
    return texts[trouble]


@contextmanager
def made_whole(uri: str) -> Iterator[str | None]:
    """The URI at which to make the tables of a new SQLite file, which then takes its place; None if there is one.

    Making them takes seconds, and MLflow never opens a file in which a killed process has made only some.
    """
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or path.name in ("", ":memory:") or "?" in uri:
        yield None
        return
    with one_at_a_time(path.with_name(f"{path.name}.lock")):
        if path.exists():
            yield None
            return
        for left in path.parent.glob(f".{path.name}.*.aside"):
            left.unlink(missing_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
        yield f"sqlite:///{aside.as_posix()}"
        aside.replace(path)
