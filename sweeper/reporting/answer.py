"""The answer, in words: which settings won, how sure that is, and what to look at before trusting it.

Where the winner has several seeds it is compared with the others seed by seed; else trials are, sentence by sentence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sweeper.intervals import Interval
from sweeper.reporting.baseline import Baseline
from sweeper.reporting.comparison import Comparison, PairedTest, mcnemar, paired_t, wilson
from sweeper.reporting.curve_figures import settings_text, title
from sweeper.reporting.evidence import Evidence
from sweeper.reporting.setting_figures import TITLES, Setting, judged, value_of, values_tried
from sweeper.study.configurations import Configuration, Standing, without_seed
from sweeper.study.record import TrialRecord
from sweeper.study.seeds_table import estimate_text, standing_text

NONE = "–"
SETTINGS: tuple[Setting, ...] = ("lr", "batch_size")
VERDICTS = {
    "winner": "winner",
    "same": "cannot be told apart",
    "worse": "worse",
    "unknown": "not judged",
    "none": NONE,
}


@dataclass(frozen=True)
class Answer:
    """What stands at the top of the page.

    Attributes:
        winner: None where no trial is complete.
        comparison: the winner's own, with its interval.
        seeds: the winner's configuration against the others; None where it has one seed.
        runner_up: sentence on the second best trial (of several seeds, configuration); None where there is none.
        same: trials (configurations) that cannot be told from the winner, best first.
        worse: number of trials (configurations) that are worse.
        notes: what to look at before trusting the answer.
    """

    winner: TrialRecord | None
    comparison: Comparison | None
    seeds: Standing | None
    runner_up: str | None
    same: tuple[str, ...]
    worse: int
    notes: tuple[str, ...]


def make_answer(evidence: Evidence) -> Answer:
    """Put the answer together."""
    winner = evidence.winner
    if winner is None:
        reasons = sorted({f"{one.state}: {one.reason}" if one.reason else one.state for one in evidence.records})
        return Answer(None, None, None, None, (), 0, (*reasons, *_about_studies(evidence), *_about_data(evidence)))
    found, notes = evidence.comparisons, tuple(_notes(winner, evidence))
    if len(evidence.configurations[0].scores) > 1:
        first, *others = evidence.standings
        same, worse = ([one for one in others if one.verdict == verdict] for verdict in ("same", "worse"))
        named, unjudged = tuple(configuration_title(one.configuration) for one in same), not_compared(others)
        return Answer(winner, found[winner.key], first, lead_of(others), named, len(worse), (*unjudged, *notes))
    scored = [record for record in evidence.records[1:] if found[record.key].verdict != "none"]
    return Answer(
        winner,
        found[winner.key],
        None,
        runner_up=_runner_up(scored[0], found[scored[0].key], evidence) if scored else None,
        same=tuple(title(one) for one in scored if found[one.key].verdict == "same"),
        worse=sum(found[one.key].verdict == "worse" for one in scored),
        notes=notes,
    )


def _notes(winner: TrialRecord, evidence: Evidence) -> Iterator[str]:
    yield from _about_studies(evidence)
    yield from _about_winner(winner, evidence)
    yield from _about_data(evidence)


def lead_of(others: Sequence[Standing]) -> str | None:
    """A sentence on the second best configuration."""
    scored = next((one for one in others if one.configuration.estimate is not None), None)
    if scored is None or (mean := scored.configuration.estimate) is None:
        return None
    start = f"The runner-up, {configuration_title(scored.configuration)}, reaches {estimate_text(mean)}."
    lead = scored.lead
    if scored.verdict == "unknown" or lead is None:
        return f"{start} Whether it is really worse cannot be said ({standing_text(scored)})."
    end = "It is worse than the winner." if scored.verdict == "worse" else "It cannot be told from the winner."
    return f"{start} With the same seed the winner is better by {estimate_text(lead)}. {end}"


def not_compared(others: Sequence[Standing]) -> Iterator[str]:
    """Configurations that the seeds say nothing of, and why."""
    for one in others:
        if one.verdict in ("unknown", "none"):
            yield f"{configuration_title(one.configuration)}: {standing_text(one)}."


def configuration_title(one: Configuration) -> str:
    """What a configuration is called: its trials' title without the seed; never empty."""
    return settings_text(without_seed(one.best.varied)) or one.best.key[:8]


