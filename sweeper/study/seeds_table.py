"""The table of configurations that takes the place of that of trials where they have several seeds, and its words.

One row a configuration: mean over its seeds and half of the mean's 95% interval, at the overfitting points. It fits 80
columns; `status --trials` shows the trials behind it.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sweeper.intervals import Estimate
from sweeper.study.configurations import Configuration, Standing, seed_of, standings
from sweeper.study.record import TrialRecord
from sweeper.study.table import (
    MOST,
    NONE,
    WINNER,
    also_text,
    batch_of,
    differing,
    lr_of,
    more_text,
    new_table,
    one_line,
    overfitting_text,
)
from sweeper.study.wording import count, figures, number

if TYPE_CHECKING:
    from rich.table import Table

AGAINST, ALSO = f"against {WINNER}", "also"
SEED = "seed"
VERDICTS = {
    "winner": "winner",
    "same": "cannot be told apart",
    "worse": "worse",
    "unknown": "not compared",
    "none": NONE,
}


def seeds_table(ranked: Sequence[Configuration], title: str | None = None) -> "Table":
    """The configurations, best first, the winner marked; of very many the best."""
    from rich.text import Text

    shown = ranked[:MOST]
    names, rows = _cells(shown)
    table = new_table(names, title, wide=(AGAINST, ALSO), hidden=len(ranked) - len(shown))
    for row, standing in zip(rows, standings(shown), strict=True):
        style = "bold green" if standing.verdict == "winner" else "dim" if standing.verdict == "none" else None
        table.add_row(*(Text(cell) for cell in row), style=style)
    return table


def seeds_markdown(ranked: Sequence[Configuration]) -> str:
    """The same table for a model card."""
    names, rows = _cells(ranked[:MOST])
    lines = [names, ["---"] * len(names), *rows]
    table = "\n".join("| " + " | ".join(one_line(cell) for cell in line) + " |" for line in lines)
    return table + more_text(len(ranked))


def _cells(ranked: Sequence[Configuration]) -> tuple[list[str], list[list[str]]]:
    """The columns' names and each configuration's row."""
    others = others_of(ranked)
    judged = "val acc" if any(one.mean("val_accuracy") is not None for one in ranked) else "val loss"
    names = ["", "lr", "batch", "seeds", judged, "± 95%", "overfitting epoch"]
    names += ["val loss"] if judged != "val loss" else []
    names += ["seconds", AGAINST, *([ALSO] if others else [])]
    rows = []
    for standing in standings(ranked):
        one = standing.configuration
        found, half = one.estimate, one.estimate.half if one.estimate else None
        row = [WINNER if standing.verdict == "winner" else "", f"{lr_of(one.best):g}", str(batch_of(one.best))]
        row += [seeds_text(one), number(found.mean if found else None), number(half), epochs_text(one)]
        row += [number(one.mean("val_loss"))] if judged != "val loss" else []
        row += [f"{sum(trial.seconds for trial in one.trials):.1f}", standing_text(standing)]
        rows.append([*row, *([also_text(one.best, others)] if others else [])])
    return names, rows


def others_of(ranked: Iterable[Configuration]) -> list[str]:
    """Configuration keys besides learning rate, batch size and seed that are not the same in all trials."""
    return [key for key in differing([trial for one in ranked for trial in one.trials]) if key != SEED]


def seeds_text(one: Configuration) -> str:
    """`3`, or `2 of 3` where a seed has no score."""
    scored = len(one.scores)
    return str(scored) if scored == one.asked else f"{scored} of {one.asked}"


def epochs_text(one: Configuration) -> str:
    """`3` or `3–5`, the overfitting epochs of the seeds; a star where some seed's is its last epoch, not reached."""
    epochs = [trial.overfit_epoch for trial in one.trials if trial.overfit_epoch is not None]
    if not epochs:
        return NONE
    span = str(min(epochs)) if min(epochs) == max(epochs) else f"{min(epochs)}–{max(epochs)}"
    reached = all(trial.overfit_reached for trial in one.trials if trial.overfit_epoch is not None)
    return span if reached else f"{span}*"


def standing_text(standing: Standing) -> str:
    """Against the winner, in words; with what keeps it from being compared."""
    words, why = VERDICTS[standing.verdict], why_not(standing)
    return f"{words}: {why}" if why and standing.verdict != "none" else why or words


