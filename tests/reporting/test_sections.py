"""What the sections of the page say of studies that are unfinished, pruned, mixed or published."""

import json

from sweeper.report import make_report
from sweeper.study.record import rank
from tests.reporting import fabricated
from tests.reporting.reader import Reader


def test_trials_that_differ_in_more_than_rate_and_batch_are_told_apart(study, tmp_path):
    for optimizer in ("sgd", "adamw"):
        more = {"optimizer": {"name": optimizer, "lr": 2e-5}, "model": f"encoder-of-{optimizer}"}
        fabricated.write_study(tmp_path, "both", [(2e-5, 64), (1e-5, 64)], study.config, more=more)
    page = make_report(tmp_path, baseline=False).read_text(encoding="utf-8")
    seen = Reader(page)
    names = [f"lr=2e-05 bs=64 model=encoder-of-{one} optimizer.name={one}" for one in ("sgd", "adamw")]
    figures = json.loads(seen.scripts[0])
    overlay = next(figure for figure in figures if len(figure["data"]) == 4 and "legend" in figure["layout"])
    assert len({trace["name"] for trace in overlay["data"]}) == 4
    for name in names:
        assert name in {trace["name"] for trace in overlay["data"]}
        assert seen.text.count(name) >= 2  # its own picture, its cost
    assert "<th>also</th>" in page
    assert "encoder-of-sgd; encoder-of-adamw" in seen.text or "encoder-of-adamw; encoder-of-sgd" in seen.text
    lines = [trace for trace in figures[0]["data"] if trace["mode"] == "lines+markers"]
    assert [len(line["x"]) for line in lines] == [2, 2]  # one line an optimizer


def test_an_unfinished_study_is_said_beside_the_answer(study, tmp_path):
    records = fabricated.write_study(tmp_path, "half", [(2e-5, 64), (1e-5, 64)], study.config)
    fabricated.list_study(tmp_path, "half", "lr@1", [*(one.key for one in records), "open", "untouched"])
    text = Reader(make_report(tmp_path, baseline=False).read_text(encoding="utf-8")).text
    assert "2 of 4 trials of the lr study have no result yet" in text[: text.index("All trials")]


def test_a_test_split_that_an_earlier_winner_has_seen_is_not_called_unread(study, tmp_path):
    records = rank(fabricated.write_study(tmp_path, "again", [(2e-5, 64), (1e-6, 64)], study.config))
    fabricated.write_test_report(tmp_path, "again", records[1].key, study.corpus)
    text = Reader(make_report(tmp_path, baseline=False).read_text(encoding="utf-8")).text
    assert "it was read before, for another winner (lr=1e-06 bs=64)" in text
    assert "has not been looked at yet" not in text
    fabricated.write_test_report(tmp_path, "again", records[0].key, study.corpus)
    text = Reader(make_report(tmp_path, baseline=False).read_text(encoding="utf-8")).text
    assert "The test split was read for another winner too (lr=1e-06 bs=64)" in text
    assert "Each class" in text


def test_an_unread_test_split_is_called_so(regression_study):
    text = Reader(make_report(regression_study.runs, baseline=False).read_text(encoding="utf-8")).text
    assert "The test split has not been looked at yet. It is read once" in text


def test_pruned_trials_win_if_their_score_is_final_and_the_cost_says_what_was_saved(study, tmp_path):
    more = {"train": {"batch_size": 64, "epochs": 20, "seed": 0}, "prune": {"name": "overfit"}}
    stopped = {"state": "pruned", "stopped_by": "overfit", "more": more}
    fabricated.write_study(tmp_path, "pruned", [(2e-5, 64), (1e-4, 64)], study.config, **stopped)
    fabricated.write_study(
        tmp_path, "pruned", [(1e-5, 64)], study.config, more=more, state="pruned", overfit_reached=False,
        stopped_by="median in pruned/lr@1",
    )  # fmt: skip
    text = Reader(make_report(tmp_path, baseline=False).read_text(encoding="utf-8")).text
    assert "3 of them were stopped before the last epoch (prune: overfit, median)" in text
    assert "about 60 seconds" in text  # 3 trials, 10 of 20 epochs, 2 seconds each
    assert "The runner-up, lr=0.0001 bs=64," in text
    assert '"prune": { "name": "overfit" }' in text
    table = text[text.index("All trials") : text.index("Learning rate and batch size")]
    assert table.count("– ") > 3  # the one without a final score


