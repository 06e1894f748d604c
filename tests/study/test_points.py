from records import point

from sweeper.study.points import GridPoints


def test_a_grid_is_all_there_from_the_start():
    points = GridPoints((point("a"), point("b")))
    assert (points.most, points.size) == (2, "2 trials")
    assert not points.extend({})
    assert GridPoints((point("a"),)).size == "1 trial"
