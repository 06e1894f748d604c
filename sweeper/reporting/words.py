"""The answer in a few lines for the terminal: whoever does not open the page learns it too."""

from collections.abc import Iterator

from sweeper.reporting.answer import beside_baseline, figure_text, make_answer
from sweeper.reporting.baseline import Baseline
from sweeper.reporting.evidence import Evidence


def verdict(evidence: Evidence, baseline: Baseline | None) -> Iterator[str]:
    """How sure the choice is: the runner-up, the trials that cannot be told apart, the baseline, what to look at."""
    answer = make_answer(evidence)
    if answer.runner_up:
        yield answer.runner_up
    if len(answer.same) > 1:
        what = "configurations" if answer.seeds else "trials"
        yield f"{len(answer.same)} {what} cannot be told from the winner: {', '.join(answer.same)}."
    beside = None if baseline is None else beside_baseline(evidence, baseline)
    if beside is not None:
        model, loss = ("ridge", "a loss of ") if evidence.regression else ("logistic", "")
        figures = figure_text(beside.value, beside.interval)
        yield f"TF-IDF with {model} regression reaches {loss}{figures}. {beside.sentence}"
    yield from answer.notes
