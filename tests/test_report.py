import pytest

from sweeper.errors import UserError
from sweeper.report import main
from tests.reporting import fabricated


@pytest.fixture
def runs(tmp_path):
    config = fabricated.data_config(fabricated.write_table(tmp_path))
    fabricated.write_study(tmp_path / "runs", "small", [(2e-5, 64), (1e-5, 64)], config)
    return tmp_path / "runs"


def test_the_page_goes_beside_the_trials_and_its_path_is_printed(runs, capsys):
    assert main(["--runs", str(runs)]) == 0
    path = runs / "small" / "report.html"
    assert capsys.readouterr().out.strip() == str(path)
    assert "small" in path.read_text(encoding="utf-8")
    assert list((runs / "small").glob("baseline-*.json"))
    assert not list((runs / "small").glob(".report*"))


def test_the_terminal_says_how_sure_the_choice_is(runs, capsys):
    main(["--runs", str(runs)])
    said = capsys.readouterr().err
    assert "The runner-up, " in said
    assert "TF-IDF with logistic regression reaches " in said
    assert "the baseline." in said


def test_it_goes_where_it_is_sent_and_leaves_the_baseline_out(runs, tmp_path):
    target = tmp_path / "new" / "page.html"
    assert main(["--runs", str(runs), "--experiment", "small", "--output", str(target), "--no-baseline"]) == 0
    assert target.stat().st_size < 6e6
    assert not list((runs / "small").glob("baseline-*.json"))


def test_nothing_trained_sends_to_make_sweep(tmp_path):
    with pytest.raises(UserError, match="make sweep"):
        main(["--runs", str(tmp_path)])
    with pytest.raises(UserError, match="make sweep"):
        main(["--runs", str(tmp_path), "--experiment", "unknown"])


def test_an_output_that_cannot_be_written_is_a_users_mistake(runs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--output"):
        main(["--runs", str(runs), "--no-baseline", "--output", str(tmp_path / "file" / "page.html")])


def test_secrets_of_the_configuration_stay_out(runs):
    for path in runs.glob("small/trials/*/record.json"):
        path.write_text(path.read_text().replace('"model"', '"storage": "postgresql://me:hunter2@db", "model"', 1))
    main(["--runs", str(runs), "--no-baseline"])
    assert "hunter2" not in (runs / "small" / "report.html").read_text(encoding="utf-8")
