import optuna
import pytest
from optuna.trial import TrialState
from records import epoch, point, prune, record

from sweeper.errors import UserError
from sweeper.study.ledger import Ledger, open_storage
from sweeper.study.pruning import make_pruner
from sweeper.study.space import Point

POINTS = [point("a", lr=1e-3), point("b", lr=1e-4), point("c", lr=1e-5)]


@pytest.fixture
def ledger(tmp_path):
    return Ledger(open_storage(None, tmp_path), "made/lr@1", tmp_path / "lock")


def stored(tmp_path):
    study = optuna.load_study(study_name="made/lr@1", storage=open_storage(None, tmp_path))
    return {t.user_attrs["key"]: t for t in study.trials}


def optuna_trials(tmp_path):
    return optuna.load_study(study_name="made/lr@1", storage=open_storage(None, tmp_path)).trials


def test_each_point_is_claimed_once_while_its_holder_lives(ledger):
    claimed = [ledger.claim(POINTS, lambda p: False) for _ in range(4)]
    assert [p.key if p else None for p in claimed] == ["a", "b", "c", None]


def test_a_point_left_running_by_a_dead_process_keeps_its_number(ledger, tmp_path):
    ledger.claim(POINTS[:1], lambda p: False)
    again = Ledger(open_storage(None, tmp_path), "made/lr@1", tmp_path / "lock")
    assert again.claim(POINTS[:1], lambda p: True).key == "a"
    again.tell(POINTS[0], record("a"))
    assert [(t.number, t.state) for t in stored(tmp_path).values()] == [(0, TrialState.COMPLETE)]


def test_a_told_point_has_parameters_score_and_curve(ledger, tmp_path):
    ledger.claim(POINTS, lambda p: False)
    ledger.report(POINTS[0], epoch(1, val_accuracy=0.1))
    ledger.tell(POINTS[0], record("a"))
    trial = stored(tmp_path)["a"]
    assert trial.params == {"lr": 1e-3, "batch_size": 64}
    assert trial.value == 0.2
    assert trial.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}


def test_all_that_a_search_varies_are_parameters_whatever_their_kind(ledger, tmp_path):
    kinds = {"warmup": 0.1, "weight_decay": 2.0, "dropout": 0.0, "schedule": "linear", "seed": 10_000}
    others = {"warmup": 0.2, "weight_decay": 0.0, "dropout": 0.3, "schedule": "constant", "seed": 0}
    for key, more in (("a", kinds), ("b", others)):
        one = point(key)
        one = Point(one.key, {**one.varied, **more}, one.config)
        ledger.claim([one], lambda p: False)
        ledger.tell(one, record(key))
        assert stored(tmp_path)[key].params == one.varied


def test_telling_twice_changes_nothing(ledger, tmp_path):
    for score in (0.2, 0.9):
        ledger.tell(POINTS[0], record("a", accuracies=(0.1, score, 0.3)))
    assert len(stored(tmp_path)) == 1
    assert stored(tmp_path)["a"].value == 0.2


def test_a_point_trained_by_another_study_is_told_with_a_note(ledger, tmp_path):
    ledger.tell(POINTS[1], record("b"), note="taken over: already trained")
    assert stored(tmp_path)["b"].user_attrs["note"] == "taken over: already trained"
    assert ledger.claim([POINTS[1]], lambda p: False) is None


@pytest.mark.parametrize("state", ["diverged", "failed"])
def test_a_trial_without_a_score_is_failed_and_not_claimed_again(ledger, tmp_path, state):
    ledger.tell(POINTS[0], record("a", state=state))
    assert stored(tmp_path)["a"].state == TrialState.FAIL
    assert ledger.claim(POINTS[:1], lambda p: False) is None


def test_a_journal_line_cut_off_by_a_kill_is_mended(ledger, tmp_path):
    ledger.claim(POINTS, lambda p: False)
    with (tmp_path / "optuna.journal").open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    ledger.claim(POINTS, lambda p: False)
    assert set(stored(tmp_path)) == {"a", "b"}


def test_a_kill_between_putting_in_and_asking_loses_no_point(ledger, tmp_path):
    study = optuna.load_study(study_name="made/lr@1", storage=open_storage(None, tmp_path))
    study.enqueue_trial(dict(POINTS[1].varied), user_attrs={"key": "b", "varied": dict(POINTS[1].varied)})
    claimed = [ledger.claim(POINTS[:2], lambda p: True).key for _ in range(1)]
    for one in POINTS[:2]:
        ledger.tell(one, record(one.key))
    assert claimed == ["a"]
    assert len(study.trials) == 2
    assert {key: t.state for key, t in stored(tmp_path).items()} == {"a": TrialState.COMPLETE, "b": TrialState.COMPLETE}
    assert stored(tmp_path)["b"].params["lr"] == 1e-4


def test_a_point_that_ended_but_whose_record_is_gone_is_begun_anew(ledger, tmp_path):
    ledger.tell(POINTS[0], record("a"))
    assert ledger.claim(POINTS[:1], lambda p: False) is None
    assert ledger.claim(POINTS[:1], lambda p: True).key == "a"
    ledger.tell(POINTS[0], record("a", accuracies=(0.1, 0.6, 0.3)))
    assert stored(tmp_path)["a"].value == 0.6


