"""Every figure must be one that plotly knows, and say what the records say."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sweeper.reporting import curve_figures, data_figures, heat_map, setting_figures
from sweeper.reporting.comparison import compare
from sweeper.reporting.drawing import labelled, plain, short, style
from sweeper.study.configurations import configurations
from tests.reporting.fabricated import EVIL, curve_of, dozen, make_record


def check(figure: dict[str, Any]) -> dict[str, Any]:
    """Refuse a figure with an attribute or value that plotly does not have."""
    from plotly.graph_objects import Figure

    Figure(figure)
    return figure


@pytest.fixture(scope="module")
def records():
    made = [
        make_record(f"{i}", curve_of(rate), lr=rate, batch_size=size, val_accuracy=0.5 - i / 100)
        for i, (rate, size) in enumerate(dozen()[1:])
    ]
    return [*made, make_record("gone", curve_of(5e-3), lr=5e-3, val_accuracy=0.1)]


@pytest.fixture(scope="module")
def grid():
    rates, sizes = (1e-3, 1e-4, 1e-5), (16, 32)
    return [
        make_record(f"{rate}{size}", [1.0, 0.5], lr=rate, batch_size=size, val_accuracy=0.5 + rate * size)
        for rate in rates
        for size in sizes
    ]


def test_a_trial_has_four_curves_and_a_dotted_line_at_its_overfitting_point():
    record = make_record("a", [3.0, 2.0, 2.5, 2.6])
    figure = check(curve_figures.small_multiple(record, (1.0, 3.0), 1.0, 4))
    assert [trace["name"] for trace in figure["data"]] == [
        "training loss", "validation loss", "training accuracy", "validation accuracy",
    ]  # fmt: skip
    assert figure["data"][1]["y"] == [3.0, 2.0, 2.5, 2.6]
    (line,) = figure["layout"]["shapes"]
    assert (line["x0"], line["x1"], line["line"]["dash"]) == (2, 2, "dot")


def test_a_regression_has_two_curves_and_no_accuracy_axis():
    record = make_record("a", [3.0, 2.0], val_accuracy=None)
    figure = check(curve_figures.small_multiple(record, (1.0, 3.0), curve_figures.accuracy_top([record]), 2))
    assert len(figure["data"]) == 2
    assert "yaxis2" not in figure["layout"]


def test_a_trial_without_a_finite_epoch_has_gaps_and_no_line():
    figure = check(curve_figures.small_multiple(make_record("a", [float("nan")]), (0.0, 1.0), 1.0, 1))
    assert figure["data"][1]["y"] == [None]
    assert "shapes" not in figure["layout"]


def test_one_wild_run_does_not_flatten_the_others(records):
    low, high, beyond = curve_figures.loss_range(records)
    assert beyond
    assert high < 5
    assert 0 < low < 0.5 + 1


def test_ordinary_losses_all_lie_in_the_range():
    calm = [make_record(f"{i}", [3.0, 2.0 + i / 10]) for i in range(5)]
    low, high, beyond = curve_figures.loss_range(calm)
    assert not beyond
    assert low < 0.9**2 * 2.0
    assert high > 3.0
    assert curve_figures.loss_range([])[2] is False


def test_all_validation_losses_are_in_one_picture_with_a_legend_that_switches(records):
    figure = check(curve_figures.validation_losses(configurations(records)))
    assert len(figure["data"]) == len(records)
    assert figure["layout"]["legend"]["itemclick"] == "toggle"
    assert figure["data"][-1]["line"]["width"] > figure["data"][0]["line"]["width"]  # the winner, drawn last


def test_no_other_line_looks_like_the_winners():
    many = [make_record(f"{i}", [3.0, 2.0], lr=1e-5 * (i + 1)) for i in range(60)]
    figure = check(curve_figures.validation_losses(configurations(many)))
    *others, winner = [(trace["line"]["color"], trace["line"]["dash"]) for trace in figure["data"]]
    assert winner[0] not in {color for color, _ in others}
    assert len(set(others)) == 36


def test_trials_of_two_optimizers_are_two_lines():
    made = [
        replace(
            make_record(f"{lr}{name}", [1.0, 0.5], lr=lr), varied={"lr": lr, "batch_size": 64, "optimizer.name": name}
        )
        for lr in (1e-5, 1e-4)
        for name in ("sgd", "adamw")
    ]
    figure = check(setting_figures.against(configurations(made), compare(made, {}, None, 100), "lr", regression=False))
    assert [trace["name"] for trace in figure["data"]] == ["bs=64 optimizer.name=adamw", "bs=64 optimizer.name=sgd"]
    assert [trace["x"] for trace in figure["data"]] == [[1e-5, 1e-4]] * 2


def test_accuracy_against_learning_rate_is_logarithmic_with_intervals(records):
    found = compare(records, {}, None, 100)
    figure = check(setting_figures.against(configurations(records), found, "lr", regression=False))
    assert figure["layout"]["xaxis"]["type"] == "log"
    line = next(trace for trace in figure["data"] if trace["name"] == "bs=64")
    assert line["x"] == sorted(line["x"])
    assert all(above > 0 for above in line["error_y"]["array"])
    assert any(trace["name"].startswith("no figure") and trace["x"] == [5e-3] for trace in figure["data"])


def test_a_search_that_varies_much_is_a_cloud_of_points_with_the_winner_by_itself():
    search = [
        replace(one, varied={**one.varied, "dropout": 0.1 + number / 100})
        for number in range(6)
        for one in [make_record(f"{number}", [1.0], lr=10.0 ** -(number % 3 + 3), val_accuracy=0.5 - number / 100)]
    ]
    figure = check(
        setting_figures.against(configurations(search), compare(search, {}, None, 100), "lr", regression=False)
    )
    cloud, winner = figure["data"]
    assert (cloud["name"], cloud["mode"], len(cloud["x"])) == ("other trials", "markers", 5)
    assert (winner["name"], winner["x"]) == ("bs=64 dropout=0.1", [1e-3])
    assert check(setting_figures.cost_figure(search))


def test_a_setting_that_does_not_vary_has_no_picture(records):
    same = [record for record in records if record.varied["batch_size"] == 64]
    assert (
        setting_figures.against(configurations(same), compare(same, {}, None, 9), "batch_size", regression=False)
        is None
    )


def test_a_grid_has_a_heat_map_and_two_crossing_studies_have_none(grid, records):
    figure = check(heat_map.heat_map(configurations(grid), regression=False))
    assert np.array(figure["data"][0]["z"]).shape == (2, 3)
    assert figure["data"][0]["text"][1][2] == f"★ {0.5 + 1e-3 * 32:.4f}"
    assert heat_map.heat_map(configurations(records), regression=False) is None


def test_a_star_is_the_winners_alone_and_holes_are_borne_where_asked(grid):
    elsewhere = make_record("best", [1.0], val_accuracy=0.9)
    assert "★" not in str(
        heat_map.heat_map(configurations(grid), regression=False, winner=configurations([elsewhere])[0])
    )
    corners = [grid[0], grid[3]]
    assert heat_map.heat_map(configurations(corners), regression=False) is None
    check(heat_map.heat_map(configurations(corners), regression=False, filled=0.0))


def test_a_cell_without_a_figure_is_crossed(grid):
    gone = make_record("gone", [float("nan")], lr=1e-3, batch_size=16)
    figure = check(heat_map.heat_map(configurations([*grid[1:], gone]), regression=False))
    assert [(mark["x"], mark["y"], mark["text"]) for mark in figure["layout"]["annotations"]] == [(2, 0, "×")]


def test_stopping_at_the_overfitting_point_needs_the_epoch_that_shows_the_rise():
    cost = setting_figures.cost(make_record("a", [3.0, 2.0, 2.5, 2.6, 2.7]))
    assert (cost.needed, cost.saved) == (6.0, 4.0)
    never = setting_figures.cost(make_record("a", [3.0, 2.0, 1.0]))
    assert (never.needed, never.saved) == (6.0, 0.0)
    assert setting_figures.cost(make_record("a", [])).speed is None


def test_a_pruned_trial_saved_the_epochs_that_it_was_not_given():
    stopped = make_record("a", [3.0, 2.0, 2.5], state="pruned", stopped_by="overfit")
    assert setting_figures.unspent(stopped) == 14.0  # 7 of 10 epochs of 2 seconds
    assert setting_figures.cost(stopped).saved == 0.0
    assert setting_figures.unspent(make_record("a", [3.0, 2.0, 2.5])) == 0.0


def test_stopping_everything_keeps_the_winner_unless_a_better_one_diverged_later():
    winner = make_record("a", [3.0, 2.0, 2.5])
    better = make_record("b", [3.0, 3.5, float("nan")], val_accuracy=0.6)
    never_rose = make_record("c", [3.0, float("nan")], val_accuracy=0.6, overfit_reached=False)
    assert setting_figures.winner_if_stopped([winner, never_rose]) is None
    found = setting_figures.winner_if_stopped([winner, better])
    assert found is not None
    assert found.key == "b"


def test_cost_is_drawn_for_every_trial(records):
    figure = check(setting_figures.cost_figure(records))
    assert [len(trace["y"]) for trace in figure["data"]] == [len(records)] * 2


def test_trials_that_differ_at_the_end_of_their_titles_have_other_labels_of_their_cost():
    made = [make_record(name, [3.0, 2.0]) for name in ("sgd", "adamw")]
    made = [replace(one, varied={**one.varied, "optimizer.name": one.key}) for one in made]
    assert len(set(setting_figures.cost_figure(made)["layout"]["xaxis"]["ticktext"])) == 2


def test_classes_are_drawn_most_frequent_first_even_if_names_look_alike():
    names = {"x" * 40: 5, "x" * 41: 9, "1": 7}
    figure = check(data_figures.class_balance({"train": names, "validation": names, "test": names}))
    assert figure["data"][0]["y"] == [9, 7, 5]
    assert figure["layout"]["xaxis"]["tickvals"] == [0, 1, 2]
    assert len(figure["data"]) == 2  # the test split's labels are no business of a report


def test_the_cut_stands_in_the_histogram_only_if_it_cuts():
    tokens = {"histogram": {"edges": [2.0, 4.0, 6.0], "counts": [3, 1]}, "max_length": 5}
    assert check(data_figures.token_lengths(tokens))["layout"]["shapes"][0]["x0"] == 5
    assert "shapes" not in data_figures.token_lengths({**tokens, "max_length": 128})["layout"]


def test_the_confusion_matrix_shows_shares_of_the_true_class():
    figure = check(data_figures.confusion_matrix([EVIL, "b"], [[3, 1], [0, 0]]))
    assert figure["data"][0]["z"] == [[0.75, 0.25], [0.0, 0.0]]
    assert EVIL not in str(figure)
    assert data_figures.confusion_matrix(["a"] * 151, [[1] * 151] * 151) is None


def test_names_cannot_be_markup():
    assert plain("<b>&amp;") == "&lt;b&gt;&amp;amp;"
    assert labelled("x", [EVIL])["ticktext"] == [plain(short(EVIL))]
    assert short("가" * 30) == "가" * 23 + "…"


def test_lines_differ_as_long_as_they_can():
    assert len({style(number) for number in range(42)}) == 42
