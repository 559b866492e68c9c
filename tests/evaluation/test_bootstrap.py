from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stancekit.evaluation.bootstrap import drawn_scores, interval, resample, scored
from stancekit.evaluation.metrics import score
from stancekit.evaluation.predictions import Predictions
from stancekit.labels import OUTCOMES
from stancekit.metric_names import FURTHER_METRICS, METRICS
from stancekit.pairs.model import Pair

FURTHER = list(FURTHER_METRICS)


def rows(count: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    gold = generator.integers(4, size=count)
    return gold, generator.dirichlet(np.ones(4), size=count) * 0.6 + 0.4 * np.eye(4)[gold]


def predictions(count: int, clusters: list[str]) -> Predictions:
    gold, probabilities = rows(count)
    pairs = [Pair(f"statement {i}", "a target", label=OUTCOMES[outcome]) for i, outcome in enumerate(gold)]
    return Predictions(pairs, probabilities, clusters)


def test_when_clusters_are_drawn_then_every_resample_has_as_many_and_counts_are_poisson_like() -> None:
    drawn = resample(50, draws=4000, seed=1)
    assert drawn.shape == (4000, 50) and drawn.dtype == np.int64
    assert (drawn.sum(axis=1) == 50).all()
    # Multinomial: mean 1 and variance 1 - 1/50 of every count, and a cluster is left out with (1 - 1/50)^50.
    assert drawn.mean(axis=0) == pytest.approx(1, abs=0.08)
    assert drawn.var() == pytest.approx(0.98, abs=0.02)
    assert (drawn == 0).mean() == pytest.approx(0.98**50, abs=0.01)


def test_when_count_and_seed_are_the_same_then_so_are_the_draws() -> None:
    assert (resample(30, 20, seed=5) == resample(30, 20, seed=5)).all()
    assert (resample(30, 20, seed=5) != resample(30, 20, seed=6)).any()
    assert (resample(30, 20, seed=5) == resample(30, 40, seed=5)[:20]).all()


def test_when_there_is_no_cluster_then_that_is_an_error() -> None:
    with pytest.raises(ValueError, match="no cluster"):
        resample(0, 10, seed=0)
    with pytest.raises(ValueError, match="no cluster"):
        drawn_scores(np.array([], dtype=np.int64), np.zeros((0, 4)), np.array([], dtype=np.int64))


def test_when_resamples_are_scored_then_they_are_those_of_the_rows_that_were_drawn() -> None:
    gold, probabilities = rows(60)
    groups = np.random.default_rng(3).permutation(np.repeat(np.arange(12), [1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 12]))
    drawn = drawn_scores(gold, probabilities, groups, FURTHER, draws=6, seed=2)
    assert set(drawn) == {*METRICS, *FURTHER}
    for i, times in enumerate(resample(12, draws=6, seed=2)):
        taken = np.repeat(np.arange(60), times[groups])
        one = {name: values[i] for name, values in drawn.items()}
        assert one == pytest.approx(score(gold[taken], probabilities[taken], FURTHER), abs=1e-12)


def test_when_an_interval_is_taken_then_as_much_lies_below_as_above() -> None:
    assert interval(np.arange(101) / 100) == pytest.approx((0.025, 0.975))
    assert interval(np.arange(101) / 100, level=0.8) == pytest.approx((0.1, 0.9))


def test_when_rows_are_independent_then_the_interval_of_accuracy_is_near_the_binomial_one() -> None:
    right = np.arange(400) < 280
    probabilities = np.eye(4)[np.where(right, 0, 1)]
    drawn = drawn_scores(np.zeros(400, dtype=np.int64), probabilities, np.arange(400), draws=4000)
    half = 1.96 * (0.7 * 0.3 / 400) ** 0.5
    assert interval(drawn["accuracy"]) == pytest.approx((0.7 - half, 0.7 + half), abs=0.006)
    assert drawn["accuracy"].mean() == pytest.approx(0.7, abs=0.002)


def test_when_rows_of_a_cluster_are_alike_then_the_interval_is_as_wide_as_the_clusters_ask_for() -> None:
    # Forty clusters of ten equal rows know as much as forty rows: the interval is wider by the root of ten.
    right = np.repeat(np.arange(40) < 28, 10)
    gold, probabilities = np.zeros(400, dtype=np.int64), np.eye(4)[np.where(right, 0, 1)]
    together = interval(drawn_scores(gold, probabilities, np.repeat(np.arange(40), 10), draws=4000)["accuracy"])
    apart = interval(drawn_scores(gold, probabilities, np.arange(400), draws=4000)["accuracy"])
    assert (together[1] - together[0]) / (apart[1] - apart[0]) == pytest.approx(10**0.5, rel=0.1)


def test_when_two_models_are_alike_then_their_difference_has_no_spread() -> None:
    gold, probabilities = rows(80)
    groups = np.arange(80) // 4
    sharper = probabilities**2 / (probabilities**2).sum(axis=1, keepdims=True)
    first = drawn_scores(gold, probabilities, groups, draws=50, seed=9)["macro_f1"]
    second = drawn_scores(gold, sharper, groups, draws=50, seed=9)["macro_f1"]
    assert first.std() > 0
    assert (first == second).all()


def test_when_predictions_are_scored_then_values_are_those_of_the_rows_within_their_intervals() -> None:
    found = predictions(300, [f"story {i % 60}" for i in range(300)])
    scores = scored(found, ["fnc"], draws=200)
    assert set(scores) == {*METRICS, "fnc"}
    assert {name: one.value for name, one in scores.items()} == score(found.gold, found.probabilities, ["fnc"])
    assert all(one.low < one.value < one.high for one in scores.values())
    drawn = drawn_scores(found.gold, found.probabilities, found.groups, draws=200)["mcc"]
    assert (scores["mcc"].low, scores["mcc"].high) == interval(drawn)


def test_when_all_rows_are_of_one_cluster_then_the_interval_is_the_value() -> None:
    for one in scored(predictions(30, ["the story"] * 30), draws=20).values():
        assert (one.low, one.high) == pytest.approx((one.value, one.value))
