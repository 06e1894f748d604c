"""The sections of the page as values for the template, top to bottom; `page.py` puts them together."""

from collections.abc import Callable, Mapping
from typing import Any

from sweeper.curves import caption as point_text
from sweeper.reporting import answer as words
from sweeper.reporting import curve_figures, data_figures, setting_figures
from sweeper.reporting.baseline import Baseline
from sweeper.reporting.comparison import wilson
from sweeper.reporting.curve_figures import also_of, also_text, settings_text, title
from sweeper.reporting.drawing import Figure
from sweeper.reporting.evidence import Evidence
from sweeper.reporting.heat_map import heat_map
from sweeper.reporting.published import beside
from sweeper.scores import largest_confusions
from sweeper.study.configurations import seed_of, without_seed
from sweeper.study.record import TrialRecord
from sweeper.study.seeds_table import each_seed, seeds_text, standing_text
from sweeper.study.table import batch_of, lr_of

Values = dict[str, Any]
Add = Callable[..., Any]

CONFUSIONS = 15
REASONS = {
    "missing_text": "text missing",
    "blank_text": "text blank",
    "missing_label": "label missing",
    "unknown_labels": "unknown label",
    "duplicates": "same text, same label as an earlier row",
    "conflicts": "same text under another label",
    "overlap": "text stands in another split",
    "row_limits": "beyond the row limit",
}


def answer(evidence: Evidence, baseline: Baseline | None) -> Values:
    """The answer, and the baseline beside the winner."""
    beside_it = None if baseline is None else words.beside_baseline(evidence, baseline)
    return {
        "answer": words.make_answer(evidence),
        "chance": words.chance(evidence),
        "baseline": baseline,
        "beside_baseline": beside_it,
    }


def trials(evidence: Evidence) -> Values:
    """The table of the trials."""
    rows: list[Values] = [
        {
            "record": record,
            "lr": lr_of(record),
            "batch": batch_of(record),
            "also": also_text(record),
            "at": record.at_overfit,
            "found": evidence.comparisons[record.key],
            "judged": setting_figures.judged(record, evidence.regression),
        }
        for record in evidence.shown
    ]
    return {"trials": rows, "also": _others(evidence), "tested": any(row["found"].test for row in rows)}


def seeds(evidence: Evidence) -> Values:
    """The table of configurations, where there are several seeds."""
    rows: list[Values] = [
        {
            "standing": standing,
            "one": standing.configuration,
            "lr": lr_of(standing.configuration.best),
            "batch": batch_of(standing.configuration.best),
            "also": settings_text(without_seed(also_of(standing.configuration.best))),
            "seeds": seeds_text(standing.configuration),
            "each": each_seed(standing.configuration),
            "seed": seed_of(standing.configuration.best),
            "against": standing_text(standing),
        }
        for standing in (evidence.standings[: len(evidence.shown_configurations)] if evidence.has_seeds else ())
    ]
    return {"configurations": rows, "also_configurations": any(row["also"] for row in rows)}


def _others(evidence: Evidence) -> bool:
    """Whether trials differ in more than learning rate and batch size."""
    return any(also_text(record) for record in evidence.records)


def _which(evidence: Evidence) -> str:
    """Whose pictures are drawn."""
    return "every trial" if evidence.shown == evidence.records else f"the best {len(evidence.shown)} trials"


def _heat_maps(evidence: Evidence) -> list[Figure]:
    """One of all trials where they fill a grid; else one of each grid study, which crossing studies cannot thin out."""
    whole = heat_map(evidence.configurations, regression=evidence.regression)
    if whole is not None:
        return [whole]
    maps = []
    for study, keys in evidence.studies.items():
        own = set(keys)
        inside = [one for one in evidence.configurations if any(trial.key in own for trial in one.trials)]
        if study.startswith("grid@") and inside:
            winner = evidence.configurations[0]
            maps.append(heat_map(inside, regression=evidence.regression, winner=winner, filled=0.0))
    return [one for one in maps if one is not None]


