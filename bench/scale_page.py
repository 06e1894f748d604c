"""What `bench.scale` found, as a picture and a table."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.publish import RESULTS, read_results

Result = Mapping[str, Any]


def scaled(results: Mapping[str, Result]) -> list[Result]:
    """Those of `bench.scale` among all results by their file's name, the smaller first."""
    found = [result for name, result in results.items() if name.startswith("scale-")]
    return sorted(found, key=lambda result: (result["trials"], result["workers"]))


def draw_costs(folder: Path = RESULTS) -> None:
    """The coordinator's cost of a trial against the trials already done: a line a size."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with pyplot.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
        for result in scaled(read_results(folder)):
            name = f"{result['trials']:,} trials, {result['workers']} worker{'s'[: result['workers'] > 1]}"
            axes.plot(*zip(*result["course"], strict=True), marker=".", label=name)
        axes.set(xscale="log", xlabel="trials done", ylabel="coordinator, processor ms a trial", ylim=(0, None))
        axes.set_title("Cost of a trial beside its training")
        axes.grid(True, alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(folder / "scale.svg", metadata={"Date": None})
        pyplot.close(figure)


def section(results: Sequence[Result]) -> Iterator[str]:
    """The page's part on scale as Markdown; nothing where nothing was measured."""
    if not results:
        return
    allowed = results[0]["allowed"]
    yield "## A sweep beside its training: `python -m bench.scale`\n"
    yield (
        "Training is played back at once; everything else (worker processes, study, records, resume states, MLflow's "
        "database) is real. *An epoch*, *a trial*: what the coordinator's main thread and its tracking take, by the "
        f"clock (allowed {1000 * allowed['epoch_seconds']:.0f} ms and {allowed['trial_seconds']} s). *Growth*: "
        "processor time of a trial in the last tenth of the sweep as a multiple of that in the second. *Whole*: by the "
        "clock, workers' writing and flushing included, that a trial adds when its training takes no time.\n"
    )
    yield (
        "| trials | workers | an epoch | a trial | growth | whole, a trial | coordinator's memory | MLflow's database "
        "| runs folder | status | report | best |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for one in results:
        commands, mib = one["commands"], one["mib"]
        cells = [
            f"{one['trials']:,}", str(one["workers"]), f"{1000 * one['epoch_seconds']:.1f} ms",
            f"{one['trial_seconds']:.3f} s", f"{one['growth']:.2f}", f"{one['whole_seconds']:.2f} s",
            f"{one['peak_mib']:,} MiB", f"{mib['mlflow']:,.0f} MiB", f"{mib['runs folder']:,.0f} MiB",
            *(f"{commands[name]:.1f} s" for name in ("status", "report", "best")),
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    yield "\n![Cost of a trial beside its training](scale.svg)\n"
