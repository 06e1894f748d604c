import pytest

from sweeper.study.wording import count, duration


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (180, "3 min"), (7500, "2 h 05 min")])
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_one_is_singular():
    assert (count(1, "trial"), count(8, "trial")) == ("1 trial", "8 trials")