def _runner_up(record: TrialRecord, found: Comparison, evidence: Evidence) -> str:
    name, figures = title(record), figure_text(judged(record, evidence.regression), found.interval)
    start = f"The runner-up, {name}, reaches {'a loss of ' if evidence.regression else ''}{figures}."
    if found.test is not None and found.adjusted is not None:
        end = "It is worse than the winner." if found.verdict == "worse" else "It cannot be told from the winner."
        return f"{start} {paired_text(found.test, name, evidence.regression)} {end}"
    if found.verdict == "unknown":
        return f"{start} Whether it is really worse cannot be said: {_why_untested(evidence)}."
    overlap = "overlap, so it cannot be told from the winner" if found.verdict == "same" else "do not overlap"
    return f"{start} Only intervals can be compared ({_why_untested(evidence)}): they {overlap}."


def _why_untested(evidence: Evidence) -> str:
    if evidence.corpus_trouble:
        return f"the validation labels cannot be read: {evidence.corpus_trouble.rstrip('.')}"
    return "validation predictions are missing"


def paired_text(test: PairedTest, name: str, regression: bool) -> str:
    """What the paired test counted, in a sentence."""
    what, kind = ("closer on", "paired t-test") if regression else ("right on", "exact McNemar test")
    alone = "" if regression else " alone"
    return (
        f"The winner{alone} is {what} {test.only_winner:,} sentences, {name}{alone} on {test.only_other:,} "
        f"({kind}: {p_text(test.p)})."
    )


def p_text(p: float) -> str:
    """`p = 0.031`, or that it is tiny."""
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"


def figure_text(value: float | None, interval: Interval | None) -> str:
    """`0.2341 (0.2293 to 0.2390)`."""
    if value is None:
        return NONE
    return f"{value:.4f}" + (f" ({interval.low:.4f} to {interval.high:.4f})" if interval else "")


def _about_winner(winner: TrialRecord, evidence: Evidence) -> Iterator[str]:
    if not winner.overfit_reached:
        yield (
            "The winner's validation loss had not risen by its last epoch: it may still be learning, and more epochs "
            "(train.epochs) may give more."
        )
    complete = [record for record in evidence.records if record.is_candidate]
    for setting in SETTINGS:
        values = values_tried(evidence.records, setting)
        value = value_of(winner, setting)
        side = "smallest" if value == values[0] else "largest" if value == values[-1] else None
        if side and len(values) > 1 and len(complete) > 1:
            beyond = "smaller" if side == "smallest" else "larger"
            yield f"The winner has the {side} {TITLES[setting]} tried ({value:g}): a {beyond} one may be better."


def _about_studies(evidence: Evidence) -> Iterator[str]:
    for study, (left, trials) in evidence.unfinished.items():
        yield f"{left} of {trials} trials of the {study} study have no result yet: the answer may change."


def _about_data(evidence: Evidence) -> Iterator[str]:
    if evidence.left_out:
        yield (
            f"{evidence.left_out} other trial(s) of this experiment were trained on other data and are left out: "
            "their figures do not compare."
        )
    if evidence.corpus_trouble:
        yield f"The data cannot be read, so what needs it is missing here: {evidence.corpus_trouble}"


def chance(evidence: Evidence) -> tuple[str, float] | None:
    """What is guessed without reading, and what that gives on the validation split; None without the data."""
    if evidence.corpus is None:
        return None
    labels = np.asarray(evidence.corpus.validation.labels)
    if evidence.regression:
        return "the mean", float(np.square(labels - np.mean(evidence.corpus.train.labels)).mean())
    most = np.bincount(evidence.corpus.train.labels).argmax()
    return "the most frequent class", float(np.mean(labels == most))


@dataclass(frozen=True)
class BesideBaseline:
    """The winner against the simple model."""

    value: float
    interval: Interval | None
    sentence: str


def beside_baseline(evidence: Evidence, baseline: Baseline) -> BesideBaseline | None:
    """The baseline's figure and whether the winner is really better; None without a winner and its labels."""
    winner, corpus = evidence.winner, evidence.corpus
    if winner is None or corpus is None:
        return None
    labels, predicted = np.asarray(corpus.validation.labels), np.asarray(baseline.predictions)
    ours = evidence.predictions.get(winner.key)
    value = baseline.loss if baseline.accuracy is None else baseline.accuracy
    interval = None if baseline.accuracy is None else wilson(round(value * len(labels)), len(labels))
    if ours is None or ours.shape != labels.shape:
        return BesideBaseline(value, interval, "The winner's predictions are missing, so the two cannot be tested.")
    if evidence.regression:
        test = paired_t(np.square(ours - labels), np.square(predicted - labels))
        better = float(np.square(ours - labels).mean()) < value
    else:
        test = mcnemar(ours == labels, predicted == labels)
        better = test.only_winner > test.only_other
    verdict = "cannot be told from" if test.p >= 0.05 else "is better than" if better else "is worse than"
    sentence = f"{paired_text(test, 'the baseline', evidence.regression)} The winner {verdict} the baseline."
    return BesideBaseline(value, interval, sentence)


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names with commas, the rest counted."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
