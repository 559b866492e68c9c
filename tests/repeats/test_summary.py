from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from stancekit.errors import UserError
from stancekit.evaluation.bootstrap import scored
from stancekit.evaluation.predictions import Predictions
from stancekit.labels import OUTCOMES
from stancekit.metric_names import METRICS
from stancekit.pairs.model import Pair
from stancekit.repeats.summary import Spread, as_table, from_table, summarise, together

SHORT = {"s": "supports", "r": "rules_out", "o": "leaves_open", "n": "no_stance"}


def said(gold: str, predicted: str, prefix: str = "", sure: float = 0.7) -> Predictions:
    """Return predictions with a row for every letter, each a cluster of its own."""
    pairs = [Pair(f"{prefix}{i}", "the toll", label=SHORT[letter]) for i, letter in enumerate(gold)]
    probabilities = np.full((len(gold), len(OUTCOMES)), (1 - sure) / 3)
    probabilities[np.arange(len(gold)), [OUTCOMES.index(SHORT[letter]) for letter in predicted]] = sure
    return Predictions(pairs, probabilities, [pair.statement for pair in pairs])


def width(spread: Spread) -> float:
    return spread.high - spread.low


def test_when_runs_are_summarised_then_mean_and_deviation_are_those_worked_out_by_hand() -> None:
    # Right on 4, 2 and 3 of 4 rows: the mean is .75 and the variance ((.25)² + (.25)² + 0) / 2 = .0625.
    runs = [{"test": said("sron", found)} for found in ("sron", "srrr", "sros")]
    found = summarise(runs, [], 200)
    assert found.runs == 3 and list(found.parts) == ["test"] and list(found.parts["test"]) == list(METRICS)
    accuracy = found.parts["test"]["accuracy_outcomes"]
    assert accuracy.mean == pytest.approx(0.75) and accuracy.sd == pytest.approx(0.25)
    # F1 of supports: 1, 1 and 2/3 (one of the two rows that are said to support does).
    f1 = found.parts["test"]["supports/f1"]
    assert f1.mean == pytest.approx(8 / 9) and f1.sd == pytest.approx((1 / 3) / 3**0.5)
    assert accuracy.low <= accuracy.mean <= accuracy.high


def test_when_further_metrics_are_asked_for_then_they_are_summarised_too() -> None:
    found = summarise([{"test": said("srs", "srr")}], ["f_avg"], 100)
    # supports: precision 1, recall 1/2; rules_out: precision 1/2, recall 1; both F1 2/3.
    assert found.parts["test"]["f_avg"].mean == pytest.approx(2 / 3)


def test_when_there_is_one_run_then_the_interval_is_its_own_and_there_is_no_deviation() -> None:
    run = {"dev": said("sronsron", "srosoron"), "test": said("sronn", "srnns")}
    found = summarise([run], [], 300)
    for part, predictions in run.items():
        for name, alone in scored(predictions, draws=300).items():
            spread = found.parts[part][name]
            assert (spread.mean, spread.sd, spread.low, spread.high) == (alone.value, None, alone.low, alone.high)


def test_when_seeds_differ_then_the_interval_is_wider_than_without_their_spread() -> None:
    gold = "sro" * 20
    good, middle, bad = ("sro" * 18 + "ros" * 2, "sro" * 14 + "ros" * 6, "sro" * 10 + "ros" * 10)
    alike = summarise([{"test": said(gold, middle)}] * 3, [], 500).parts["test"]["accuracy"]
    apart = summarise([{"test": said(gold, found)} for found in (good, middle, bad)], [], 500).parts["test"]["accuracy"]
    assert alike.mean == pytest.approx(apart.mean) and alike.sd == pytest.approx(0, abs=1e-12)
    assert alike.low == pytest.approx(scored(said(gold, middle), draws=500)["accuracy"].low)
    assert width(apart) > 1.2 * width(alike)


def test_when_runs_were_scored_on_rows_of_their_own_then_their_draws_do_not_go_together() -> None:
    gold, found = "sro" * 20, "sro" * 12 + "ros" * 8
    same = summarise([{"test": said(gold, found)}] * 4, [], 1000).parts["test"]["accuracy"]
    folds = [{"test": said(gold, found, prefix=f"fold {number}, ")} for number in range(4)]
    apart = summarise(folds, [], 1000).parts["test"]["accuracy"]
    # Four times the rows: half the width and, since the folds are drawn too, √(7/16) = .66 of it.
    assert 0.5 * width(same) < width(apart) < 0.75 * width(same)


def test_when_seeds_speak_together_then_their_probabilities_are_averaged() -> None:
    runs = [{"test": said("sr", "sr", sure=0.9)}, {"test": said("sr", "ss", sure=0.7)}]
    found = together(runs, pooled=False)["test"]
    np.testing.assert_allclose(found.probabilities[0], [0.8, 0.2 / 3, 0.2 / 3, 0.2 / 3])
    np.testing.assert_allclose(found.probabilities[1], [(0.1 / 3 + 0.7) / 2, 0.5, 0.2 / 3, 0.2 / 3])
    assert found.fingerprint == runs[0]["test"].fingerprint and list(found.clusters) == ["0", "1"]


def test_when_folds_speak_together_then_their_rows_are_put_side_by_side_and_common_ones_averaged() -> None:
    runs = [
        {"test": said("sr", "ss", prefix="a"), "other": said("o", "o", sure=0.9)},
        {"test": said("on", "on", prefix="b"), "other": said("o", "s", sure=0.7)},
    ]
    found = together(runs, pooled=True)
    assert [pair.statement for pair in found["test"].pairs] == ["a0", "a1", "b0", "b1"]
    assert list(found["test"].clusters) == ["a0", "a1", "b0", "b1"]
    np.testing.assert_array_equal(
        found["test"].probabilities, np.concatenate([run["test"].probabilities for run in runs])
    )
    assert len(found["other"].pairs) == 1
    np.testing.assert_allclose(found["other"].probabilities[0], [(0.1 / 3 + 0.7) / 2, 0.2 / 3, 0.5, 0.2 / 3])


def test_when_runs_that_are_no_folds_have_other_rows_then_they_do_not_speak_together() -> None:
    runs = [{"test": said("sr", "ss", prefix="a")}, {"test": said("sr", "ss", prefix="b")}]
    with pytest.raises(UserError, match="test: the runs were not scored on the same rows"):
        together(runs, pooled=False)


def shown(runs: Sequence[str]) -> list[str]:
    found = summarise([{"test": said("srso", one)} for one in runs], [], 100)
    return str(found.parts["test"]["accuracy_outcomes"]).split(" [")


def test_when_a_spread_is_shown_then_to_three_places_and_with_a_deviation_where_there_is_one() -> None:
    assert shown(["srso", "srss"])[0] == "0.875 ± 0.177"
    assert shown(["srss"])[0] == "0.750"
    assert str(Spread(0.5, 0.25, 0.125, 1.0)) == "0.500 ± 0.250 [0.125, 1.000]"


def test_when_summaries_are_written_as_json_then_they_are_read_back() -> None:
    lines = {"model": summarise([{"test": said("sron", "sros")}] * 2, [], 100)}
    lines["majority"] = summarise([{"test": said("sron", "ssss")}], [], 100)
    assert from_table(json.loads(json.dumps(as_table(lines)))) == lines
