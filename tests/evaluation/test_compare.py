from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stancekit.errors import UserError
from stancekit.evaluation.bootstrap import resample
from stancekit.evaluation.compare import Comparison, Difference, Entrant, compare, points
from stancekit.evaluation.comparison_report import as_dict, as_markdown, as_page, as_text
from stancekit.evaluation.predictions import Predictions
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair


def scored(
    gold: Sequence[int],
    predicted: Sequence[int],
    clusters: Sequence[str] | None = None,
    confidence: Sequence[float] | float = 0.7,
    **columns: Sequence[Any],
) -> Predictions:
    """Predictions of given outcomes; without clusters, every row is one of its own."""
    pairs = [
        Pair(
            statement=f"statement {i}",
            target="closing the port",
            holder="the mayor",
            label=OUTCOMES[label],
            id=f"r{i}",
            extra={name: values[i] for name, values in columns.items()},
        )
        for i, label in enumerate(gold)
    ]
    sure = np.broadcast_to(np.asarray(confidence), (len(gold),))[:, None]
    chosen = np.eye(4)[list(predicted)]
    probabilities = chosen * sure + (1 - chosen) * (1 - sure) / 3
    return Predictions(pairs, probabilities, list(clusters or [f"c{i}" for i in range(len(gold))]))


def noisy(gold: Sequence[int], right: float, seed: int, clusters: Sequence[str] | None = None) -> Predictions:
    """Predictions that are right on a share of the rows, which the seed chooses."""
    draw = np.random.default_rng(seed)
    predicted = [label if draw.random() < right else int(draw.integers(4)) for label in gold]
    return scored(gold, predicted, clusters, draw.uniform(0.4, 0.9, len(gold)).tolist())


def of(name: str, *runs: Predictions) -> Entrant:
    return Entrant(name, runs)


def metric(comparison: Comparison, name: str) -> Difference:
    return next(found for found in comparison.metrics if found.metric == name)


GOLD = [0, 1, 2, 3] * 30
STORIES = [f"story {i // 6}" for i in range(len(GOLD))]


def test_when_ten_rows_are_right_by_one_alone_and_two_by_the_other_then_mcnemar_is_as_worked_out_by_hand() -> None:
    gold = [0] * 20
    first = [0] * 10 + [1] * 2 + [0] * 8
    other = [1] * 10 + [0] * 2 + [0] * 8
    found = compare(of("a", scored(gold, first)), of("b", scored(gold, other)), "test").mcnemar
    # 2 (C(12, 0) + C(12, 1) + C(12, 2)) / 2^12
    assert (found.first_only, found.other_only, found.p) == (10, 2, 158 / 4096)


def test_when_each_is_right_alone_as_often_then_the_p_of_mcnemar_is_1_and_not_more() -> None:
    found = compare(of("a", scored([0] * 4, [0, 0, 1, 1])), of("b", scored([0] * 4, [1, 1, 0, 0])), "test").mcnemar
    assert (found.first_only, found.other_only, found.p) == (2, 2, 1.0)


def test_when_many_rows_differ_then_mcnemar_agrees_with_scipy() -> None:
    from scipy.stats import binomtest

    gold = [0] * 3000
    first = scored(gold, [0] * 1300 + [1] * 1700)
    other = scored(gold, [1] * 1300 + [0] * 1500 + [1] * 200)
    found = compare(of("a", first), of("b", other), "test", draws=10).mcnemar
    assert found.p == pytest.approx(binomtest(1300, 2800).pvalue)


def test_when_two_models_are_the_same_then_every_difference_is_exactly_0_and_none_is_shown() -> None:
    run = noisy(GOLD, 0.6, 0, STORIES)
    found = compare(of("a", run), of("b", run), "test")
    assert {(m.difference.value, m.difference.low, m.difference.high, m.p, m.shown) for m in found.metrics} == {
        (0, 0, 0, 1, False)
    }
    assert (found.mcnemar.p, found.disagreements) == (1.0, ())
    value = f"{metric(found, 'macro_f1').first.value:.3f}".removeprefix("0")
    assert found.verdict == (
        f"no difference shown: macro-F1 {value} and {value}, difference 0.0 points (95 % interval 0.0 to 0.0)"
    )


