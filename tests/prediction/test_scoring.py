from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.models.base import Prediction
from stancekit.models.calibration import Calibration
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.pairs.model import Pair
from stancekit.prediction.batches import TokenBatch
from stancekit.prediction.engines.torch import pair_tokenizer
from stancekit.prediction.scoring import ModelScorer, TokenScorer
from tests.prediction.conftest import PAIRS, tiny_config


class Backwards:
    """An engine whose logits are those of a row's own ids, and that gives the last batch first."""

    description = "backwards"

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale
        self.batches: list[TokenBatch] = []

    def logits(self, batches: Iterable[TokenBatch]) -> Generator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        self.batches = list(batches)
        for batch in reversed(self.batches):
            sums = (batch.input_ids * batch.attention_mask).sum(axis=1)
            yield batch.rows, np.stack([sums % k for k in (3, 5, 7, 11)], axis=1).astype(np.float32) * self._scale


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> CrossEncoder:
    torch.manual_seed(2)
    return CrossEncoder.from_encoder(tiny_config(tiny_encoder))


def scorer(model: CrossEncoder, engine: Backwards, temperature: float | None = None, tokens: int = 64) -> TokenScorer:
    tokenizer = pair_tokenizer(model)
    assert tokenizer is not None
    calibration = None if temperature is None else Calibration(temperature, 0.5, 0.9, 10)
    return TokenScorer(tokenizer, engine, calibration, tokens)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


def logits_of(model: CrossEncoder, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    sums = [sum(inputs["input_ids"]) for inputs in model.encode(pairs)[0]]
    return np.array([[total % k for k in (3, 5, 7, 11)] for total in sums], dtype=np.float64)


def test_when_batches_come_back_in_another_order_then_every_pair_has_its_own_probabilities(model: CrossEncoder) -> None:
    engine = Backwards()
    tested = scorer(model, engine)
    found = tested.score(tested.prepare(PAIRS))
    assert len(engine.batches) > 10 and tested.description == "backwards"
    assert [int(row) for batch in engine.batches for row in batch.rows] != list(range(len(PAIRS)))
    np.testing.assert_allclose(found.probabilities, softmax(logits_of(model, PAIRS)), rtol=1e-12)
    assert found.truncated.tolist() == model.encode(PAIRS)[1].tolist() and not found.errors


def test_when_a_row_is_very_sure_then_its_probabilities_still_add_up_to_one(model: CrossEncoder) -> None:
    tested = scorer(model, Backwards(scale=400.0))
    found = tested.score(tested.prepare(PAIRS)).probabilities
    assert np.isfinite(found).all() and np.abs(found.sum(axis=1) - 1).max() < 1e-12 and found.max() == 1.0


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_when_the_model_has_a_temperature_then_logits_are_divided_by_it(
    model: CrossEncoder, temperature: float
) -> None:
    tested = scorer(model, Backwards(), temperature)
    found = tested.score(tested.prepare(PAIRS)).probabilities
    np.testing.assert_allclose(found, softmax(logits_of(model, PAIRS) / temperature), rtol=1e-9)


def test_when_a_pair_is_refused_then_its_row_is_zero_and_the_others_are_as_without_it(model: CrossEncoder) -> None:
    tested = scorer(model, Backwards(), temperature=2.0)
    bad = Pair("the minister wants it", "port " * 200)
    found = tested.score(tested.prepare([PAIRS[0], bad, *PAIRS[1:5], bad]))
    alone = tested.score(tested.prepare(PAIRS[:5]))
    assert list(found.errors) == [1, 6] and "has 200 tokens" in found.errors[1]
    assert not found.probabilities[[1, 6]].any()
    np.testing.assert_array_equal(found.probabilities[[0, 2, 3, 4, 5]], alone.probabilities)


def test_when_there_are_no_pairs_or_only_refused_ones_then_the_engine_gets_none(model: CrossEncoder) -> None:
    engine = Backwards()
    tested = scorer(model, engine)
    found = tested.score(tested.prepare([]))
    assert found.probabilities.shape == (0, 4) and found.truncated.shape == (0,)
    found = tested.score(tested.prepare([Pair("we", "port " * 200)]))
    assert engine.batches == [] and found.probabilities.tolist() == [[0] * 4] and list(found.errors) == [0]


def test_when_a_model_reads_pairs_itself_then_a_bad_pair_costs_no_other_its_scores(model: CrossEncoder) -> None:
    tested = ModelScorer(model, "the model itself")
    bad = Pair("we", "port " * 200)
    pairs = [*PAIRS[:7], bad, *PAIRS[7:12], bad, bad]
    found = tested.score(tested.prepare(pairs))
    assert sorted(found.errors) == [7, 13, 14] and "has 200 tokens" in found.errors[13]
    good = [i for i in range(len(pairs)) if i not in found.errors]
    expected = model.predict(PAIRS[:12], 8)
    np.testing.assert_allclose(found.probabilities[good], expected.probabilities, atol=1e-6)
    assert not found.probabilities[[7, 13, 14]].any()
    assert found.truncated[good].tolist() == expected.truncated.tolist()
    assert tested.score(tested.prepare([])).probabilities.shape == (0, len(OUTCOMES))


def test_when_a_model_reads_pairs_itself_then_threads_take_turns() -> None:
    inside = threading.Lock()

    class Alone:
        def predict(self, pairs: Sequence[Pair], batch_size: int) -> Prediction:
            # Tokenizers of transformers are set anew by every call.
            if not inside.acquire(blocking=False):
                raise AssertionError("two threads at once")
            try:
                if len(pairs) > 1 and any(pair.target == "bad" for pair in pairs):
                    raise UserError("bad")
                rows = np.array([[float(pair.statement), 0, 0, 0] for pair in pairs])
                return Prediction(rows, np.zeros(len(pairs), dtype=bool))
            finally:
                inside.release()

        def write(self, folder: Path) -> None:
            raise NotImplementedError

    tested = ModelScorer(Alone(), "alone")
    pairs = [[Pair(str(100 * k + i), "bad" if i == 3 else "t") for i in range(60)] for k in range(4)]
    found: dict[int, list[float]] = {}

    def work(k: int) -> None:
        found[k] = tested.score(tested.prepare(pairs[k])).probabilities[:, 0].tolist()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {k: [float(100 * k + i) for i in range(60)] for k in range(4)}
