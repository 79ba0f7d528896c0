"""Prepares the batches of a training in another thread, while the network trains on earlier ones.

It is meant for batches that a gallery model embeds: small networks leave cores unused, which it
takes. `edgecmp.benchmarks.studies.ahead` measures what that brings.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Any, TypeVar

import torch

__all__ = ["made_ahead"]

Item = TypeVar("Item")


def made_ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """The same items in the same order, each made while the one before it is used.

    Until the end, the calling thread has half of torch's threads, and the other one has all. An
    exception of `items` is raised where its item would be returned. No item is made after the loop
    over them has ended.

    Args:
        items: an iterator that nothing else uses meanwhile.
    """
    threads = torch.get_num_threads()
    made: SimpleQueue[Any] = SimpleQueue()
    wanted, stopped, end = Semaphore(2), Event(), object()

    def work() -> None:
        torch.set_num_threads(threads)  # of this thread
        while True:
            wanted.acquire()
            if stopped.is_set():
                return
            try:
                item = next(items, end)
            except BaseException as error:
                made.put((None, error))
                return
            made.put((item, None))

    # Not a pool: worker processes of a DataLoader that are forked by its thread would fail at exit.
    thread = Thread(target=work, name="edgecmp-ahead", daemon=True)
    thread.start()
    try:
        torch.set_num_threads(max(1, threads // 2))
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
            wanted.release()
    finally:
        stopped.set()
        wanted.release()
        thread.join()
        torch.set_num_threads(threads)
        if isinstance(items, Generator):
            items.close()