def test_when_repeats_are_all_the_same_as_the_other_run_then_rounding_is_not_taken_for_a_difference() -> None:
    run = noisy(GOLD, 0.6, 0, STORIES)
    found = compare(of("a", run, run, run), of("b", run), "test")
    assert {(m.difference.low, m.difference.high) for m in found.metrics} == {(0, 0)}


def test_when_one_is_better_in_every_cluster_alike_then_the_paired_interval_has_no_width() -> None:
    gold, clusters = [0, 1, 2] * 30, [f"c{i // 3}" for i in range(90)]
    first, other = scored(gold, [0, 1, 0] * 30, clusters), scored(gold, gold, clusters)
    found = compare(of("plain", first), of("large", other), "test", draws=200)
    headline = metric(found, "macro_f1")
    # F1 of the first: 2/3, 1 and 0.
    assert headline.first.value == pytest.approx(5 / 9) and headline.other.value == 1
    assert (headline.difference.low, headline.difference.high) == pytest.approx((4 / 9, 4 / 9))
    assert headline.shown and headline.p == 1 / 201
    assert found.verdict == (
        "large is better than plain by 44.4 points (95 % interval 44.4 to 44.4): macro-F1 1.000 against .556"
    )
    assert (found.rows, found.clusters, found.runs, found.notes) == (90, 30, (1, 1), ())


def test_when_the_first_is_better_then_the_verdict_names_it_and_its_lead_is_positive() -> None:
    found = compare(of("a", noisy(GOLD, 0.9, 1, STORIES)), of("b", noisy(GOLD, 0.3, 2, STORIES)), "test")
    headline = metric(found, "macro_f1").difference
    assert headline.high < 0
    assert found.verdict.startswith(
        f"a is better than b by {points(-headline.value)} points "
        f"(95 % interval {points(-headline.high)} to {points(-headline.low)}): "
    )


def test_when_equally_good_models_are_compared_again_and_again_then_about_one_in_twenty_seems_to_differ() -> None:
    gold, clusters = [0, 1, 2, 3] * 90, [f"story {i // 6}" for i in range(360)]
    shown = 0
    for i in range(60):
        one, two = noisy(gold, 0.6, 2 * i, clusters), noisy(gold, 0.6, 2 * i + 1, clusters)
        found = compare(of("a", one), of("b", two), "test", draws=200)
        headline = metric(found, "macro_f1")
        assert headline.difference.value != 0
        assert headline.shown == (not headline.difference.low <= 0 <= headline.difference.high)
        assert found.verdict.startswith("no difference shown: ") == (not headline.shown)
        shown += headline.shown
    # Of 60, 3 are expected; more than 8 would come of chance once in a hundred times.
    assert 1 <= shown <= 8


