from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike

from stancekit.evaluation.metrics import score
from stancekit.evaluation.model import Hidden, Score, Warned
from stancekit.evaluation.predictions import Predictions
from stancekit.evaluation.suspicion import suspicions
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair

SUPPORTS, RULES_OUT, LEAVES_OPEN, NO_STANCE = range(4)
GOLD = [SUPPORTS, RULES_OUT, LEAVES_OPEN, NO_STANCE] * 30
SURE = Score(0.9, 0.85, 0.95)
USED = {name: Hidden(0.4, Score(0.5, 0.4, 0.6)) for name in ("statement", "target", "holder")}


def said(gold: Sequence[int], predicted: Sequence[int], clusters: Sequence[str] | None = None) -> Predictions:
    pairs = [Pair(f"statement {i}", "closing the port", None, OUTCOMES[label]) for i, label in enumerate(gold)]
    probabilities = np.eye(4)[list(predicted)] * 0.7 + 0.1 * (1 - np.eye(4)[list(predicted)])
    return Predictions(pairs, probabilities, clusters or [f"c{i}" for i in range(len(gold))])


def drawn(gold: Sequence[int], shares: ArrayLike, seed: int) -> Predictions:
    """Predictions that call the rows of every gold outcome each outcome in these shares."""
    draw, each = np.random.default_rng(seed), np.asarray(shares)
    return said(gold, [int(draw.choice(4, p=each[label])) for label in gold])


def gain(predictions: Predictions, order: Sequence[int]) -> float:
    """Return how much higher the predictions score under other label names."""
    renamed, own = (
        score(predictions.gold, p)["macro_f1_outcomes"]
        for p in (predictions.probabilities[:, list(order)], predictions.probabilities)
    )
    return renamed - own


def warnings(
    predictions: Predictions,
    headline: Score = SURE,
    hidden: Mapping[str, Hidden] = USED,
    copies: Sequence[int] | None = (),
) -> dict[str, str]:
    """Return the messages by check, in their order; ``copies`` are the rows that were trained on."""
    copied = None if copies is None else np.isin(np.arange(len(predictions.pairs)), copies)
    found: list[Warned] = list(suspicions(predictions, {"macro_f1": headline}, hidden, copied, 0.1))
    assert len({one.check for one in found}) == len(found)
    return {one.check: one.message for one in found}


def test_when_a_good_model_needs_every_column_then_nothing_is_suspicious() -> None:
    assert warnings(said(GOLD, GOLD)) == {}
    assert warnings(drawn(GOLD, np.full((4, 4), 0.1) + 0.6 * np.eye(4), 0)) == {}


def test_when_statements_were_trained_on_then_their_number_and_the_score_on_the_rest_are_said() -> None:
    gold = [SUPPORTS, RULES_OUT, LEAVES_OPEN] * 40
    predicted = [*gold[:30], *[SUPPORTS] * 90]
    found = warnings(said(gold, predicted), copies=range(30))
    # On the other 90: precision of supports 1/3 and recall 1, hence an F1 of 1/2, and none of the other two.
    assert found["trained on"] == (
        "the statements of 30 of 120 rows (25.0%), or near-copies of them, were trained on: the score is too high; "
        f"macro-F1 on the other 90 rows is {1 / 6:.3f}"
    )
    assert next(iter(found)) == "trained on"


@pytest.mark.parametrize(("copied", "expected"), [(1, []), (2, ["trained on"])])
def test_when_one_row_of_two_hundred_is_a_copy_then_that_is_chance_and_two_are_not(
    copied: int, expected: list[str]
) -> None:
    gold = [SUPPORTS, RULES_OUT, LEAVES_OPEN, NO_STANCE] * 50
    assert list(warnings(said(gold, gold), copies=range(copied))) == expected


def test_when_nothing_new_with_a_stance_is_left_then_no_score_on_the_rest_is_said() -> None:
    for gold, copies in (([SUPPORTS, NO_STANCE] * 20, range(0, 40, 2)), ([SUPPORTS] * 40, range(40))):
        found = warnings(said(gold, gold), copies=list(copies))
        assert found["trained on"].endswith("were trained on: the score is too high")


def test_when_it_is_not_known_what_was_trained_on_then_nothing_is_said_of_copies() -> None:
    assert warnings(said(GOLD, GOLD), copies=None) == {}


@pytest.mark.parametrize(
    ("names", "reading"),
    [
        # What the model calls the rows of each gold outcome, in the order of OUTCOMES.
        ((1, 2, 0, 3), "'rules_out' means supports, 'leaves_open' means rules_out, 'supports' means leaves_open"),
        ((2, 0, 1, 3), "'leaves_open' means supports, 'supports' means rules_out, 'rules_out' means leaves_open"),
        ((1, 0, 2, 3), "'rules_out' means supports, 'supports' means rules_out"),
        (
            (3, 2, 1, 0),
            "'no_stance' means supports, 'leaves_open' means rules_out, 'rules_out' means leaves_open, "
            "'supports' means no_stance",
        ),
    ],
)
def test_when_label_names_are_mixed_up_then_the_right_reading_is_said(names: tuple[int, ...], reading: str) -> None:
    noisy = np.full((4, 4), 0.1) + 0.6 * np.eye(4)
    predictions = drawn(GOLD, noisy[:, np.argsort(names)], 1)
    right = predictions.probabilities[:, list(names)]
    best, own = (score(predictions.gold, p)["macro_f1_outcomes"] for p in (right, predictions.probabilities))
    assert warnings(predictions)["label names"] == (
        f"the labels look mixed up: read as {reading}, the same predictions score {best:.3f} over four outcomes "
        f"instead of {own:.3f}; check the order of the label names in the training data and in the model"
    )