def why_not(standing: Standing) -> str:
    """What keeps a configuration from being compared; empty where nothing does."""
    one = standing.configuration
    why = [f"seed {seed_of(trial)} {trial.state}" for trial in one.broken]
    why += [f"{count(len(one.missing), 'seed')} not trained"] if one.missing else []
    if standing.verdict == "unknown" and not why:
        why = ["one seed" if one.asked == 1 else "no two seeds in common"]
    return ", ".join(why)


def estimate_text(found: Estimate) -> str:
    """`0.7012 ± 0.0101 over 3 seeds (95% interval 0.6911 to 0.7113)`."""
    if found.interval is None or found.half is None:
        return f"{found.mean:.4f}"
    ends = f"{found.interval.low:.4f} to {found.interval.high:.4f}"
    return f"{found.mean:.4f} ± {found.half:.4f} over {found.n} seeds (95% interval {ends})"


def each_seed(one: Configuration) -> str:
    """`seed 0 0.7012, seed 1 0.7105, seed 2 diverged`."""
    return ", ".join(f"seed {seed_of(trial)} {_figure(trial)}" for trial in one.by_seed)


def _figure(trial: TrialRecord) -> str:
    at = trial.at_overfit
    if at is None or not trial.is_candidate:
        return trial.state
    return number(at.val_loss if at.val_accuracy is None else at.val_accuracy)


def winner_lines(ranked: Sequence[Configuration]) -> list[str]:
    """Who won and who cannot be told from it; the first configuration has a score."""
    winner, best, at = ranked[0], ranked[0].best, ranked[0].best.at_overfit
    assert at is not None
    trial = f"overfitting epoch: {overfitting_text(best)}, {figures(at)}"
    if winner.estimate is None or winner.estimate.interval is None:
        return [f"Winner: {best.name}, {trial}"]
    what = "val loss" if at.val_accuracy is None else "val acc"
    lines = [f"Winner: {winner.name}, {what} {estimate_text(winner.estimate)}: {each_seed(winner)}"]
    return [*lines, *told_apart_lines(ranked), f"Its weights are those of seed {seed_of(best)}, its best: {trial}"]


def told_apart_lines(ranked: Sequence[Configuration]) -> list[str]:
    """Which configurations cannot be told from the winner, which are worse, which could not be compared."""
    found, lines = standings(ranked), []
    for verdict, words in (("same", "Cannot be told from it, seed by seed"), ("worse", "Worse than it, seed by seed")):
        names = [lead_text(one) for one in found if one.verdict == verdict]
        lines += [f"{words}: {'; '.join(names)}"] if names else []
    names = [f"{one.configuration.name} ({why_not(one)})" for one in found if one.verdict in ("unknown", "none")]
    return [*lines, *([f"Not compared: {'; '.join(names)}"] if names else [])]


def lead_text(standing: Standing) -> str:
    """`lr=1e-4 bs=64 (0.0021 behind, 95% interval -0.0101 to 0.0143)`."""
    name, lead = standing.configuration.name, standing.lead
    if lead is None or lead.interval is None:
        return name
    ends = f"{lead.interval.low:.4f} to {lead.interval.high:.4f}"
    return f"{name} ({abs(lead.mean):.4f} {'behind' if lead.mean >= 0 else 'ahead'}, 95% interval {ends})"


def plain_seeds(ranked: Sequence[Configuration]) -> list[dict[str, Any]]:
    """Each configuration as JSON-able values: mean and 95% interval over its seeds, and how it stands to the winner."""
    others, found = others_of(ranked), []
    for standing in standings(ranked):
        one, lead = standing.configuration, standing.lead
        estimate = one.estimate
        found.append(
            {
                "lr": lr_of(one.best),
                "batch_size": batch_of(one.best),
                "also": also_text(one.best, others),
                "seeds": {str(seed_of(trial)): trial.key for trial in one.by_seed},
                "missing_seeds": list(one.missing),
                "scored_seeds": len(one.scores),
                "mean": None if estimate is None else estimate.mean,
                "interval": _ends(estimate),
                "lead": None if lead is None else {"mean": lead.mean, "interval": _ends(lead), "seeds": lead.n},
                "verdict": standing.verdict,
            }
        )
    return found


def _ends(estimate: Estimate | None) -> list[float] | None:
    interval = None if estimate is None else estimate.interval
    return None if interval is None else [interval.low, interval.high]
