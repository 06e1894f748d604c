"""What `bench.replay` found, as pictures and words; every word that compares is made from the figures."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.publish import RESULTS, put_between, read_results
from bench.strategies import GRID, LR_BATCH, SHUFFLED, STRATEGIES, Strategy
from sweeper.study.sampling import STARTUP

Result = Mapping[str, Any]
Bands = Mapping[str, Mapping[str, Sequence[float]]]  # strategy → epochs, median, low, high, mean

CHECKPOINTS = (10, 25, 50, 100)  # percent of the grid's epochs
SHARES = 64  # steps of a picture's curves
MARK = "bench.replay"
SIGNS = {"better": " ↓", "worse": " ↑", "same": ""}
PANELS = ("whole trainings", "trainings that are ended early")
COLORS = {GRID: "#555555", SHUFFLED: "#999999", "random": "#0072B2", "tpe": "#D55E00", LR_BATCH: "#009E73"}
HYPERBAND, EARLIER = "#CC79A7", "#E69F00"
README, README_KO = (RESULTS.parent.parent / name for name in ("README.md", "README.ko.md"))
KOREAN = {GRID: "격자", SHUFFLED: "섞은 격자", "random": "무작위", LR_BATCH: "lr 다음 batch"}


def replayed(folder: Path = RESULTS) -> list[Result]:
    """The results that there are, in the order of their tables' names."""
    return [result for name, result in read_results(folder).items() if name.startswith("replay-")]


def write_steps(curves: Bands, path: Path) -> None:
    """A line a strategy and budget."""
    names = ("epochs", "median", "low", "high", "mean")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["strategy", *names])
        for strategy, bands in curves.items():
            for values in zip(*(bands[name] for name in names), strict=True):
                rows.writerow([strategy, *(f"{value:.6g}" for value in values)])


