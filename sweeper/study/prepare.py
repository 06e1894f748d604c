"""From a configuration to a study that can be run: the corpus, the points, and where its files lie.

runs/<name>/trials/<key>/             one folder a trial, shared by all studies of the experiment
runs/<name>/studies/<study>@<id>.json the points of a study, `<id>` the configuration they share
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper import assets
from sweeper.data.corpus import Corpus, DataSettings, load_corpus, short_card
from sweeper.errors import UserError
from sweeper.study.folders import check_writable
from sweeper.study.locks import LOCK_SECONDS, locked
from sweeper.study.record import RECORD, TrialRecord, rank, trial_name
from sweeper.study.space import Point, configuration_key, grid, identity, model_fingerprint, trial_key, with_values
from sweeper.training.checkpoint import ASIDE, write_atomically
from sweeper.training.compute import resolve_device, resolve_precision

LARGEST_USUAL_RATE = 1.0


@dataclass(frozen=True)
class PreparedStudy:
    """A study whose data is tokenised and whose points are known.

    Attributes:
        name: of the experiment, as MLflow and `best` call it.
        study: lr, batch, grid or single.
        study_id: `<name>/<study>@<configuration>`; names the Optuna study.
        config: the whole configuration, nested plain values.
    """

    name: str
    study: str
    study_id: str
    config: Mapping[str, Any]
    corpus: Corpus
    points: tuple[Point, ...]
    device: str
    precision: str
    runs: Path

    @property
    def trials(self) -> Path:
        """Folder of the experiment's trials."""
        return trials_folder(self.runs, self.name)

    @property
    def logs(self) -> Path:
        """Folder of the workers' logs."""
        return self.runs / "logs"

    @property
    def file(self) -> Path:
        """The study's own file."""
        return studies_folder(self.runs, self.name) / f"{self.study_id.rsplit('/', 1)[1]}.json"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the study's list or its ledger."""
        return self.file.with_suffix(".lock")

    @property
    def present(self) -> Path:
        """Held together by all sweeps that run this study at this moment."""
        return self.file.with_suffix(".present")

    @property
    def title(self) -> str:
        """What is shown above its trials."""
        return f"{self.name} · {self.study} study"

    def trial_name(self, point: Point) -> str:
        """`lr=2e-05 bs=64`."""
        return trial_name(point.varied)

    def studies(self) -> list[list[str]]:
        """The trial keys of every study of this experiment."""
        return list(read_studies(self.runs, self.name).values())


def trials_folder(runs: Path, name: str) -> Path:
    """Where an experiment's trials lie."""
    return runs / name / "trials"


def studies_folder(runs: Path, name: str) -> Path:
    """Where an experiment's studies are listed."""
    return runs / name / "studies"


def read_studies(runs: Path, name: str) -> dict[str, list[str]]:
    """The trial keys of every study of an experiment, by `<study>@<configuration>`."""
    files = sorted(studies_folder(runs, name).glob("*.json"))
    return {path.stem: list(json.loads(path.read_text(encoding="utf-8"))["trials"]) for path in files}


def remove_damaged(runs: Path, name: str, report: Callable[[str], None]) -> None:
    """Remove records and lists of studies that cannot be read; what they told is found out again."""
    for path in [*trials_folder(runs, name).glob(f"*/{RECORD}"), *studies_folder(runs, name).glob("*.json")]:
        try:
            TrialRecord.read(path.parent) if path.name == RECORD else json.loads(path.read_text(encoding="utf-8"))[
                "trials"
            ]
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, KeyError):
            path.unlink(missing_ok=True)
            report(f"{path} is damaged and was removed; it is made again")


def prepare(config: Mapping[str, Any], report: Callable[[str], None]) -> PreparedStudy:
    """Read, clean, split and tokenise the data (or find all that in the cache) and list the study's points.

    Args:
        config: the whole configuration (`config.plain`).
        report: told what takes time.

    Raises:
        UserError: the data, the model or a folder cannot be used as configured.
    """
    runs, name, study = Path(config["paths"]["runs"]), config["name"], config["study"]
    check_writable(runs)
    remove_damaged(runs, name, report)
    device = resolve_device(config["train"]["device"])  # before the data, which may take minutes to read
    precision = resolve_precision(config["train"]["precision"], device)
    corpus = load_corpus(DataSettings.of(config["data"]), config["model"], runs / "cache", report)
    report(short_card(corpus.card))
    model = model_fingerprint(assets.encoder(config["model"]))

    def whole(point_config: Mapping[str, Any]) -> dict[str, Any]:
        return identity(point_config, data=corpus.fingerprint, model=model, precision=precision)

    shared = configuration_key(whole(config))
    rates = study["lr"] or [config["optimizer"]["lr"] or winning_rate(runs, name, f"lr@{shared}")]
    if max(rates) > LARGEST_USUAL_RATE:
        report(
            f"learning rate {max(rates):g} is far above any usual one and will diverge; is a minus sign missing (2e-5)?"
        )
    sizes = study["batch_size"] or [config["train"]["batch_size"]]
    _check_batch_fits(sizes, len(corpus.train.rows))
    points = []
    for varied in grid(rates, sizes):
        point_config = with_values(config, varied)
        points.append(Point(trial_key(whole(point_config)), varied, point_config))
    prepared = PreparedStudy(
        name,
        study["name"],
        f"{name}/{study['name']}@{shared}",
        config,
        corpus,
        tuple(points),
        device.type,
        precision,
        runs,
    )
    _write_study(prepared)
    return prepared


def _check_batch_fits(sizes: Sequence[int], rows: int) -> None:
    if max(sizes) > rows:
        raise UserError(
            f"batch size {max(sizes)}: larger than the {rows} training rows. Choose a smaller one "
            "(train.batch_size, study.batch_size) or give more data."
        )


def winning_rate(runs: Path, name: str, study: str) -> float:
    """The learning rate that won the lr study of the same experiment and configuration.

    Raises:
        UserError: there is none yet, or none of its trials can win.
    """
    folders = [trials_folder(runs, name) / key for key in read_studies(runs, name).get(study, [])]
    records = rank(TrialRecord.read(folder) for folder in folders if (folder / RECORD).exists())
    if records and records[0].is_candidate:
        return float(records[0].varied["lr"])
    if records:
        ends = "; ".join(f"{record.name} {record.state}: {record.reason or 'no final score'}" for record in records)
        raise UserError(
            f"study=batch: no trial of the lr study of {name} with the same settings is complete, so no learning rate "
            f"won ({ends}). Try other rates (study=lr study.lr=[...]), or give the rate yourself (optimizer.lr=2e-5)."
        )
    raise UserError(
        f"study=batch: needs the learning rate that won the lr study of {name} with the same settings, and there is "
        "none yet. Run both (study=lr,batch), or give the rate yourself (optimizer.lr=2e-5)."
    )


def _write_study(prepared: PreparedStudy) -> None:
    """List the points; those of earlier starts with other lists stay in the study."""
    points = {point.key: dict(point.varied) for point in prepared.points}
    file = prepared.file
    with locked(prepared.lock, wait=LOCK_SECONDS):
        for half_written in file.parent.glob(f".{file.name}.*{ASIDE}"):
            half_written.unlink()
        known = json.loads(file.read_text(encoding="utf-8"))["trials"] if file.exists() else {}
        content = {
            "study": prepared.study,
            "id": prepared.study_id,
            "trials": known | points,
            "config": prepared.config,
        }
        write_atomically(file, json.dumps(content, ensure_ascii=False, indent=1).encode())