def test_when_rows_are_resampled_one_by_one_with_scikit_learn_then_the_intervals_agree() -> None:
    from sklearn.metrics import f1_score

    one, two = noisy(GOLD, 0.6, 5, STORIES), noisy(GOLD, 0.7, 6, STORIES)
    found = metric(compare(of("a", one), of("b", two), "test", draws=40, seed=7), "macro_f1")
    drawn = []
    for taken in resample(len(set(STORIES)), 40, 7):
        rows = np.repeat(np.arange(len(GOLD)), taken[one.groups])
        rows = rows[one.gold[rows] < 3]
        scores = [
            f1_score(
                one.gold[rows],
                run.probabilities[rows, :3].argmax(axis=1),
                labels=[0, 1, 2],
                average="macro",
                zero_division=0,
            )
            for run in (one, two)
        ]
        drawn.append(scores[1] - scores[0])
    assert (found.difference.low, found.difference.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    below = sum(gap <= 0 for gap in drawn) / 40
    assert 0 < below < 0.5 and found.p == pytest.approx(2 * below)


def test_when_the_rows_differ_then_both_fingerprints_are_named() -> None:
    one, two = scored([0, 1, 2], [0, 1, 2]), scored([0, 1, 2, 2], [0, 1, 2, 2])
    with pytest.raises(UserError) as raised:
        compare(of("small", one), of("large", two), "test")
    assert str(raised.value) == (
        "part 'test': the two were not scored on the same rows: small has fingerprint "
        f"{one.fingerprint} (3 rows), large has {two.fingerprint} (4 rows); "
        "compare runs of the same data, or give saved models, which are scored anew"
    )


def test_when_one_of_several_repeats_saw_other_rows_then_they_are_refused() -> None:
    one, two = scored([0, 1, 2], [0, 1, 2]), scored([0, 1, 1], [0, 1, 2])
    with pytest.raises(UserError, match=two.fingerprint):
        compare(of("a", one), of("b", one, two), "test")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (of("b"), "part 'dev': b has no predictions; expected those of at least one run"),
        (of("b", scored([0], [0])), "part 'dev': rows to compare on: 1; expected at least 2"),
    ],
)
def test_when_there_is_nothing_to_compare_then_that_is_said(other: Entrant, message: str) -> None:
    with pytest.raises(UserError) as raised:
        compare(of("a", scored([0], [0])), other, "dev")
    assert str(raised.value) == message


@pytest.mark.parametrize("with_ids", [True, False])
def test_when_rows_stand_in_another_order_then_they_are_aligned(with_ids: bool) -> None:
    run = noisy(GOLD, 0.6, 8, STORIES)
    if not with_ids:
        pairs = [Pair(p.statement, p.target, p.holder, p.label) for p in run.pairs]
        run = Predictions(pairs, run.probabilities, run.clusters)
    shuffled = run.take(np.random.default_rng(0).permutation(len(GOLD)))
    found = compare(of("a", run), of("b", shuffled), "test", draws=50)
    assert found.disagreements == ()
    assert {(m.difference.low, m.difference.high) for m in found.metrics} == {(0, 0)}


def test_when_only_the_id_tells_rows_apart_then_it_aligns_them() -> None:
    pairs = [Pair("the same words", "the port", label="supports", id=name) for name in ("x", "y")]
    says = np.array([[0.9, 0.1, 0, 0], [0.2, 0.8, 0, 0]])
    one, two = Predictions(pairs, says, ["1", "2"]), Predictions(pairs[::-1], says[::-1], ["2", "1"])
    assert compare(of("a", one), of("b", two), "test").disagreements == ()


def test_when_there_are_repeats_then_the_score_is_their_mean_and_their_spread_widens_the_interval() -> None:
    good, bad, other = (noisy(GOLD, right, seed, STORIES) for right, seed in ((0.95, 9), (0.3, 10), (0.6, 11)))
    alone = [metric(compare(of("a", run), of("b", other), "test"), "macro_f1") for run in (good, bad)]
    both = metric(compare(of("a", good, bad), of("b", other), "test"), "macro_f1")
    assert both.first.value == pytest.approx((alone[0].first.value + alone[1].first.value) / 2)
    assert both.difference.value == pytest.approx((alone[0].difference.value + alone[1].difference.value) / 2)
    widths = [found.difference.high - found.difference.low for found in (*alone, both)]
    # A quarter of the draws takes the good run twice, a quarter the bad one.
    assert widths[2] > alone[1].difference.value - alone[0].difference.value > max(widths[:2])
    assert alone[0].shown and alone[1].shown and not both.shown


def test_when_there_are_repeats_then_mcnemar_and_disagreements_take_the_mean_of_their_probabilities() -> None:
    # The first row: .9 and .4 for the gold outcome, so their mean is right though one run is not.
    gold = [0, 0]
    runs = [scored(gold, [0, 1], confidence=0.9), scored(gold, [1, 1], confidence=0.6)]
    runs[1] = Predictions(runs[1].pairs, np.array([[0.4, 0.6, 0, 0], [0, 1, 0, 0]]), runs[1].clusters)
    found = compare(of("a", *runs), of("b", scored(gold, [1, 1])), "test")
    assert (found.mcnemar.first_only, found.mcnemar.other_only) == (1, 0)
    (row,) = found.disagreements
    assert (row.id, row.gold, row.first, row.other) == ("r0", "supports", "supports", "rules_out")
    assert row.first_confidence == pytest.approx((0.9 + 0.4) / 2) and row.other_confidence == pytest.approx(0.7)


