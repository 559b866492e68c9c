from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stancekit.pairs.model import Pair
from stancekit.prediction.memo import Block, Memo, key_of
from stancekit.prediction.scoring import Scores

SHORT = st.text(alphabet="ab 01\0-", max_size=4)
TRIPLES = st.tuples(SHORT, SHORT, st.none() | SHORT)
WINDOWS = st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=12)


def pairs(numbers: list[int]) -> list[Pair]:
    return [Pair(f"statement {number}", "t") for number in numbers]


def numbers(found: list[Pair]) -> list[int]:
    return [int(pair.statement.split()[1]) for pair in found]


def scored(block: Block, errors: dict[int, str] | None = None) -> Block:
    """Give a block scores that say which pair they are of."""
    count = len(block.keys)
    probabilities = np.array([[key[0] / 255, key[1] / 255, 0, 1 / 3] for key in block.keys]).reshape(-1, 4)
    block.scores = Scores(probabilities, np.arange(count) % 2 == 1, errors or {})
    return block


@given(TRIPLES, TRIPLES)
def test_when_two_pairs_differ_in_what_a_model_is_given_then_so_do_their_keys(
    first: tuple[str, str, str | None], second: tuple[str, str, str | None]
) -> None:
    assert (key_of(Pair(*first)) == key_of(Pair(*second))) == (first == second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Pair("ab", "c", "d"), Pair("a", "c", "bd")),
        (Pair("a", "dc", "b"), Pair("a", "c", "bd")),
        (Pair("a", "c", None), Pair("a", "c", "")),
        (Pair("a", "c", None), Pair("a", "c", "\0")),
        (Pair("1 1 a", "c", "b"), Pair("a", "c", "b")),
    ],
)
def test_when_what_runs_together_is_the_same_but_not_where_it_is_parted_then_the_keys_differ(
    one: Pair, other: Pair
) -> None:
    assert key_of(one) != key_of(other) and len(key_of(one)) == 16


def test_when_pairs_differ_in_label_id_and_other_columns_alone_then_they_are_the_same() -> None:
    assert key_of(Pair("a", "b", "c", "supports", "1", {"page": 1})) == key_of(Pair("a", "b", "c"))


def test_when_pairs_come_again_then_only_the_first_is_new_and_all_find_its_score() -> None:
    memo = Memo()
    first, new, places = memo.fold(pairs([1, 2, 1, 3, 2]))
    assert numbers(new) == [1, 2, 3] and len(first.keys) == 3
    assert places == [(first, 0), (first, 1), (first, 0), (first, 2), (first, 1)]
    second, new, places = memo.fold(pairs([3, 4, 4, 1]))
    assert numbers(new) == [4] and places == [(first, 2), (second, 0), (second, 0), (first, 0)]


def test_when_more_is_remembered_than_may_be_then_the_oldest_windows_go() -> None:
    memo = Memo(limit=4)
    for window in ([1, 2], [3, 4], [5]):
        memo.fold(pairs(window))
    _, new, _ = memo.fold(pairs([3, 5, 1]))
    assert numbers(new) == [1]
    _, new, _ = memo.fold(pairs([1, 2, 3, 4, 5]))
    assert numbers(new) == [2]


def test_when_one_window_is_larger_than_all_that_is_remembered_then_it_is_kept_until_the_next_new_pair() -> None:
    memo = Memo(limit=2)
    memo.fold(pairs([1, 2, 3]))
    for _ in range(2):
        _, new, _ = memo.fold(pairs([3, 2, 1]))
        assert new == []
    memo.fold(pairs([4]))
    _, new, _ = memo.fold(pairs([1, 4]))
    assert numbers(new) == [1]


@given(WINDOWS, WINDOWS, st.integers(1, 8), st.booleans())
def test_when_what_was_scored_is_restored_then_the_rest_goes_on_as_undisturbed(
    before: list[list[int]], after: list[list[int]], limit: int, empty_ones_too: bool
) -> None:
    undisturbed = Memo(limit)
    blocks = [scored(undisturbed.fold(pairs(window))[0]) for window in before]
    restored = Memo(limit)
    restored.restore(block for block in reversed(blocks) if block.keys or empty_ones_too)
    for window in after:
        (one, new, places), (other, again, found) = (memo.fold(pairs(window)) for memo in (undisturbed, restored))
        assert numbers(new) == numbers(again) and one.keys == other.keys
        assert [block.keys[at] for block, at in places] == [block.keys[at] for block, at in found]
        for (block, at), (twin, where) in zip(places, found, strict=True):
            if block is not one and block.scores and twin.scores:
                np.testing.assert_array_equal(block.scores.probabilities[at], twin.scores.probabilities[where])


@pytest.mark.parametrize(
    ("window", "errors"), [([1, 2, 3], {}), ([1, 2, 3], {2: "too – long", 0: "a 'b'\n\0c"}), ([], {}), ([7], {0: "x"})]
)
def test_when_a_block_goes_through_a_file_then_keys_scores_and_reasons_are_the_same(
    window: list[int], errors: dict[int, str]
) -> None:
    block = scored(Memo().fold(pairs(window))[0], errors)
    assert block.scores is not None
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **block.arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        found = Block.from_arrays(dict(arrays))
    assert found.keys == block.keys and found.scores is not None and found.scores.errors == errors
    assert found.scores.probabilities.shape == (len(window), 4)
    assert found.scores.probabilities.tobytes() == block.scores.probabilities.tobytes()
    assert found.scores.truncated.dtype == bool
    assert found.scores.truncated.tolist() == block.scores.truncated.tolist()