def test_stopping_earlier_is_not_said_to_keep_a_winner_that_it_would_not(study, tmp_path):
    fabricated.write_study(tmp_path, "wild", [(1e-6, 64)], study.config)
    losses = [1.0, 1.2, float("nan")]
    record = fabricated.make_record(
        "f" * 32, losses, data=study.corpus.fingerprint, config=study.config, lr=5e-3, val_accuracy=0.99
    )
    folder = tmp_path / "wild" / "trials" / record.key
    folder.mkdir()
    record.write(folder)
    text = Reader(make_report(tmp_path, baseline=False).read_text(encoding="utf-8")).text
    assert "but with another winner: lr=0.005 bs=64, which diverged after its overfitting point" in text
    assert "with the same winner" not in text


def test_a_grid_study_keeps_its_heat_map_beside_studies_that_thin_it_out(study, tmp_path):
    grid = fabricated.write_study(tmp_path, "grid", [(r, s) for r in (1e-5, 1e-6) for s in (16, 32)], study.config)
    fabricated.write_study(tmp_path, "grid", [(r / 3, 64 + n) for n, r in enumerate(fabricated.RATES)], study.config)

    def maps() -> list[dict]:
        figures = json.loads(Reader(make_report(tmp_path, baseline=False).read_text(encoding="utf-8")).scripts[0])
        return [one for one in figures if one["data"][0]["type"] == "heatmap"]

    assert maps() == []
    fabricated.list_study(tmp_path, "grid", "grid@1", [one.key for one in grid])
    (drawn,) = maps()
    assert [len(row) for row in drawn["data"][0]["z"]] == [2, 2]
    assert "★" not in json.dumps(drawn, ensure_ascii=False)  # the winner is in another study


def test_published_cost_stands_beside_the_winners(study, tmp_path, monkeypatch):
    fabricated.write_study(tmp_path / "runs", "known", [(2e-5, 64)], study.config)
    (tmp_path / "experiments" / "known").mkdir(parents=True)
    block = "cost: {train_seconds_per_epoch: 193, train_step_ms: 142, test_prediction: slow}\nwinner: {lr: 2.0e-5}\n"
    (tmp_path / "experiments" / "known" / "published.yaml").write_text(block)
    monkeypatch.chdir(tmp_path)
    text = Reader(make_report(tmp_path / "runs", baseline=False).read_text(encoding="utf-8")).text
    assert "train step ms 142 64 -78" in text  # 64 sentences at 1,000 a second
    assert f"train seconds per epoch 193 {len(study.corpus.train.rows) / 1000:.4g}" in text


def test_published_figures_say_which_of_our_trials_stands_beside_them(study, tmp_path, monkeypatch):
    for optimizer in ("sgd", "adamw"):
        more = {"optimizer": {"name": optimizer, "lr": 1e-6}}
        fabricated.write_study(tmp_path / "runs", "known", [(1e-6, 64)], study.config, more=more)
    (tmp_path / "experiments" / "known").mkdir(parents=True)
    block = "lr_study:\n- {lr: 1.0e-6, batch_size: 64, overfit_epoch: 3}\n"
    (tmp_path / "experiments" / "known" / "published.yaml").write_text(block)
    monkeypatch.chdir(tmp_path)
    text = Reader(make_report(tmp_path / "runs", baseline=False).read_text(encoding="utf-8")).text
    best = next(one for one in ("sgd", "adamw") if f"The runner-up, lr=1e-06 bs=64 optimizer.name={one}" not in text)
    assert f"1e-06 64 optimizer.name={best} 3 10* +7" in text
    assert "the best stands here" in text
