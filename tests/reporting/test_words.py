"""The answer on a terminal."""

import re

import pytest

from sweeper.reporting.baseline import find_baseline
from sweeper.reporting.evidence import gather
from sweeper.reporting.words import verdict


@pytest.mark.parametrize(
    ("which", "told"),
    [
        ("study", r"TF-IDF with logistic regression reaches \d\.\d{4} \("),
        ("regression_study", r"TF-IDF with ridge regression reaches a loss of \d+\.\d{4}\. "),
    ],
)
def test_the_baseline_is_called_what_it_was(which, told, request):
    found = request.getfixturevalue(which)
    evidence = gather(found.runs, found.name, [])
    lines = list(verdict(evidence, find_baseline(evidence.corpus, evidence.folder, wanted=True)))
    assert sum(re.match(told, line) is not None for line in lines) == 1
