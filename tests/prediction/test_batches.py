from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stancekit.prediction.batches import TokenBatch, plan, token_batches
from stancekit.prediction.tokens import TokenizedPairs, TokenLayout

LENGTHS = st.lists(st.integers(0, 61), max_size=40)


def tokenized(firsts: list[list[int]], seconds: list[list[int]], special: int, refused: set[int]) -> TokenizedPairs:
    sizes = [
        0 if i in refused else len(a) + len(b) + special for i, (a, b) in enumerate(zip(firsts, seconds, strict=True))
    ]
    return TokenizedPairs(
        [np.array(ids, dtype=np.int32) for ids in firsts],
        [np.array(ids, dtype=np.int32) for ids in seconds],
        np.array(sizes, dtype=np.int64),
        np.zeros(len(sizes), dtype=bool),
        dict.fromkeys(refused, "refused"),
    )


@given(LENGTHS, st.integers(1, 400), st.integers(61, 70))
def test_when_batches_are_planned_then_every_row_is_in_one_within_the_budget_the_longest_first(
    lengths: list[int], budget: int, longest: int
) -> None:
    batches = plan(np.array(lengths, dtype=np.int64), budget, longest)
    rows = [int(row) for places, _ in batches for row in places]
    assert sorted(rows) == [i for i, length in enumerate(lengths) if length]
    assert [lengths[row] for row in rows] == sorted((length for length in lengths if length), reverse=True)
    for places, padded in batches:
        most = max(lengths[row] for row in places)
        assert most <= padded < most + 4 and (padded % 4 == 0 or padded == longest)
        assert len(places) * padded <= budget or len(places) == 1
    for places, padded in batches[:-1]:
        # No batch but the last has room for one row more.
        assert (len(places) + 1) * padded > budget


@given(LENGTHS, st.integers(1, 400))
def test_when_the_lengths_are_the_same_then_so_are_the_batches(lengths: list[int], budget: int) -> None:
    first, second = (plan(np.array(lengths, dtype=np.int64), budget, 64) for _ in range(2))
    assert [(rows.tolist(), padded) for rows, padded in first] == [(rows.tolist(), padded) for rows, padded in second]


def test_when_lengths_are_planned_then_the_batches_are_those_worked_out_by_hand() -> None:
    batches = plan(np.array([3, 0, 17, 9, 8, 20, 16]), budget=32, longest=20)
    assert [(rows.tolist(), padded) for rows, padded in batches] == [([5], 20), ([2], 20), ([6, 3], 16), ([4, 0], 8)]
    assert plan(np.array([], dtype=np.int64), 32, 20) == [] and plan(np.array([0, 0]), 32, 20) == []


def test_when_pairs_of_two_lengths_share_a_batch_then_padding_masks_and_types_are_those_of_each() -> None:
    layout = TokenLayout(before=(101,), between=(102, 103), after=(104,), types=(0, 0, 1, 1, 2), pad=9)
    found = list(token_batches(tokenized([[1], [2, 3, 4]], [[5], [6]], 4, set()), layout, 1000, 64))
    assert len(found) == 1
    (batch,) = found
    assert batch.rows.tolist() == [1, 0]
    assert batch.input_ids.tolist() == [[101, 2, 3, 4, 102, 103, 6, 104], [101, 1, 102, 103, 5, 104, 9, 9]]
    assert batch.attention_mask.tolist() == [[1] * 8, [1] * 6 + [0] * 2]
    assert batch.token_type_ids is not None
    assert batch.token_type_ids.tolist() == [[0, 0, 0, 0, 1, 1, 1, 2], [0, 0, 1, 1, 1, 2, 0, 0]]
    assert list(batch.inputs()) == ["input_ids", "attention_mask", "token_type_ids"]
    assert {array.dtype for array in batch.inputs().values()} == {np.dtype(np.int64)}


def test_when_the_model_has_no_types_then_no_batch_has_any() -> None:
    layout = TokenLayout(before=(0,), between=(2, 2), after=(2,), types=None, pad=1)
    (batch,) = token_batches(tokenized([[7, 8]], [[9]], 4, set()), layout, 100, 64)
    assert batch.token_type_ids is None and list(batch.inputs()) == ["input_ids", "attention_mask"]
    assert batch.input_ids.tolist() == [[0, 7, 8, 2, 2, 9, 2, 1]]


@pytest.mark.parametrize("budget", [1, 24, 10_000])
def test_when_a_pair_is_refused_then_it_is_in_no_batch_and_the_others_are_in_one(budget: int) -> None:
    layout = TokenLayout((1,), (2,), (3,), None, 0)
    pairs = tokenized([[4] * n for n in range(1, 8)], [[5]] * 7, 3, {2, 6})
    batches: list[TokenBatch] = list(token_batches(pairs, layout, budget, 64))
    assert sorted(int(row) for batch in batches for row in batch.rows) == [0, 1, 3, 4, 5]
    for batch in batches:
        for row, ids, mask in zip(batch.rows, batch.input_ids, batch.attention_mask, strict=True):
            assert ids[: mask.sum()].tolist() == [1, *[4] * (int(row) + 1), 2, 5, 3] and not ids[mask.sum() :].any()
