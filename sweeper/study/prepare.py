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
from sweeper.study.budget import Budget
from sweeper.study.configurations import configurations, missing_seeds
from sweeper.study.folders import check_writable
from sweeper.study.listing import TRIALS, changing, lock_of
from sweeper.study.points import GridPoints, Points
from sweeper.study.pruning import stopped_by
from sweeper.study.record import RECORD, TrialRecord, trial_name
from sweeper.study.sampling import Space
from sweeper.study.search import SearchPoints
from sweeper.study.space import (
    Point,
    Value,
    configuration_key,
    grid,
    identity,
    model_fingerprint,
    ranges_of,
    seeds_of,
    trial_key,
    with_values,
)
from sweeper.study.task import TrialTask
from sweeper.training.compute import resolve

LARGEST_USUAL_RATE = 1.0
FEW_VALIDATION_ROWS = 100  # the 95% interval of an accuracy of 0.5 is then 19 points wide
Compute = Callable[[str, str, Callable[[str], None]], tuple[str, str]]


@dataclass(frozen=True)
class PreparedStudy:
    """A study whose data is tokenised and whose points are known, or can be found.

    Attributes:
        name: of the experiment, as MLflow and `best` call it.
        study: lr, batch, grid, single or search.
        study_id: `<name>/<study>@<configuration>`; names the Optuna study.
        config: the whole configuration, nested plain values.
    """

    name: str
    study: str
    study_id: str
    config: Mapping[str, Any]
    corpus: Corpus
    points: Points
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
        return list_of(self.runs, self.study_id)

    @property
    def lock(self) -> Path:
        """Held by whoever changes the study's list or its ledger."""
        return lock_of(self.file)

    @property
    def present(self) -> Path:
        """Held together by all sweeps that run this study at this moment."""
        return self.file.with_suffix(".present")

    @property
    def title(self) -> str:
        """What is shown above its trials."""
        return f"{self.name} · {self.study} study"

    @property
    def stopped_by(self) -> str | None:
        """What the record of a trial says that is stopped for this study's `prune`; None where nothing stops one."""
        return stopped_by(self.config["prune"], self.study_id)

    def task(self, point: Point, *, threads: int, accumulate: int) -> TrialTask:
        """What a worker is told to train this point.

        Args:
            threads: of the CPU.
            accumulate: in how many pieces each of the configuration's pieces of a batch is computed.
        """
        return TrialTask(
            key=point.key,
            varied=point.varied,
            config=point.config,
            folder=str(self.folder(point)),
            corpus=str(self.corpus.folder),
            threads=threads,
            device=self.device,
            precision=self.precision,
            accumulate=accumulate,
            prune=self.config["prune"]["name"],
            extra_epochs=self.config["prune"]["extra_epochs"],
            stopped_by=self.stopped_by,
        )

    def folder(self, point: Point) -> Path:
        """The point's own folder."""
        return self.trials / point.key

    def answer(self, point: Point) -> TrialRecord | None:
        """The point's record, if it has one that serves: a pruned trial's curve may be shorter than is asked for."""
        try:
            record = TrialRecord.read(self.folder(point))
        except FileNotFoundError:
            return None
        return record if record.serves(self.stopped_by) else None

    def trial_name(self, point: Point) -> str:
        """`lr=2e-05 bs=64`."""
        return trial_name(point.varied)


def trials_folder(runs: Path, name: str) -> Path:
    """Where an experiment's trials lie."""
    return runs / name / "trials"


def studies_folder(runs: Path, name: str) -> Path:
    """Where an experiment's studies are listed."""
    return runs / name / "studies"


def list_of(runs: Path, study_id: str) -> Path:
    """The file that lists the points of the study with this id."""
    name, study = study_id.rsplit("/", 1)
    return studies_folder(runs, name) / f"{study}.json"


def read_studies(runs: Path, name: str) -> dict[str, dict[str, Any]]:
    """What the file of every study of an experiment holds, by `<study>@<configuration>`."""
    files = sorted(studies_folder(runs, name).glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def remove_damaged(runs: Path, name: str, report: Callable[[str], None]) -> None:
    """Remove records and lists of studies that cannot be read; what they told is found out again."""
    for path in [*trials_folder(runs, name).glob(f"*/{RECORD}"), *studies_folder(runs, name).glob("*.json")]:
        try:
            TrialRecord.read(path.parent) if path.name == RECORD else json.loads(path.read_text(encoding="utf-8"))[
                TRIALS
            ]
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, KeyError):
            path.unlink(missing_ok=True)
            report(f"{path} is damaged and was removed; it is made again")


