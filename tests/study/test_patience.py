import optuna
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from records import epoch, point, prune, record

from sweeper.errors import UserError
from sweeper.study import patience
from sweeper.study.ledger import Ledger
from sweeper.study.pruning import make_pruner

WRITES = (
    "create_new_study",
    "create_new_trial",
    "set_trial_state_values",
    "set_trial_param",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_system_attr",
)
POINTS = [point("a", lr=1e-3), point("b", lr=1e-4), point("c", lr=1e-5)]


class Losing:
    """Makes the writes of a storage fail at the nth of them, before it is made or after."""

    def __init__(self, storage, nth=0, made=False):
        self.nth, self.made, self.count = nth, made, 0
        for name in WRITES:
            setattr(storage, name, self.wrapped(getattr(storage, name)))

    def wrapped(self, write):
        def call(*arguments, **more):
            self.count += 1
            lost = self.count == self.nth
            if lost and not self.made:
                raise StorageInternalError
            answer = write(*arguments, **more)
            if lost:
                raise StorageInternalError
            return answer

        return call


def life(storage, folder, said):
    """A study in which everything happens; what it leaves."""
    ledger = Ledger(storage, "made/lr@1", folder / "lock", make_pruner(prune("halving"), 3), said.append)
    told = set()

    def is_open(one):
        return one.key not in told

    def tell(one, *arguments):
        ledger.tell(one, *arguments)
        told.add(one.key)

    assert ledger.claim(POINTS, is_open).key == "a"
    assert not any([ledger.report(POINTS[0], epoch(step, val_accuracy=0.5)) for step in (1, 2, 3)])
    tell(POINTS[0], record("a"))
    assert ledger.claim(POINTS[1:], is_open).key == "b"
    assert ledger.report(POINTS[1], epoch(1, val_accuracy=0.1))
    tell(POINTS[1], record("b", state="pruned", accuracies=(0.1, 0.1, 0.1)))
    tell(POINTS[2], record("c"), "taken over: already trained")
    told.remove("c")  # its record is lost, and the new one is another
    assert ledger.claim(POINTS, is_open).key == "c"
    tell(POINTS[2], record("c", state="diverged"))
    dropped = point("d")
    assert ledger.claim([dropped], is_open).key == "d"
    ledger.let_go(dropped)
    trials = optuna.load_study(study_name="made/lr@1", storage=storage).trials
    return [
        (t.number, t.state, t.values, t.params, t.intermediate_values, t.user_attrs, t.system_attrs) for t in trials
    ]


def test_a_change_whose_answer_is_lost_is_repeated_without_a_duplicate(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.0)
    undisturbed = optuna.storages.InMemoryStorage()
    writes = Losing(undisturbed)
    expected = life(undisturbed, tmp_path, [])
    assert [trial[1].name for trial in expected] == ["COMPLETE", "PRUNED", "COMPLETE", "FAIL", "FAIL"]
    assert writes.count > 30
    for nth in range(1, writes.count + 1):
        for made in (False, True):
            storage, said = optuna.storages.InMemoryStorage(), []
            Losing(storage, nth, made)
            assert life(storage, tmp_path, said) == expected, (nth, made)
            assert len(said) == 2


class Owner:
    """Has methods that are patient."""

    def __init__(self, errors):
        self.errors, self.said = errors, []

    def say(self, text):
        self.said.append(text)

    @patience.patiently
    def ask(self, more):
        """Give an answer."""
        if self.errors:
            raise self.errors.pop(0)
        return more + 1


def test_what_is_away_for_a_while_is_waited_for_and_told_once(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.0)
    owner = Owner(
        [StorageInternalError(), sqlalchemy.exc.OperationalError("select", {}, Exception()), StorageInternalError()]
    )
    assert owner.ask(1) == 2
    assert owner.said == ["storage: the connection was lost; trying again for 120 s", "storage: it is there again"]
    assert owner.ask.__doc__ == "Give an answer."


def test_what_stays_away_ends_the_sweep_and_says_how_to_go_on(monkeypatch):
    monkeypatch.setattr(patience, "PATIENCE", -1.0)
    with pytest.raises(UserError, match="same command"):
        Owner([StorageInternalError()]).ask(1)


def test_an_error_of_another_kind_is_not_repeated():
    owner = Owner([ZeroDivisionError(), ZeroDivisionError()])
    with pytest.raises(ZeroDivisionError):
        owner.ask(1)
    assert len(owner.errors) == 1