def test_when_rows_disagree_then_those_with_one_right_come_first_and_the_most_confident_of_them() -> None:
    gold = [0, 0, 0, 0]
    first = scored(gold, [1, 0, 0, 0], confidence=[0.99, 0.5, 0.8, 0.9])
    other = scored(gold, [2, 1, 1, 0], confidence=[0.99, 0.5, 0.8, 0.9])
    found = compare(of("a", first), of("b", other), "test").disagreements
    assert [row.id for row in found] == ["r2", "r1", "r0"]


def test_when_rows_are_sliced_then_a_list_counts_for_each_value_and_the_largest_difference_is_first() -> None:
    gold = [0, 1, 0, 1, 0, 3]
    marks = [["hedge"], ["hedge", "deed"], ["hedge"], ["deed"], [], ["hedge"]]
    topics = ["ports", "ports", "", None, "ports", "taxes"]
    one = scored(gold, [0, 0, 0, 0, 0, 3], phenomena=marks, topic=topics)
    two = scored(gold, [0, 1, 0, 1, 0, 3], phenomena=marks, topic=topics)
    found = compare(of("a", one), of("b", two), "test", least=2).slices
    assert [(s.name, s.value, s.rows, s.other) for s in found] == [
        ("phenomena", "deed", 2, 1.0),
        # Three rows with a stance, which the score sees, and one without.
        ("phenomena", "hedge", 4, 1.0),
        ("topic", "ports", 3, 1.0),
    ]
    # Over the stances that occur: deed has rules_out alone; hedge and ports F1 of 4/5 for supports and 0 for rules_out.
    assert [s.first for s in found] == pytest.approx([0, 0.4, 0.4])
    assert [s.difference.value for s in found] == pytest.approx([1, 0.6, 0.6])
    assert compare(of("a", one), of("b", two), "test", columns=["topic"], least=4).slices == ()


def test_when_a_slice_lies_in_one_cluster_then_its_interval_still_has_a_width() -> None:
    topics = ["ports"] * 60 + ["taxes"] * 60
    one = scored(GOLD, noisy(GOLD, 0.6, 12).predicted.tolist(), topics, topic=topics)
    two = scored(GOLD, noisy(GOLD, 0.6, 13).predicted.tolist(), topics, topic=topics)
    found = compare(of("a", one), of("b", two), "test")
    assert [s.rows for s in found.slices] == [60, 60]
    assert all(s.difference.low < s.difference.value < s.difference.high for s in found.slices)
    assert found.notes == (
        "2 clusters are few: intervals are too narrow, and up to a tenth of equal models seem to differ",
    )


def test_when_all_rows_share_one_cluster_then_statements_are_resampled_and_that_is_said() -> None:
    one, two = noisy(GOLD, 0.6, 14, ["all"] * 120), noisy(GOLD, 0.6, 15, ["all"] * 120)
    found = compare(of("a", one), of("b", two), "test")
    headline = metric(found, "macro_f1").difference
    assert headline.low < headline.value < headline.high
    assert "all rows share the cluster 'all': statements were resampled" in found.notes[0]


def test_when_no_row_has_a_stance_then_the_verdict_comes_with_a_warning() -> None:
    found = compare(of("a", scored([3] * 30, [0] * 30)), of("b", scored([3] * 30, [3] * 30)), "test")
    assert found.verdict.startswith("no difference shown: macro-F1 .000 and .000")
    assert found.notes == ("no row has a stance as gold: three-way scores, macro-F1 among them, are 0 for any model",)