def prepare(config: Mapping[str, Any], report: Callable[[str], None], compute: Compute | None = None) -> PreparedStudy:
    """Read, clean, split and tokenise the data (or find all that in the cache) and list the study's points.

    Those of a search that are not listed yet are found while it runs.

    Args:
        config: the whole configuration (`config.plain`).
        report: told what takes time.
        compute: device and number format of the workers (`Pool.compute`); None: those of this machine.

    Raises:
        UserError: the data, the model or a folder cannot be used as configured.
    """
    runs, name, study = Path(config["paths"]["runs"]), config["name"], config["study"]
    check_writable(runs)
    remove_damaged(runs, name, report)
    wanted = config["train"]["device"], config["train"]["precision"]
    device, precision = compute(*wanted, report) if compute else resolve(*wanted)  # the data may take minutes to read
    corpus = load_corpus(DataSettings.of(config["data"]), config["model"], runs / "cache", report)
    report(short_card(corpus.card))
    model = model_fingerprint(assets.encoder(config["model"]))

    def whole(point_config: Mapping[str, Any]) -> dict[str, Any]:
        return identity(point_config, data=corpus.fingerprint, model=model, precision=precision)

    def point(varied: Mapping[str, Value]) -> Point:
        point_config = with_values(config, varied)
        return Point(trial_key(whole(point_config)), varied, point_config)

    budget = Budget.of(study)  # only a search has one
    ranges = ranges_of(config) if budget else None
    seeds = seeds_of(config)
    shared = configuration_key(whole(config), ranges, seeds=seeds is not None)
    rates = study["lr"] or [config["optimizer"]["lr"] or winning_rate(runs, name, _lr_studies(whole(config), shared))]
    if max(rates) > LARGEST_USUAL_RATE:
        report(
            f"learning rate {max(rates):g} is far above any usual one and will diverge; is a minus sign missing (2e-5)?"
        )
    sizes = study["batch_size"] or [config["train"]["batch_size"]]
    _check_batch_fits(sizes, len(corpus.train.rows))
    if (rows := len(corpus.validation.rows)) < FEW_VALIDATION_ROWS:
        report(
            f"only {rows} validation rows: chance may choose the winner; give more (data.split.validation, more data)"
        )
    study_id = f"{name}/{study['name']}@{shared}"
    file, head = list_of(runs, study_id), {"study": study["name"], "id": study_id, "config": config}
    points: Points
    if budget and ranges:
        asked = {"sampler": study["sampler"], "seed": study["sampler_seed"], "epochs": config["train"]["epochs"]}
        points = SearchPoints(Space(ranges), budget, **asked, point=point, file=file, head=head)
    else:
        points = GridPoints(tuple(point(varied) for varied in grid(rates, sizes, seeds)))
        _list(points, file, head)
    return PreparedStudy(name, study["name"], study_id, config, corpus, points, device, precision, runs)


def _check_batch_fits(sizes: Sequence[int], rows: int) -> None:
    if max(sizes) > rows:
        raise UserError(
            f"batch size {max(sizes)}: larger than the {rows} training rows. Choose a smaller one "
            "(train.batch_size, study.batch_size) or give more data."
        )


def _lr_studies(whole: Mapping[str, Any], shared: str) -> list[str]:
    """The lr studies whose winner a batch study takes: one of seeds like its own, else one with or without several."""
    keys = (shared, *(configuration_key(whole, seeds=several) for several in (True, False)))
    return list(dict.fromkeys(f"lr@{key}" for key in keys))


def winning_rate(runs: Path, name: str, studies: Sequence[str]) -> float:
    """The learning rate that won the lr study of the same experiment and configuration.

    Args:
        studies: `lr@<configuration>`; the first with a winner counts.

    Raises:
        UserError: there is none yet, or none of its trials can win.
    """
    known = read_studies(runs, name)
    records: list[TrialRecord] = []
    for study in studies:
        keys = list(known.get(study, {}).get(TRIALS, {}))
        ended = [key for key in keys if (trials_folder(runs, name) / key / RECORD).exists()]
        found = [TrialRecord.read(trials_folder(runs, name) / key) for key in ended]
        ranked = configurations(found, missing_seeds(known[study], ended) if found else None)
        if ranked and ranked[0].scores:
            return float(ranked[0].best.varied["lr"])
        records += found
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


def _list(points: Points, file: Path, head: Mapping[str, Any]) -> None:
    """List the points; those of earlier starts with other lists stay in the study."""
    with changing(file, head) as content:
        content[TRIALS] |= {point.key: dict(point.varied) for point in points.known}
