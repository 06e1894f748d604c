"""Results as files that can be committed: JSON, CSV, and pictures as SVG that are the same for the same figures."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SIZE = (6.4, 4.0)  # inches

Series = Mapping[str, Sequence[tuple[float, float]]]  # name → (size of the work, cost)


def write_json(result: Mapping[str, Any], path: Path) -> None:
    """One result, readable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Every result by the name of its file."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def put_between(document: Path, mark: str, text: str) -> None:
    """Write a document's generated part anew, between `<!-- from MARK -->` and `<!-- /from MARK -->`.

    Raises:
        ValueError: the document has no such part.
    """
    start, end = f"<!-- from {mark} -->", f"<!-- /from {mark} -->"
    before, found, rest = document.read_text(encoding="utf-8").partition(start)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{document.name} has no part between {start} and {end}")
    document.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")


def between(document: Path, mark: str) -> str:
    """A document's generated part."""
    text = document.read_text(encoding="utf-8").partition(f"<!-- from {mark} -->\n")[2]
    return text.partition(f"\n<!-- /from {mark} -->")[0]


def write_csv(series: Series, path: Path, x: str, y: str) -> None:
    """A line a point: the series' name, its x and its y."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["series", x, y])
        rows.writerows([name, f"{at:g}", f"{cost:.6g}"] for name, points in series.items() for at, cost in points)


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """How cost grows over the last step: 1 is in proportion, 2 with the square, 0 not at all."""
    (first, before), (last, after) = points[-2:]
    return math.log(after / before) / math.log(last / first)


def draw(series: Series, path: Path, title: str, x: str, y: str) -> None:
    """Both axes logarithmic, so that cost in proportion is a straight line rising at the dashed one's slope."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with pyplot.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=SIZE, layout="constrained")
        for name, points in series.items():
            label = f"{name} (at the end ∝ {x.split()[0]}^{exponent(points):.2f})"
            axes.plot(*zip(*points, strict=True), marker="o", label=label)
        longest = max(series.values(), key=lambda points: points[-1][1])
        (first, _), (last, cost) = longest[0], longest[-1]
        axes.plot([first, last], [cost * first / last, cost], "--", color="grey", linewidth=0.8, label="in proportion")
        axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y, title=title)
        axes.grid(True, which="major", alpha=0.3)
        axes.legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