def test_when_the_data_asks_for_further_metrics_then_they_are_compared_too() -> None:
    found = compare(of("a", scored([0, 1], [0, 0])), of("b", scored([0, 1], [0, 1])), "test", further=["f_avg"])
    assert metric(found, "f_avg").difference.value == pytest.approx(1 - (2 / 3 + 0) / 2)


@pytest.mark.parametrize(
    ("value", "sign", "shown"),
    [(0.0123, False, "1.2"), (-0.0123, True, "−1.2"), (0.0123, True, "+1.2"), (-0.0001, True, "0.0")],
)
def test_when_a_difference_is_shown_in_points_then_zero_has_no_sign(value: float, sign: bool, shown: str) -> None:
    assert points(value, sign) == shown


def disputed(rows: int, statement: str = "plain") -> Comparison:
    gold = [0, 1, 2] * (rows // 3)
    topics = [f"topic {i % 7}" for i in range(len(gold))]
    one = scored(gold, [1] * len(gold), topic=topics)
    two = scored(gold, gold, topic=topics)
    for run in (one, two):
        hostile = Pair(statement, "a | b", "O'Brien & <b>", "supports", "r|0", run.pairs[0].extra)
        object.__setattr__(run, "pairs", [hostile, *run.pairs[1:]])
    return compare(of("first_one", one), of("B <i>", two), "test", least=5, draws=50)


def test_when_shown_on_a_terminal_then_the_verdict_is_first_and_lists_are_cut_to_five() -> None:
    found = disputed(60)
    text = as_text([found])
    assert text.startswith(f"{found.verdict}\n")
    assert "Slices that differ most (5 of 7):" in text and text.count(" rows): ") == 5
    assert "Disagreements (5 of 40; one is right in 40):" in text and text.count("    gold ") == 5
    assert "McNemar's test: 0 rows right by first_one alone, 40 by B <i> alone, exact p = 1.8e-12" in text
    headline = next(line for line in text.splitlines() if line.startswith("macro_f1 "))
    assert headline.split()[1] == "0.167" and "+83.3 [" in headline and headline.endswith("*")


def test_when_several_are_shown_then_it_is_said_once_that_the_intervals_are_not_corrected() -> None:
    found = [disputed(30), disputed(60)]
    for shown in (as_text(found), as_markdown(found), as_page(found)):
        assert shown.count("not corrected for being many") == 1
        assert shown.count("is better than") == 2


def test_when_a_page_is_made_then_text_of_rows_and_names_is_escaped() -> None:
    page = as_page([disputed(30, "<script>alert('x')</script>")])
    assert "<script>" not in page and "&lt;script&gt;alert(" in page
    assert "O&#39;Brien &amp; &lt;b&gt;" in page and "B &lt;i&gt;" in page and "B <i>" not in page
    assert "http" not in page


def test_when_more_than_200_rows_disagree_then_the_page_shows_200_and_the_values_hold_all() -> None:
    found = disputed(360)
    page = as_page([found])
    assert "200 of 240 rows" in page and page.count('<td class="right">') == 200
    assert page.count("<td>topic 0</td>") == 1 and "<td>topic 6</td>" in page
    (values,) = json.loads(json.dumps(as_dict([found]), allow_nan=False))
    assert len(values["disagreements"]) == 240 and values["runs"] == [1, 1]
    assert values["metrics"][0]["difference"]["value"] == pytest.approx(1 - 1 / 6)


def test_when_shown_as_markdown_then_text_cannot_break_a_table_or_become_markup() -> None:
    text = as_markdown([disputed(30, "two\nlines *of* _some_ [text](x)")])
    assert "two lines \\*of\\* \\_some\\_ [text\\](x)" in text and "B \\<i\\>" in text and "a \\| b" in text
    assert "| first_one | B" in text and "| rules_out/f1 | 0.500 [0." in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in table} == {7, 8}


def test_when_only_comparing_then_nothing_heavy_is_imported() -> None:
    heavy = ("torch", "transformers", "mlflow", "sklearn", "pandas", "scipy", "jinja2", "matplotlib")
    code = f"import sys, stancekit.evaluation.comparison_report; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
