"""What a study tells tracking: one run of its own, and one a trial with its curve, its end and its picture."""

from sweeper.curves import curve_html
from sweeper.study.configurations import configuration_tag, without_seed
from sweeper.study.prepare import PreparedStudy
from sweeper.study.record import TrialRecord, trial_name
from sweeper.study.space import Point
from sweeper.study.versions import versions
from sweeper.tracked import Run, Tracker


class Tracks:
    """The runs of one study.

    Args:
        tracker: where they are shown.
    """

    def __init__(self, prepared: PreparedStudy, tracker: Tracker) -> None:
        self._prepared, self.tracker = prepared, tracker
        self._study = tracker.study(prepared.study, prepared.study_id, prepared.config, self._tags())

    def begin(self, point: Point) -> Run:
        """The run of a point, found or made."""
        name = self._prepared.trial_name(point)
        return self.tracker.trial(self._study, point.key, name, point.config, self._tags() | self._grouping(point))

    def _grouping(self, point: Point) -> dict[str, str]:
        """What the seeds of a configuration share, for MLflow's "Group by", and what tells them apart."""
        corpus, precision = self._prepared.corpus, self._prepared.precision
        settings = configuration_tag(point.config, point.varied, data=corpus.fingerprint, precision=precision)
        readable = trial_name(without_seed(point.varied))
        return {"seed": str(point.config["train"]["seed"]), "configuration": f"{readable} ({settings})"}

    def end(self, record: TrialRecord, run: Run, note: str | None) -> None:
        """A point has its record.

        Args:
            note: why it was not trained here, where it was taken over.
        """

        def figure() -> str:
            title = f"{self._prepared.name} · {record.name}"
            return curve_html(record.curve, record.overfit_epoch, record.overfit_reached, title)

        tags = {
            "sweeper.overfit_epoch": str(record.overfit_epoch),
            "sweeper.overfit_reached": str(record.overfit_reached).lower(),
            "sweeper.threads": str(record.threads),
            "sweeper.device": record.device,
            "sweeper.precision": record.precision,
            **{f"sweeper.{name}": value for name, value in record.tags.items()},
            **({"sweeper.reason": record.reason} if record.reason else {}),
            **({"sweeper.note": note} if note and note.endswith("trained") else {}),
        }
        self.tracker.epochs(run, record.curve)
        self.tracker.finish(
            run,
            record.state,
            at_overfit=record.at_overfit if record.is_candidate else None,  # runs are sorted by it: no winner's place
            tags=tags,
            figure=figure,
            artifacts={"data_card.json": self._prepared.corpus.card},
        )

    def stop(self, point: Point) -> None:
        """A point that is no longer asked for was stopped on its way; its run goes on if it is asked for again."""
        self.tracker.finish(self.begin(point), "stopped")

    def close(self, winner: TrialRecord | None) -> None:
        """The study has ended."""
        self.tracker.finish(self._study, "complete", tags={"sweeper.winner": winner.name if winner else "none"})

    def _tags(self) -> dict[str, str]:
        return {"sweeper.data": self._prepared.corpus.fingerprint, **versions()}