def pictures(evidence: Evidence, add: Add) -> Values:
    """The pictures of settings and curves."""
    records, regression = evidence.records, evidence.regression
    low, high, beyond = curve_figures.loss_range(records)
    what = "Validation loss" if regression else "Validation accuracy"
    better = "Lower" if regression else "Higher"
    seeds_drawn = (
        "Where there are several seeds the line goes through their mean, the bar is that of the mean over seeds, and "
        "the pale points are the seeds. "
        if evidence.has_seeds
        else ""
    )
    settings = [
        add(
            setting_figures.against(evidence.configurations, evidence.comparisons, setting, regression=regression),
            f"{what} at the overfitting point against {setting_figures.TITLES[setting]} (logarithmic). {better} is "
            "better; bars are 95% intervals (where lines are many, of the winner's line alone): where two overlap "
            f"widely, the difference may be chance. {seeds_drawn}A line joins trials that differ in nothing else; "
            "trials without such a neighbour are points where they are most of all, and else left out.",
        )
        for setting in ("lr", "batch_size")
    ]
    grids = [
        add(
            grid,
            f"{what} at the overfitting point for each pair of settings; the star is the winner, a cross a trial "
            "without a figure. A plateau of equal colour means that the choice matters little there."
            + (" Means over seeds." if evidence.has_seeds else "")
            + (" Where trials of a pair differ in something else, the best is shown." if _others(evidence) else ""),
        )
        for grid in _heat_maps(evidence)
    ]
    _, _, cut = curve_figures.loss_range(records, ["val_loss"])
    overlay = add(
        curve_figures.validation_losses(evidence.shown_configurations),
        f"Validation loss of {_which(evidence)}, the thick line is the winner's, dots are overfitting points. Click a "
        "name to switch it off, double-click to see it alone. A rise after a fall is overfitting."
        + (" Seeds of a configuration share a colour." if evidence.has_seeds else "")
        + (" Losses above the picture are cut off; double-click it to see them." if cut else ""),
    )
    return {
        "settings": [plot for plot in (*settings, *grids) if plot],
        "overlay": overlay,
        "small": _small(evidence, add, (low, high)),
        "losses_beyond": beyond,
    }


def _small(evidence: Evidence, add: Add, losses: tuple[float, float]) -> list[Any]:
    """One picture for each trial that has a curve, all on the same axes; the page draws those that are looked at."""
    shown = [record for record in evidence.shown if record.curve]
    accuracy = curve_figures.accuracy_top(shown)
    epochs = max((len(record.curve) for record in shown), default=1)
    return [
        add(
            curve_figures.small_multiple(record, losses, accuracy, epochs),
            _small_caption(record),
            ("★ " if record is evidence.winner else "") + title(record),
            small=True,
        )
        for record in shown
    ]


def _small_caption(record: TrialRecord) -> str:
    text = point_text(record.overfit_epoch, record.overfit_reached)
    return text if record.state == "complete" else f"{record.state}; {text}"


def published(evidence: Evidence) -> Values:
    """A document's figures beside ours."""
    if evidence.published is None:
        return {"published": None, "has_published": False}
    found = beside(evidence.published, evidence.records, _ours(evidence))
    shown = [row.ours for row in found.rows if row.ours] or [evidence.records[0]]
    models = dict.fromkeys(str(record.config["model"]) for record in shown)
    return {"published": found, "has_published": True, "published_models": list(models)}


