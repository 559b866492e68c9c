from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from stancekit.prediction.overlap import ahead, behind

LONG = 30.0
"""Seconds after which a thread that should have come is given up."""


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("stancekit-")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for thread in ours():
        thread.join(LONG)
    assert ours() == []


def test_when_items_are_made_ahead_then_they_come_in_order_and_few_are_made_before_they_are_asked_for() -> None:
    made = 0

    def items() -> Iterator[int]:
        nonlocal made
        for number in range(50):
            made += 1
            yield number

    taken = []
    for item in ahead(items(), depth=2):
        taken.append(item)
        # Two wait, and one is held until there is room for it.
        assert made <= len(taken) + 3
    assert taken == list(range(50))
    assert list(ahead([])) == []


def test_when_one_item_is_in_use_then_the_next_is_made_meanwhile_in_another_thread() -> None:
    second = threading.Event()
    makers = []

    def items() -> Iterator[int]:
        for number in range(2):
            makers.append(threading.current_thread())
            yield number
            if number == 0:
                second.set()

    stream = ahead(items())
    assert next(stream) == 0 and second.wait(LONG)
    assert list(stream) == [1] and set(makers).isdisjoint({threading.main_thread()})


def test_when_nothing_is_asked_for_then_nothing_is_made() -> None:
    def items() -> Iterator[int]:
        made.append(1)
        yield 1

    made: list[int] = []
    stream = ahead(items())
    assert ours() == []
    stream.close()  # type: ignore[attr-defined]
    assert not ours() and not made


def test_when_making_an_item_fails_then_those_before_it_come_first() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("the third")

    stream = ahead(items(), depth=5)
    assert next(stream) == 1 and next(stream) == 2
    with pytest.raises(KeyError, match="the third"):
        next(stream)


def test_when_the_rest_is_not_wanted_then_its_making_ends() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(10**9):
            made.append(number)
            yield number

    stream = ahead(items())
    assert next(stream) == 0
    (thread,) = ours()
    stream.close()  # type: ignore[attr-defined]
    thread.join(LONG)
    assert not thread.is_alive() and len(made) <= 3


def test_when_items_are_written_behind_then_all_are_in_order_and_in_another_thread() -> None:
    written, writers = [], set()

    def write(item: int) -> None:
        written.append(item)
        writers.add(threading.current_thread())

    with behind(write) as hand:
        for number in range(20):
            hand(number)
    assert written == list(range(20)) and len(writers) == 1 and threading.main_thread() not in writers


def test_when_one_item_is_written_then_the_next_can_be_worked_on() -> None:
    began, go_on = threading.Event(), threading.Event()

    def write(item: int) -> None:
        began.set()
        assert go_on.wait(LONG)

    with behind(write) as hand:
        hand(1)
        assert began.wait(LONG)
        hand(2)  # It waits in the queue while the first is still being written.
        go_on.set()


def test_when_writing_fails_then_the_next_call_says_so_and_nothing_after_it_is_written() -> None:
    written, failed = [], threading.Event()

    def write(item: int) -> None:
        if item == 2:
            failed.set()
            raise OSError(28, "full")
        written.append(item)

    with pytest.raises(OSError, match="full"), behind(write) as hand:
        hand(1)
        hand(2)
        assert failed.wait(LONG)
        for number in range(3, 100):
            hand(number)
        pytest.fail("no call said so")
    assert written == [1]


def test_when_writing_the_last_item_fails_then_the_end_of_the_block_says_so() -> None:
    def write(item: int) -> None:
        raise OSError(28, "full")

    with pytest.raises(OSError, match="full"), behind(write) as hand:
        hand(1)


def test_when_the_block_fails_then_its_own_error_is_raised_and_what_waits_is_left_unwritten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began, go_on, written = threading.Event(), threading.Event(), []

    class Abandoned(threading.Event):
        def set(self) -> None:
            super().set()
            go_on.set()

    # Only once the block is known to have failed may the first item be done.
    instead = SimpleNamespace(Event=Abandoned, Thread=threading.Thread)
    monkeypatch.setattr("stancekit.prediction.overlap.threading", instead)

    def write(item: int) -> None:
        began.set()
        assert go_on.wait(LONG)
        written.append(item)

    with pytest.raises(KeyError, match="mine"), behind(write, depth=3) as hand:
        hand(1)
        assert began.wait(LONG)
        hand(2)
        hand(3)
        raise KeyError("mine")
    assert written == [1]
