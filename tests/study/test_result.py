"""Several studies of one command together."""

from records import of_seeds

from sweeper.study.result import StudyResult, together


def test_a_trial_of_two_studies_counts_once_and_seeds_of_both_go_together():
    first, second, third = of_seeds(1e-3, {0: 0.5, 1: 0.7, 2: 0.9})
    [one] = together(StudyResult(None, records, None, frozenset()) for records in ((first, second), (second, third)))
    assert list(one.scores) == [0, 1, 2]
    assert one.best is third
