import random
from contextlib import suppress

import optuna
import pytest
from optuna.trial import TrialState
from records import epoch, point, prune, record

from sweeper.study.ledger import Ledger, open_storage
from sweeper.study.pruning import make_pruner


def open_ledger(folder, name, epochs):
    return Ledger(open_storage(None, folder), "made/lr@1", folder / "lock", make_pruner(prune(name), epochs))


@pytest.mark.parametrize("name", ["median", "halving", "hyperband"])
def test_verdicts_are_those_of_optuna(tmp_path, name):
    numbers = random.Random(0)
    accuracies = {str(one): [numbers.random() for _ in range(9)] for one in range(12)}
    points = [point(key, lr=1e-5 * (int(key) + 1)) for key in accuracies]
    ledger = open_ledger(tmp_path, name, epochs=9)
    reference = optuna.create_study(study_name="made/lr@1", direction="maximize", pruner=make_pruner(prune(name), 9))
    verdicts, expected = [], []
    for batch in (points[:2], points[2:]):  # the median is that of trials that have ended
        live = {ledger.claim([one], lambda p: False).key: reference.ask() for one in batch}
        for step in range(1, 10):
            for one in [one for one in batch if one.key in live]:
                value = accuracies[one.key][step - 1]
                live[one.key].report(value, step)
                expected.append((one.key, step, live[one.key].should_prune()))
                verdicts.append((one.key, step, ledger.report(one, epoch(step, val_accuracy=value))))
                if expected[-1][-1]:
                    reference.tell(live.pop(one.key), state=TrialState.PRUNED)
                    ledger.tell(one, record(one.key, (1.0,), (accuracies[one.key][0],), 1, "pruned"))
        for one in [one for one in batch if one.key in live]:
            reference.tell(live.pop(one.key), 0.5)
            ledger.tell(one, record(one.key, (1.0,), (accuracies[one.key][0],), 1))
    assert verdicts == expected
    assert any(stop for *_, stop in expected)


class Killed(BaseException):
    """A process ends here."""


def kill(*arguments, **more):
    raise Killed


@pytest.mark.parametrize("name", ["halving", "hyperband"])
@pytest.mark.parametrize(
    "at", ["optuna.trial.Trial.set_user_attr", "optuna.storages.JournalStorage.set_trial_system_attr"]
)
def test_a_verdict_outlives_a_kill_while_it_is_written(tmp_path, monkeypatch, name, at):
    points = [point(str(number), lr=1e-5 * (number + 1)) for number in range(8)]
    verdicts, rungs = [], []
    for folder, is_killed in ((tmp_path / "undisturbed", False), (tmp_path / "killed", True)):
        folder.mkdir()
        found = []
        for number, one in enumerate(points):
            worse_and_worse = epoch(1, val_accuracy=1 - number / 8)
            open_ledger(folder, name, 3).claim([one], lambda p: False)
            with monkeypatch.context() as patched, suppress(Killed):
                if is_killed:
                    patched.setattr(at, kill)
                open_ledger(folder, name, 3).report(one, worse_and_worse)
            found.append([open_ledger(folder, name, 3).report(one, worse_and_worse) for _ in range(2)])
        verdicts.append(found)
        study = optuna.load_study(study_name="made/lr@1", storage=open_storage(None, folder))
        rungs.append([trial.system_attrs.get("completed_rung_0") for trial in study.trials])
    assert verdicts[0] == verdicts[1]
    assert rungs[0] == rungs[1]
    assert {tuple(pair) for pair in verdicts[0]} == {(False, False), (True, True)}
