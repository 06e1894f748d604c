"""How long several studies take together is told from their configurations."""

from sweeper.config import compose_studies
from sweeper.study.sweep import epochs_of


def test_later_studies_count_every_epoch_they_may_train():
    lr, batch = compose_studies(["study=lr,batch"])
    assert epochs_of([batch], after=lr) == 30  # the fourth point is one of the lr study's
    assert epochs_of([lr], after=batch) == 80
    assert epochs_of([], after=lr) == 0