def draw_regret(result: Result, curves: Bands, path: Path) -> None:
    """Medians as lines, 10–90% as bands, in points of validation accuracy; one panel without pruning, one with."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with pyplot.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9}):
        figure, panels = pyplot.subplots(1, 2, figsize=(9.6, 4.0), sharey=True, layout="constrained")
        for strategy in STRATEGIES:
            bands, axes = curves[strategy.name], panels[int(strategy.prune != "none")]
            color = _color(strategy)
            epochs = bands["epochs"]
            low, middle, high = ([100 * value for value in bands[name]] for name in ("low", "median", "high"))
            axes.step(epochs, middle, where="post", color=color, label=strategy.name, linewidth=1.5)
            if strategy.is_drawn:
                axes.fill_between(epochs, low, high, step="post", color=color, alpha=0.15, linewidth=0)
        for axes, title in zip(panels, PANELS, strict=True):
            axes.set(title=title, xlabel="epochs trained", xlim=(0, result["epochs"]))
            axes.grid(True, alpha=0.3)
            axes.legend(frameon=False)
        most = 100 * max(_later(bands, "high", result["epochs"] * CHECKPOINTS[0] / 100) for bands in curves.values())
        panels[0].set(ylabel="regret, points of validation accuracy", ylim=(-0.02 * most, 1.05 * most))
        figure.suptitle(f"{result['about']['data']}: median and 10–90% of {_seeds(result)} seeds")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def _color(strategy: Strategy) -> str:
    if strategy.prune == "hyperband":
        return HYPERBAND
    return COLORS[strategy.chooses] if strategy.startup == STARTUP else EARLIER


def _later(bands: Mapping[str, Sequence[float]], name: str, first: float) -> float:
    """The largest value from so many epochs on; before the first trial has ended, the whole score is missing."""
    return max(value for epochs, value in zip(bands["epochs"], bands[name], strict=True) if epochs >= first)


def _seeds(result: Result) -> int:
    return max(int(one["seeds"]) for one in result["strategies"])


def section(results: Sequence[Result]) -> Iterator[str]:
    """The part of `bench/results/README.md`, a line or block at a time."""
    if not results:
        return
    yield "## Search beside the grid: `python -m bench.replay`\n"
    yield (
        "Whole grids trained once (`python -m bench.curve_tables`), then searched again and again on paper, with the "
        "tool's own samplers, pruners and overfitting point. Regret: points of validation accuracy at the overfitting "
        "point below the table's best point, by epochs trained; median (10–90%), mean over the seeds. ↓ and ↑: the "
        "mean is below or above that of a shuffled grid at equal cost, by more than the 95% interval of the difference "
        "of the two. A search chooses from the grid's own rates and batch sizes; TPE's first 10 points are random.\n"
    )
    for result in results:
        yield from _table(result)


def _table(result: Result) -> Iterator[str]:
    about, best, rows = result["about"], result["best"], result["about"]["rows"]
    reached = "" if best["reached"] else ", not reached"
    low, high = result["interval"]
    yield (
        f"**{about['data']}**: {about['trainings']} trainings, {result['epochs']} epochs, {about['seconds']:,.0f} s; "
        f"{about['encoder']['name']} (`{about['encoder']['fingerprint']}`), seed {about['seed']}, {rows['train']:,} "
        f"training and {rows['validation']:,} validation rows. Best: lr {best['lr']:g}, batch {best['batch_size']}, "
        f"epoch {best['epoch']}{reached}, accuracy {best['score']:.4f} ({low:.3f}–{high:.3f}). `{about['command']}`\n"
    )
    yield f"| strategy | {' | '.join(f'{share}%' for share in CHECKPOINTS)} | ends after |"
    yield "|---" * (len(CHECKPOINTS) + 2) + "|"
    for one in result["strategies"]:
        cells = [_spread(one["at"][f"{share}"], one["seeds"]) for share in CHECKPOINTS]
        yield f"| {one['name']} | {' | '.join(cells)} | {_ends(one, result)} |"
    yield f"\n![{about['data']}: regret by epochs](replay-{result['table']}.svg)\n"


def _spread(at: Mapping[str, Any], seeds: int) -> str:
    low, middle, high, mean = (100 * at[name] for name in ("low", "median", "high", "mean"))
    several = f"{middle:.2f} ({low:.2f}–{high:.2f}), " if seeds > 1 else ""
    return f"{several}{mean:.2f}{SIGNS[at['against_shuffled']]}"


def _ends(one: Mapping[str, Any], result: Result) -> str:
    epochs = one["epochs"]["mean"]
    return f"{one['trials']['mean']:.0f} trainings, {epochs:.0f} epochs ({epochs / result['epochs']:.0%})"


def standing(results: Sequence[Result], share: int) -> dict[str, dict[str, int]]:
    """For `better` and `worse` than a shuffled grid of equal cost: the strategies, and on how many tables.

    `same` holds those that are told apart from it on none.
    """
    found: dict[str, dict[str, int]] = {"better": {}, "worse": {}, "same": {}}
    for strategy in STRATEGIES:
        if strategy.chooses == SHUFFLED:
            continue
        verdicts = [_of(result, strategy.name)["at"][f"{share}"]["against_shuffled"] for result in results]
        for verdict in ("better", "worse"):
            if times := verdicts.count(verdict):
                found[verdict][strategy.name] = times
        if set(verdicts) == {"same"}:
            found["same"][strategy.name] = len(results)
    return found


def _of(result: Result, name: str) -> Mapping[str, Any]:
    return next(one for one in result["strategies"] if one["name"] == name)


def in_short(results: Sequence[Result]) -> str:
    """What README says of it."""
    if not results:
        return "Whether a search finds better settings than the grid for the same epochs: **not measured** yet."
    sets = " / ".join(result["about"]["data"] for result in results)
    trainings = results[0]["about"]["trainings"]
    lines = [
        f"What that is worth: whole grids of {trainings} trainings, kept epoch by epoch ({sets}), searched on paper "
        f"with {_seeds(results[0])} seeds (`python -m bench.replay`). Points of validation accuracy that the best "
        "setting found by then lacks to the grid's best, mean; ↓ and ↑: less or more than a grid in shuffled order, "
        "beyond chance (95%). [More, with pictures](bench/results/README.md).",
        "",
        *_rows(results, ("after this share of the grid's epochs", "epochs in all"), {}),
        "",
    ]
    words = {"better": "less than a shuffled grid: {}", "worse": "more: {}", "same": "told apart on none: {}"}
    return "\n".join([*lines, *_told(results, "After {share}%", words, {})])


def in_short_korean(results: Sequence[Result]) -> str:
    """The same in README.ko.md."""
    if not results:
        return "같은 에포크 수로 격자보다 나은 설정을 찾는지는 아직 **재지 않았습니다**."
    sets = " / ".join(result["about"]["data"] for result in results)
    trainings = results[0]["about"]["trainings"]
    lines = [
        f"얼마나 쓸모가 있는지는 이렇게 쟀습니다. 격자의 학습 {trainings}번을 에포크마다 모두 기록해 두고({sets}), "
        f"그 기록 위에서 방법마다 시드 {_seeds(results[0])}개로 탐색을 되풀이했습니다(`python -m bench.replay`). "
        "표의 수는 그때까지 찾은 설정의 검증 정확도가 격자 전체의 최고보다 몇 %p 낮은지의 평균입니다. "
        "↓와 ↑는 섞은 격자를 같은 에포크만큼 돌린 것보다 우연 이상으로(95%) 작거나 크다는 뜻입니다. "
        "[그림과 자세한 표](bench/results/README.md)",
        "",
        *_rows(results, ("격자 에포크 가운데 쓴 비율", "쓴 에포크 전체"), KOREAN),
        "",
    ]
    words = {"better": "섞은 격자보다 작은 것: {}", "worse": "큰 것: {}", "same": "어디서도 구별되지 않는 것: {}"}
    return "\n".join([*lines, *_told(results, "{share}%에서", words, KOREAN)])


def _rows(results: Sequence[Result], heads: tuple[str, str], names: Mapping[str, str]) -> Iterator[str]:
    yield f"| {heads[0]} | {' | '.join(f'{share}%' for share in CHECKPOINTS)} | {heads[1]} |"
    yield "|---" * (len(CHECKPOINTS) + 2) + "|"
    for strategy in STRATEGIES:
        found = [_of(result, strategy.name) for result in results]
        cells = []
        for share in CHECKPOINTS:
            at = [one["at"][f"{share}"] for one in found]
            cells.append(" / ".join(f"{100 * one['mean']:.1f}{SIGNS[one['against_shuffled']]}" for one in at))
        spent = [one["epochs"]["mean"] / result["epochs"] for one, result in zip(found, results, strict=True)]
        cells.append(" / ".join(f"{share:.0%}" for share in spent))
        yield f"| {_named(strategy.name, names)} | {' | '.join(cells)} |"


def _told(results: Sequence[Result], start: str, words: Mapping[str, str], names: Mapping[str, str]) -> Iterator[str]:
    """A line a checkpoint; `(2/3)` is on how many of the tables."""
    for share in CHECKPOINTS:
        parts = []
        for verdict, some in standing(results, share).items():
            named = (f"{_named(name, names)}{_times(times, len(results))}" for name, times in some.items())
            parts += [words[verdict].format(", ".join(named))] if some else []
        yield f"- {start.format(share=share)} — {'; '.join(parts)}."


def _times(times: int, of: int) -> str:
    return "" if times == of else f" ({times}/{of})"


def _named(name: str, names: Mapping[str, str]) -> str:
    first, plus, prune = name.partition(" + ")
    return f"{names.get(first, first)}{plus}{prune}"


def write_documents(folder: Path = RESULTS) -> None:
    """Write README's part in both languages."""
    results = replayed(folder)
    put_between(README, MARK, in_short(results))
    put_between(README_KO, MARK, in_short_korean(results))
