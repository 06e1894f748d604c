"""Evidence → one HTML page that needs nothing but itself.

Every text goes through Jinja's autoescape, every figure through JSON whose `<`, `>` and `&` are escaped, every
text inside a figure through `drawing.plain`: what a user named can break neither the page nor a plot. A
content security policy in the page forbids the browser any request at all.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sweeper.reporting import sections
from sweeper.reporting.answer import NONE, VERDICTS, figure_text, listed, p_text
from sweeper.reporting.baseline import Baseline
from sweeper.reporting.curve_figures import also_text, title
from sweeper.reporting.drawing import Figure, short
from sweeper.reporting.evidence import Evidence
from sweeper.study.seeds_table import estimate_text

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Plot:
    """A figure's place in the page."""

    number: int
    height: int
    caption: str
    heading: str = ""
    small: bool = False


class Plots:
    """Hands out places and keeps the figures, which stand in one script at the end of the page."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []

    def add(self, figure: Figure | None, caption: str, heading: str = "", *, small: bool = False) -> Plot | None:
        """A place for this figure; None for none."""
        if figure is None:
            return None
        self.figures.append(figure)
        return Plot(len(self.figures) - 1, figure["layout"]["height"], caption, heading, small)


def render(evidence: Evidence, baseline: Baseline | None, made: Mapping[str, Any]) -> str:
    """The page.

    Args:
        baseline: None where it was not made.
        made: name → text or nested values, shown under "How it was made".
    """
    plots = Plots()
    context = {
        "name": evidence.name,
        "evidence": evidence,
        "regression": evidence.regression,
        **sections.answer(evidence, baseline),
        **sections.seeds(evidence),
        **sections.trials(evidence),
        **sections.pictures(evidence, plots.add),
        **sections.published(evidence),
        **sections.data(evidence, plots.add),
        **sections.test(evidence, plots.add),
        **sections.cost(evidence, plots.add),
        "made": made,
    }
    return (
        _environment()
        .get_template("report.html")
        .render(context, figures=script_json(plots.figures), plotly=Markup(_plotly()))
    )


def script_json(value: Any) -> Markup:
    """JSON that may stand inside a script element, whatever texts it holds."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "number": number,
        "signed": lambda value: NONE if value is None else f"{value:+.4f}",
        "share": lambda value: f"{value:.1%}",
        "p": p_text,
        "verdict": VERDICTS.__getitem__,
        "listed": listed,
        "short": short,
        "title": title,
        "also": also_text,
        "json": lambda value: json.dumps(value, ensure_ascii=False, indent=2),
    }
    environment.globals |= {"figure_text": figure_text, "estimate_text": estimate_text}
    return environment


def number(value: float | None, digits: int = 4) -> str:
    """Rounded, with commas; a dash for what does not exist."""
    return NONE if value is None or value != value else f"{value:,.{digits}f}"


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
