"""What the page and `result.json` say of configurations with several seeds."""

import json
import re
from dataclasses import replace

import pytest
from scipy import stats

from sweeper.report import main, make_report
from sweeper.reporting import curve_figures, heat_map, sections, setting_figures
from sweeper.reporting.comparison import compare
from sweeper.reporting.evidence import gather
from sweeper.study.configurations import configurations, seed_of
from sweeper.study.record import TrialRecord
from sweeper.study.seeds_table import estimate_text
from tests.reporting import fabricated
from tests.reporting.reader import Reader
from tests.reporting.test_figures import check

RATES = (2e-5, 1e-5)


def with_scores(records, scores):
    """The records with other accuracies at every epoch."""
    made = []
    for record, score in zip(records, scores, strict=True):
        curve = tuple(replace(epoch, val_accuracy=score) for epoch in record.curve)
        made.append(replace(record, curve=curve))
    return made


@pytest.fixture(scope="module")
def seeded(study, tmp_path_factory):
    """Two rates of three seeds each and a third one of one seed, as files."""
    runs = tmp_path_factory.mktemp("seeds")
    for seed in (0, 1, 2):
        more = {"train": {"batch_size": 64, "epochs": 10, "seed": seed}}
        fabricated.write_study(runs, "seeds", [(rate, 64) for rate in RATES], study.config, more=more)
    fabricated.write_study(runs, "seeds", [(1e-6, 64)], study.config)
    return runs


@pytest.fixture(scope="module")
def evidence(seeded):
    return gather(seeded, "seeds", [])


@pytest.fixture(scope="module")
def page(seeded):
    return make_report(seeded, "seeds", baseline=False).read_text(encoding="utf-8")


def test_of_very_many_the_best_configurations_are_listed_and_drawn_with_all_their_seeds(evidence, monkeypatch):
    sizes = [len(one.trials) for one in evidence.configurations]
    assert len(sizes) == 3
    for most, configurations_shown in ((sizes[0] + sizes[1], 2), (sizes[0] + sizes[1] - 1, 1), (sizes[0] - 1, 1)):
        monkeypatch.setattr("sweeper.reporting.evidence.MOST_SHOWN", most)
        few = replace(evidence)
        assert len(sections.seeds(few)["configurations"]) == configurations_shown
        assert few.shown == evidence.records[: sum(sizes[:configurations_shown])]


def test_the_page_has_each_configurations_mean_and_interval(page, evidence):
    text = Reader(page).text
    table = text[text.index("Each configuration by the mean of its seeds") : text.index("All trials")]
    for one in evidence.configurations[:2]:
        scores = list(one.scores.values())
        low, high = stats.t.interval(0.95, 2, loc=sum(scores) / 3, scale=stats.sem(scores))
        assert f"{sum(scores) / 3:.4f}" in table
        assert f"{low:.4f}–{high:.4f}" in table
        for seed, score in one.scores.items():
            assert f"seed {seed} {score:.4f}" in table
    assert "not compared: one seed" in table
    assert "Each interval is at 95% for itself" in table
    assert 'href="#configurations"' in page


def test_the_answer_is_the_mean_and_says_whose_the_weights_are(page, evidence):
    text = Reader(page).text
    answer = text[: text.index("Each configuration by the mean of its seeds")]
    winner, runner_up, _ = evidence.standings
    assert f"mean of 3 seeds {winner.configuration.estimate.mean:.4f} 95% interval" in answer
    assert f"The weights are those of seed {seed_of(evidence.winner)}, its best" in answer
    assert f"With the same seed the winner is better by {estimate_text(runner_up.lead)}" in answer
    assert evidence.winner.key == winner.configuration.best.key
    assert evidence.records[0].key == evidence.winner.key
    words = {"same": "1 configuration cannot be told from the winner", "worse": "1 configuration is worse"}
    assert words[runner_up.verdict] in answer
    assert "lr=1e-06 bs=64: not compared: one seed." in answer
    assert "train.seed" not in answer


def test_without_seeds_there_is_no_such_table(study):
    text = make_report(study.runs, study.name, baseline=False).read_text(encoding="utf-8")
    assert 'id="configurations"' not in text
    assert "study.seeds=3 shows how far" in text


