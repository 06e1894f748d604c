import pytest

from sweeper.study.wording import count, duration


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (180, "3 min"), (7500, "2 h 05 min")])
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_one_is_singular():
    assert [count(number, "minute") for number in (1, 8, 0.5)] == ["1 minute", "8 minutes", "0.5 minutes"]
