"""What ends a sweep and opens `best` on a terminal: the table of trials or configurations, and who won."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeper.study.configurations import Configuration, has_seeds
from sweeper.study.seeds_table import epochs_text, seeds_table
from sweeper.study.table import results_table

if TYPE_CHECKING:
    from rich.console import Console

UNWATCHED = 200  # columns
MEANS = (
    "Means over seeds at the overfitting points; ± 95%: half of the mean's 95% interval (Student's t), which is wide "
    "for few seeds."
)
STAR = "*: in some seed validation loss never rose, and its last epoch stands in."


def print_results(console: "Console", ranked: Sequence[Configuration], title: str, *, trials: bool = False) -> None:
    """Print the table; a file or a pipe has no edge, so there every row has one line.

    Args:
        ranked: best first; where none has several seeds the rows are trials.
        trials: the rows are trials all the same.
    """
    if not console.is_terminal:
        console.width = max(console.width, UNWATCHED)
    winner = ranked[0].best.key if ranked[0].scores else None
    if trials or not has_seeds(ranked):
        return console.print(results_table([trial for one in ranked for trial in one.trials], winner, title))
    console.print(seeds_table(ranked, title))
    notes = [MEANS, *([STAR] if any(epochs_text(one).endswith("*") for one in ranked) else [])]
    return console.print("\n".join(notes), markup=False, highlight=False)
