"""The outbox: order is kept, nobody is kept waiting, and closing says whether all of it was done."""

import threading
import time

from sweeper.outbox import Outbox


def test_the_outbox_repeats_in_order_until_it_works():
    done: list[int] = []
    notices: list[str] = []
    failures = iter([True, True, False])

    def unreliable() -> None:
        if next(failures):
            raise ConnectionError("away")
        done.append(1)

    outbox = Outbox(hopeless=lambda _: False, notice=lambda trouble, _: notices.append(trouble))
    outbox.put(unreliable)
    outbox.put(lambda: done.append(2))
    assert outbox.close(timeout=5, at_most=5)
    assert done == [1, 2]
    assert notices == ["behind", "again"]


def test_closing_waits_beyond_the_timeout_while_things_move():
    outbox = Outbox(hopeless=lambda _: False, notice=lambda *_: None)
    for _ in range(6):
        outbox.put(lambda: time.sleep(0.1))
    assert outbox.close(timeout=0.3, at_most=5)


def test_closing_hastily_waits_for_nothing_that_takes_its_time():
    begun, over = threading.Event(), threading.Event()
    outbox = Outbox(hopeless=lambda _: False, notice=lambda *_: None, patient=True)
    outbox.put(lambda: begun.set() or over.wait(20), patient=True)  # as mlflow's import does
    assert begun.wait(5)
    start = time.monotonic()
    assert not outbox.close(timeout=0.2, at_most=60, hasty=True)
    over.set()
    assert time.monotonic() - start < 10


def test_what_is_refused_again_and_again_is_dropped_and_the_rest_goes_on():
    done: list[int] = []
    notices: list[str] = []
    outbox = Outbox(lambda error: isinstance(error, KeyError), lambda trouble, _: notices.append(trouble))
    outbox.put(lambda: {}["absent"])
    outbox.put(lambda: done.append(2))
    assert not outbox.close(timeout=5, at_most=5)
    assert (done, notices) == ([2], ["dropped"])


def test_closing_twice_says_the_same():
    outbox = Outbox(hopeless=lambda _: True, notice=lambda *_: None)
    outbox.put(lambda: {}["absent"])
    assert not outbox.close(2, 2)
    assert not outbox.close(2, 2)


def test_a_held_outbox_begins_when_it_is_told_to_or_closed():
    told, done = threading.Event(), []
    outbox = Outbox(lambda _: False, lambda *_: None, after=told)
    outbox.put(lambda: done.append(1))
    time.sleep(0.3)
    assert done == []
    told.set()
    assert outbox.close(timeout=5, at_most=5)
    closed = Outbox(lambda _: False, lambda *_: None, after=threading.Event())
    closed.put(lambda: done.append(2))
    assert closed.close(timeout=5, at_most=5)
    assert done == [1, 2]