def test_a_point_that_had_failed_is_entered_again_once_and_only_with_another_end(ledger, tmp_path):
    ledger.tell(POINTS[0], record("a", state="failed"))
    ledger.tell(POINTS[0], record("a", state="failed"))
    assert [t.state for t in optuna_trials(tmp_path)] == [TrialState.FAIL]
    for _ in range(2):
        ledger.tell(POINTS[0], record("a"))
    assert [t.state for t in optuna_trials(tmp_path)] == [TrialState.FAIL, TrialState.COMPLETE]


def test_a_pruner_compares_trials_and_its_verdict_outlives_a_restart(tmp_path):
    pruner = make_pruner(prune("median", first_epoch=2), epochs=3)
    ledger = Ledger(open_storage(None, tmp_path), "made/lr@1", tmp_path / "lock", pruner)
    ledger.tell(POINTS[0], record("a", accuracies=(0.5, 0.5, 0.5)))
    ledger.claim(POINTS[1:2], lambda p: False)
    assert not ledger.report(POINTS[1], epoch(1, val_accuracy=0.4))
    assert ledger.report(POINTS[1], epoch(2, val_accuracy=0.1))
    again = Ledger(open_storage(None, tmp_path), "made/lr@1", tmp_path / "lock")  # this one would not stop it
    assert not again.report(POINTS[1], epoch(1, val_accuracy=0.4))
    assert again.report(POINTS[1], epoch(2, val_accuracy=0.1))
    again.tell(POINTS[1], record("b", accuracies=(0.4, 0.1, 0.2), state="pruned"))
    assert stored(tmp_path)["b"].state == TrialState.PRUNED
    assert stored(tmp_path)["b"].intermediate_values[1] == 0.4


@pytest.mark.parametrize("name", ["halving", "hyperband"])
def test_halving_stops_most_of_many_and_never_the_best(tmp_path, name):
    ledger = Ledger(open_storage(None, tmp_path), "made/lr@1", tmp_path / "lock", make_pruner(prune(name), epochs=9))
    points = [point(str(number), lr=1e-5 * (number + 1)) for number in range(12)]
    stopped = set()
    for number, one in enumerate(reversed(points)):
        ledger.claim([one], lambda p: False)
        for step in range(1, 10):
            if one.key not in stopped and ledger.report(one, epoch(step, val_accuracy=1 - number / 12)):
                stopped.add(one.key)
    assert points[-1].key not in stopped
    assert len(stopped) >= 4


def test_a_pruned_trial_whose_record_is_lost_is_stopped_where_it_was_and_is_no_second_trial(tmp_path):
    ledger = Ledger(open_storage(None, tmp_path), "made/lr@1", tmp_path / "lock", make_pruner(prune("median"), 3))
    ledger.tell(POINTS[0], record("a", accuracies=(0.5, 0.5, 0.5)))
    ledger.claim(POINTS[1:2], lambda p: False)
    assert ledger.report(POINTS[1], epoch(1, val_accuracy=0.1))
    pruned = record("b", losses=(1.0,), accuracies=(0.1,), overfit=1, state="pruned")
    ledger.tell(POINTS[1], pruned)
    assert ledger.claim(POINTS[1:2], lambda p: True).key == "b"
    assert ledger.report(POINTS[1], epoch(1, val_accuracy=0.1))
    ledger.tell(POINTS[1], pruned)
    study = optuna.load_study(study_name="made/lr@1", storage=open_storage(None, tmp_path))
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.PRUNED]


def test_nothing_is_stopped_where_nothing_prunes(ledger):
    ledger.claim(POINTS, lambda p: False)
    assert not any(ledger.report(POINTS[0], epoch(step, val_accuracy=-step)) for step in range(1, 5))


def test_an_unreachable_storage_is_told_without_its_password(tmp_path):
    with pytest.raises(UserError, match="storage") as error:
        open_storage("postgresql://me:hunter2@localhost:1/none", tmp_path)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgres", "no URL; expected postgresql://"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("postgresql://me:hunter2@localhost:1/none", "onnection refused"),
        ("mysql+nosuchdriver://me:hunter2@db/optuna", "mysql.nosuchdriver"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_told_with_its_cause(tmp_path, url, told):
    with pytest.raises(UserError, match="storage") as error:
        open_storage(url, tmp_path)
    assert told in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_point_that_was_let_go_is_begun_as_a_new_trial_if_it_is_asked_for_again(ledger, tmp_path):
    ledger.claim(POINTS, lambda p: False)
    assert ledger.fates() == {"a": "open"}
    ledger.let_go(POINTS[0])
    ledger.let_go(POINTS[0])
    ledger.let_go(POINTS[1])  # never begun
    assert ledger.fates() == {"a": "let go"}
    assert ledger.claim(POINTS[:1], lambda p: False).key == "a"
    assert not ledger.report(POINTS[0], epoch(1, val_accuracy=0.1))
    ledger.tell(POINTS[0], record("a"))
    assert ledger.fates() == {"a": "told"}
    study = optuna.load_study(study_name="made/lr@1", storage=open_storage(None, tmp_path))
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.COMPLETE]


def test_a_point_that_a_kill_left_waiting_can_be_let_go(ledger, tmp_path):
    study = optuna.load_study(study_name="made/lr@1", storage=open_storage(None, tmp_path))
    study.enqueue_trial(dict(POINTS[1].varied), user_attrs={"key": "b", "varied": dict(POINTS[1].varied)})
    assert ledger.fates() == {"b": "open"}
    ledger.let_go(POINTS[1])
    assert [trial.state for trial in study.trials] == [TrialState.FAIL]
