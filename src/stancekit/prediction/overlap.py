"""Work that goes on beside other work: reading ahead and writing behind, each in a thread of its own.

The threads are daemons: a reader that waits for a pipe must not keep an interrupted process from ending.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

_POLL = 0.1


def ahead(items: Iterable[Item], depth: int = 1) -> Iterator[Item]:
    """Yield the items, the next ``depth`` of them being made in another thread meanwhile.

    What making them raises is raised here, after the items before it.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(item: Item | None, error: BaseException | None = None, last: bool = False) -> bool:
        while not stopped.is_set():
            try:
                waiting.put((_Last if last else item, error), timeout=_POLL)  # type: ignore[arg-type]
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(None, last=True)
        except BaseException as error:
            put(None, error)

    threading.Thread(target=work, name="stancekit-ahead", daemon=True).start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _Last:
                return
            yield item  # type: ignore[misc]
    finally:
        stopped.set()


class _Last:
    """What comes after the last item."""


@contextmanager
def behind(write: Callable[[Item], None], depth: int = 1) -> Iterator[Callable[[Item], None]]:
    """Give a function that hands items to ``write``, which takes them one after the other in another thread.

    What ``write`` raises is raised by the next call, or at the end of the block; the items after it are not written. A
    block that ends in an exception leaves what still waits unwritten.
    """
    waiting: queue.Queue[Item | type[_Last]] = queue.Queue(maxsize=depth)
    failed: list[BaseException] = []
    abandoned = threading.Event()

    def work() -> None:
        while (item := waiting.get()) is not _Last:
            if failed or abandoned.is_set():
                continue
            try:
                write(item)  # type: ignore[arg-type]
            except BaseException as error:
                failed.append(error)

    def hand(item: Item) -> None:
        if failed:
            raise failed[0]
        waiting.put(item)

    thread = threading.Thread(target=work, name="stancekit-behind", daemon=True)
    thread.start()
    try:
        yield hand
    except BaseException:
        abandoned.set()
        raise
    finally:
        waiting.put(_Last)
        thread.join()
    if failed:
        raise failed[0]