def test_the_figures_as_json_have_means_intervals_and_leads(seeded, evidence, tmp_path):
    path = tmp_path / "result.json"
    page = tmp_path / "page.html"
    assert main(["--runs", str(seeded), "--no-baseline", "--output", str(page), "--record", str(path)]) == 0
    told = json.loads(path.read_text(encoding="utf-8"))
    first, second, third = told["configurations"]
    estimate = evidence.configurations[0].estimate
    assert (first["mean"], first["interval"]) == (estimate.mean, [estimate.interval.low, estimate.interval.high])
    assert set(first["seeds"]) == {"0", "1", "2"}
    assert second["lead"]["seeds"] == 3
    assert (third["verdict"], third["lead"], third["interval"]) == ("unknown", None, None)
    assert told["seeds"] == [0, 1, 2]
    assert told["winner"] in first["seeds"].values()


def test_seeds_that_a_study_still_asks_for_keep_a_configuration_behind(study, tmp_path):
    for seed in (0, 1):
        more = {"train": {"batch_size": 64, "epochs": 10, "seed": seed}}
        fabricated.write_study(tmp_path, "open", [(rate, 64) for rate in RATES], study.config, more=more)
    before = gather(tmp_path, "open", []).configurations
    best = before[0].best.varied["lr"]
    trials = {one.key: {"lr": best, "batch_size": 64, "seed": seed} for seed, one in enumerate(before[0].by_seed)}
    content = {
        "study": "lr",
        "trials": {**trials, "open": {"lr": best, "batch_size": 64, "seed": 2}},
        "config": {"train": {"seed": 0}, "study": {"seeds": 3}},
    }
    (tmp_path / "open" / "studies").mkdir()
    (tmp_path / "open" / "studies" / "lr@1.json").write_text(json.dumps(content), encoding="utf-8")
    after = gather(tmp_path, "open", []).configurations
    assert [one.best.varied["lr"] for one in after] == [one.best.varied["lr"] for one in before[::-1]]
    assert after[-1].missing == (2,)


def trials(rate, scores, **more):
    """A configuration's trials."""
    made = [
        fabricated.make_record(f"{rate}-{seed}", [1.0, 0.5, 0.7], lr=rate, val_accuracy=score, **more)
        for seed, score in enumerate(scores)
    ]
    return [
        replace(
            one,
            varied={**one.varied, "train.seed": str(seed)},
            config={**one.config, "train": {**one.config["train"], "seed": seed}},
        )
        for seed, one in enumerate(made)
    ]


@pytest.fixture(scope="module")
def ranked() -> list:
    return configurations([*trials(1e-3, (0.5, 0.7)), *trials(1e-4, (0.4, 0.5)), *trials(1e-5, (0.3,))])


def flat(ranked) -> list[TrialRecord]:
    return [trial for one in ranked for trial in one.trials]


def test_the_line_goes_through_the_means_and_every_seed_is_a_pale_point(ranked):
    figure = check(setting_figures.against(ranked, compare(flat(ranked), {}, None, 100), "lr", regression=False))
    line, seeds = figure["data"]
    assert (line["x"], line["y"]) == ([1e-5, 1e-4, 1e-3], pytest.approx([0.3, 0.45, 0.6]))
    assert line["error_y"]["array"][2] == pytest.approx(12.706 * 0.1, rel=1e-4)  # t of one degree of freedom
    assert sorted(zip(seeds["x"], seeds["y"], strict=True)) == [(1e-4, 0.4), (1e-4, 0.5), (1e-3, 0.5), (1e-3, 0.7)]
    assert seeds["marker"]["color"] == line["line"]["color"]
    assert seeds["marker"]["opacity"] < 1


def test_seeds_of_a_configuration_share_a_colour_and_the_winners_best_is_thick(ranked):
    figure = check(curve_figures.validation_losses(ranked))
    looks = {trace["name"]: (trace["line"]["color"], trace["line"]["width"]) for trace in figure["data"]}
    by_rate: dict[str, set[str]] = {}
    for name, (color, _) in looks.items():
        by_rate.setdefault(re.match(r"lr=\S+", name)[0], set()).add(color)
    assert [len(colors) for colors in by_rate.values()] == [1, 1, 1]
    assert len(set.union(*by_rate.values())) == 3
    assert [name for name, (_, width) in looks.items() if width == 4] == ["lr=0.001 bs=64 train.seed=1"]


def test_a_cell_of_a_grid_is_the_mean():
    made = [
        trial
        for size in (16, 32)
        for rate, scores in ((1e-3, (0.5, 0.7)), (1e-4, (0.1, 0.2)))
        for trial in trials(rate, [score + size / 1000 for score in scores], batch_size=size)
    ]
    figure = check(heat_map.heat_map(configurations(made), regression=False))
    assert figure["data"][0]["text"] == [["0.1660", "0.6160"], ["0.1820", "★ 0.6320"]]