def _ours(evidence: Evidence) -> dict[str, float | None]:
    """Our figures under the names that published files use."""
    winner, test = evidence.winner, evidence.test or {}
    if winner is None or winner.at_overfit is None:
        return {}
    classes = test.get("classes") or []
    guess = words.chance(evidence)
    speed = setting_figures.cost(winner).speed
    rows = None if evidence.corpus is None else len(evidence.corpus.train.rows)
    an_epoch = rows / speed if rows and speed else None
    return {
        "lr": lr_of(winner),
        "batch_size": float(batch_of(winner)),
        "val_accuracy": winner.at_overfit.val_accuracy,
        "train_samples_per_second": speed,
        "train_step_ms": 1000 * batch_of(winner) / speed if speed else None,
        "train_seconds_per_epoch": an_epoch,
        "train_seconds": None if an_epoch is None else an_epoch * len(winner.curve),
        "chance": None if guess is None else guess[1],
        "test_accuracy": test.get("accuracy"),
        "test_rows": test.get("rows"),
        "test_f1": classes[1]["f1"] if len(classes) == 2 else test.get("macro_f1"),
        **{name: test.get(name) for name in ("macro_precision", "macro_recall", "macro_f1")},
    }


def data(evidence: Evidence, add: Add) -> Values:
    """The data card."""
    if evidence.corpus is None:
        return {"card": None, "balance": None, "lengths": None, "dropped": []}
    card = evidence.corpus.card
    tokens = card["tokens"]
    balance = card["balance"] if card["classes"] else None
    return {
        "card": card,
        "dropped": [(REASONS.get(reason, reason), count) for reason, count in card["dropped"].items() if count],
        "balance": add(
            None if balance is None else data_figures.class_balance(balance),
            "Rows of each class. Classes with few rows are learned last and weigh as much as others in macro figures.",
        ),
        "lengths": add(
            data_figures.token_lengths(tokens),
            f"Sentences by length in tokens. The cut is at {tokens['max_length']} (data.max_length); "
            + (
                f"{tokens['rows_truncated']:,} sentences are longer and lose {tokens['tokens_truncated']:,} tokens."
                if tokens["rows_truncated"]
                else f"the longest has {tokens['longest']:,}, so nothing is cut."
            ),
        ),
    }


def test(evidence: Evidence, add: Add) -> Values:
    """What `best` found on the test split, if it was run."""
    found: Mapping[str, Any] | None = evidence.test
    before = {"tested_before": evidence.tested_before}
    if found is None or "confusion" not in found:
        return {**before, "test": found, "test_interval": None, "confusion": None, "confusions": []}
    return {
        **before,
        "test": found,
        "test_interval": wilson(round(found["accuracy"] * found["rows"]), found["rows"]),
        "confusion": add(
            data_figures.confusion_matrix(found["labels"], found["confusion"]),
            "Test sentences by true class (rows) and predicted class (columns), as a share of the true class. A "
            "perfect model fills the diagonal; a dark cell beside it is a pair of classes taken for each other.",
        ),
        "confusions": largest_confusions(found, CONFUSIONS),
    }


def _pruned(evidence: Evidence) -> Values:
    """How many trials were stopped before their last epoch, by whom, and what that saved."""
    stopped = [record for record in evidence.records if record.state == "pruned"]
    by = dict.fromkeys((record.stopped_by or "a pruner").split(" in ")[0] for record in stopped)
    return {"trials": len(stopped), "by": list(by), "seconds": sum(map(setting_figures.unspent, stopped))}


def cost(evidence: Evidence, add: Add) -> Values:
    """Seconds, speed, and what early stopping would have saved."""
    costs = [(record, setting_figures.cost(record)) for record in evidence.records if record.curve]
    shown = costs[: len(evidence.shown)]
    total = sum(one.seconds for _, one in costs)
    return {
        "costs": shown,
        "cost_trials": len(costs),
        "total_seconds": total,
        "pruned": _pruned(evidence),
        "other_winner": setting_figures.winner_if_stopped(evidence.records),
        "saved_seconds": sum(one.saved for _, one in costs),
        "cost_plot": add(
            setting_figures.cost_figure([record for record, _ in shown]) if total else None,
            f"Seconds of {_which(evidence)}. The hatched part came after the epoch at which early stopping at the "
            "overfitting point would have ended it.",
        ),
    }
