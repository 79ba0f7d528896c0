"""Batches that are made in another thread: the same items, their errors, and torch's threads."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecmp.errors import UserError
from edgecmp.training.ahead import made_ahead


@given(st.lists(st.none() | st.integers()))
def test_the_items_are_the_same_in_the_same_order(items: list[int | None]) -> None:
    assert list(made_ahead(iter(items))) == items


def test_one_item_is_made_while_the_one_before_it_is_used() -> None:
    made = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    with closing(made_ahead(items())) as ahead:
        for number in range(3):
            assert next(ahead) == number
            assert made[number + 1].wait(10)
            assert not any(event.is_set() for event in made[number + 2 :])


def test_an_error_comes_in_the_place_of_its_item() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise UserError("A photo is broken.", "Remove it.")

    ahead = made_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(UserError, match="A photo is broken"):
        next(ahead)


def test_nothing_is_made_after_the_loop() -> None:
    before, made = threading.active_count(), []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with closing(made_ahead(items())) as ahead:
        assert next(ahead) == 0
    assert made in ([0], [0, 1])
    assert threading.active_count() == before


def test_what_an_unfinished_iterator_holds_is_released() -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    with closing(made_ahead(items())) as ahead:
        next(ahead)
    assert closed == [True]


def test_worker_processes_that_the_thread_starts_end_well() -> None:
    """A process that a thread of a pool forks joins itself at its end, and fails."""

    def items() -> Iterator[int | None]:
        process = multiprocessing.get_context("fork").Process(target=abs, args=(-1,))
        process.start()
        process.join()
        yield process.exitcode

    assert list(made_ahead(items())) == [0]


def test_both_threads_share_the_cores_until_the_end() -> None:
    def items() -> Iterator[int]:
        while True:
            yield torch.get_num_threads()

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with closing(made_ahead(items())) as ahead:
            assert [next(ahead) for _ in range(3)] == [4, 4, 4]
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