def test_when_labels_neither_occur_nor_are_said_then_they_are_not_part_of_the_reading() -> None:
    gold = [SUPPORTS, RULES_OUT] * 40
    found = warnings(said(gold, [1 - label for label in gold]))
    assert (
        "read as 'rules_out' means supports, 'supports' means rules_out, the same predictions" in found["label names"]
    )


def test_when_a_model_cannot_say_no_stance_and_calls_it_open_then_its_names_are_not_mixed_up() -> None:
    # As a model of natural language inference does. Under exchanged names the predictions would score higher.
    shares = [[0.7, 0.05, 0.25, 0], [0.1, 0.6, 0.3, 0], [0.3, 0.1, 0.6, 0], [0.1, 0.05, 0.85, 0]]
    gold = [SUPPORTS] * 60 + [RULES_OUT] * 50 + [LEAVES_OPEN] * 40 + [NO_STANCE] * 100
    predictions = drawn(gold, shares, 2)
    assert gain(predictions, (0, 1, 3, 2)) > 0.05
    assert "label names" not in warnings(predictions)


def test_when_a_model_calls_many_open_rows_no_stance_then_its_names_are_not_mixed_up() -> None:
    shares = [[0.6, 0.05, 0.05, 0.3], [0.1, 0.5, 0.1, 0.3], [0.1, 0.1, 0.2, 0.6]]
    predictions = drawn([SUPPORTS, RULES_OUT, LEAVES_OPEN] * 300, shares, 3)
    assert gain(predictions, (0, 1, 3, 2)) > 0.05
    assert "label names" not in warnings(predictions)


def test_when_models_guess_then_hardly_one_in_twenty_seems_to_mix_up_its_labels() -> None:
    guessers = [drawn(GOLD[:80], np.full((4, 4), 0.25), seed) for seed in range(60)]
    assert sum("label names" in warnings(one) for one in guessers) <= 3


def test_when_the_model_gives_one_answer_then_its_names_are_not_mixed_up() -> None:
    assert "label names" not in warnings(said([SUPPORTS, *[RULES_OUT] * 9] * 10, [SUPPORTS] * 100))


def test_when_labels_are_mixed_up_then_only_columns_that_move_nothing_are_said_to_be_unused() -> None:
    circle = said(GOLD, [(1, 2, 0, 3)[label] for label in GOLD])
    hidden = {
        "statement": Hidden(0.35, Score(-0.35, -0.4, -0.3)),
        "target": Hidden(0.0, Score(0.0, 0.0, 0.0)),
    }
    assert list(warnings(circle, hidden=hidden)) == ["label names", "target hidden"]
    # Under right names a score that rises without a column is as much of a warning as one that stays.
    assert list(warnings(said(GOLD, GOLD), hidden=hidden)) == ["target hidden", "statement hidden"]


@pytest.mark.parametrize(
    ("low", "expected"),
    [
        (0.334, {}),
        (1 / 3, {"guessing": "macro-F1 0.500 [0.333, 0.600] is not shown to be better than guessing (0.333)"}),
    ],
)
def test_when_the_interval_reaches_down_to_guessing_then_that_is_said(low: float, expected: dict[str, str]) -> None:
    assert warnings(said(GOLD, GOLD), headline=Score(0.5, low, 0.6)) == expected


def test_when_the_model_never_says_a_stance_then_its_rows_are_counted() -> None:
    never = [SUPPORTS if label in (RULES_OUT, NO_STANCE) else label for label in GOLD]
    assert warnings(said(GOLD, never)) == {"missing label": "the model never says rules_out, the label of 30 rows"}
    gold = [*[SUPPORTS, LEAVES_OPEN] * 20, RULES_OUT]
    found = warnings(said(gold, [*gold[:-1], SUPPORTS]))
    assert found == {"missing label": "the model never says rules_out, the label of 1 row"}


@pytest.mark.parametrize(
    ("clusters", "expected"),
    [(10, {}), (9, {"few clusters": "the rows fall into 9 clusters only: the intervals are too narrow"})],
)
def test_when_there_are_fewer_than_ten_clusters_then_the_intervals_are_doubted(
    clusters: int, expected: dict[str, str]
) -> None:
    assert warnings(said(GOLD, GOLD, [f"c{i % clusters}" for i in range(len(GOLD))])) == expected


def test_when_everything_is_wrong_then_the_gravest_comes_first() -> None:
    circle = [(1, 2, 0, 3)[label] if label != SUPPORTS else NO_STANCE for label in GOLD]
    hidden = {name: Hidden(0.1, Score(0.0, 0.0, 0.0)) for name in ("statement", "target")}
    clusters = [f"c{i % 3}" for i in range(len(GOLD))]
    found = warnings(said(GOLD, circle, clusters), Score(0.1, 0.0, 0.2), hidden, copies=range(10))
    order = [
        "trained on",
        "label names",
        "target hidden",
        "statement hidden",
        "guessing",
        "missing label",
        "few clusters",
    ]
    assert list(found) == order
