"""What a book learns at once, it learns whole or not at all."""

from __future__ import annotations

import pytest

from selfright.log.memory_book import MemoryBook


@pytest.fixture
def book():
    """Return a book that knows one run, and of an outcome that names another."""
    book = MemoryBook(lambda _: [])
    book.place(["known"], [7])
    book.open("outcomes of the awaited", "awaited", 0)
    return book


def test_new_runs_are_claimed_in_order(book):
    """Each gets the next offset."""
    assert book.claim(["a", "b", "c"], 10)
    assert [book.run(run_id) for run_id in ("a", "b", "c", "known")] == [10, 11, 12, 7]


@pytest.mark.parametrize("odd", ["a", "known", "awaited"])
def test_a_claim_refused_leaves_no_trace(book, odd):
    """Repeated within the batch, known before, or named by an outcome already."""
    assert not book.claim(["a", "b", odd, "c"], 10)
    assert [book.run(run_id) for run_id in ("a", "b", "c", "awaited", "known")] == [None] * 4 + [7]
