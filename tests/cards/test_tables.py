from __future__ import annotations

import math
from dataclasses import replace

import pytest

from stancekit.cards import tables
from stancekit.cards.tables import Table, plain
from stancekit.evaluation.model import Bin, Mistake, Report, Score
from tests.cards.models import model, on

UNKNOWN = tables.NOT_MEASURED


def line(table: Table, *start: str) -> list[str]:
    """Return the cells of the only line that starts so, without the start."""
    (found,) = [list(row) for row in table.rows if list(row[: len(start)]) == list(start)]
    return found[len(start) :]


def test_when_a_table_is_shown_then_it_is_markdown() -> None:
    assert str(Table(["a", "b"], [["1", "2"], ["3", "4"]])) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one | two", r"one \| two"),
        ("a\nline\n\n# no heading", "a line # no heading"),
        ("<b>*not* bold_</b>", r"&lt;b>\*not\* bold\_&lt;/b>"),
        (r"[link](x) `code` a\b &lt;", r"\[link\](x) \`code\` a\\b &amp;lt;"),
    ],
)
def test_when_a_text_has_signs_of_markdown_then_they_are_shown_as_they_are(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_when_a_part_was_not_evaluated_then_its_cells_say_so_and_the_others_have_their_intervals() -> None:
    table = tables.scores([model(), model("small", results={})], "macro_f1")
    assert table.headings == ["model", "dev", "test", "test_seen", "seeds"]
    assert line(table, "`base`") == [UNKNOWN, "0.500 [0.469, 0.528]", UNKNOWN, UNKNOWN]
    assert line(table, "`small`") == [UNKNOWN] * 4


def test_when_a_score_is_no_number_then_it_is_not_shown_as_one() -> None:
    report = on("test")
    scores = {**report.scores, "macro_f1": Score(math.nan, math.nan, math.nan)}
    found = tables.scores([model(results={"test": replace(report, scores=scores)})], "macro_f1")
    assert line(found, "`base`") == [UNKNOWN, "–", UNKNOWN, UNKNOWN]


def test_when_outcomes_are_shown_then_each_has_its_own_f1() -> None:
    report = on("seeds")
    table = tables.outcomes([model(results={"seeds": report})])
    expected = [str(report.scores[f"{name}/f1"]) for name in ("supports", "rules_out", "leaves_open", "no_stance")]
    assert len(set(expected)) == 4 and line(table, "`base`", "seeds") == expected
    assert line(table, "`base`", "test") == [UNKNOWN] * 4


def test_when_columns_were_hidden_then_score_and_cost_are_shown_and_a_column_that_was_not_is_not_made_up() -> None:
    report = on("test")
    table = tables.hidden([model(results={"test": replace(report, hidden={"target": report.hidden["target"]})})])
    assert table.headings[2:] == ["without the statement", "without the target", "without the holder"]
    assert line(table, "`base`", "test") == [UNKNOWN, "0.487, costs 0.013 [-0.012, 0.039]", UNKNOWN]


def test_when_models_were_tested_for_behaviour_then_they_stand_side_by_side_by_kind() -> None:
    report = on("test")
    first, second = report.behaviour
    other = replace(report, behaviour=(replace(second, passed=0.5, right=0.25),))
    # The tests are the same for every part, and an evaluation may have left them out.
    without = replace(report, part="dev", behaviour=())
    table = tables.behaviour([model(results={"dev": without, "test": report}), model("small", results={"dev": other})])
    assert table.headings[4:] == ["`base` passed", "`base` right", "`small` passed", "`small` right"]
    kind = [plain(first.kind), first.what, "it is right before and after", "40"]
    assert line(table, *kind) == ["37.5%", "37.5%", UNKNOWN, UNKNOWN]
    assert line(table, plain(second.kind))[2:] == ["60", "95.0%", "80.0%", "50.0%", "25.0%"]
    assert tables.behaviour([model(results={})]).rows == []


def test_when_calibration_is_shown_then_the_outcome_that_is_covered_least_is_named() -> None:
    table = tables.calibration([model(), model("small", results={"dev": uncalibrated("dev")})])
    shown = ["1.436", "0.034", "0.313", "0.118", "89.4% (wanted: 90%)", "87.0% (leaves_open)", "1.34"]
    assert line(table, "`base`", "test") == shown
    assert line(table, "`base`", "dev") == [UNKNOWN] * 7
    assert line(table, "`small`", "dev") == ["–", "0.034", "0.313", "0.118", UNKNOWN, UNKNOWN, UNKNOWN]


def test_when_dev_says_from_where_answers_are_right_then_the_other_parts_are_cut_there_too() -> None:
    dev = binned("dev", Bin(40, 0.5, 0.6), Bin(60, 0.95, 0.9))
    test = binned("test", Bin(30, 0.5, 0.5), Bin(10, 0.95, 0.7))
    table = tables.abstaining([model(results={"dev": dev, "test": test}), model("small", results={"test": test})])
    assert line(table, "`base`", "dev") == ["0.933", "78.0%", "60.0%", "90.0%"]
    assert line(table, "`base`", "test") == ["0.933", "55.0%", "25.0%", "70.0%"]
    assert line(table, "`small`", "test") == [UNKNOWN, "55.0%", UNKNOWN, UNKNOWN]
    unsure = tables.abstaining([model(results={"dev": binned("dev", Bin(10, 0.9, 0.5))})])
    assert line(unsure, "`base`", "dev") == ["none is high enough", "50.0%", "–", "–"]


def test_when_there_are_many_mistakes_then_the_surest_eight_on_different_statements_are_shown() -> None:
    found = [mistake(f"statement {n % 10}", 0.99 - n / 100) for n in range(20)]
    table = tables.mistakes(model(results={"test": on("test", mistakes=tuple(found)), "dev": on("dev", mistakes=())}))
    assert table is not None
    assert [row[0] for row in table.rows] == [f"statement {n}" for n in range(8)]
    assert list(table.rows[0][1:]) == [
        "unknown", r"a\|b", "supports", "rules_out", "99.0%", r"not, target: a\|b, will",
    ]  # fmt: skip


def test_when_there_is_no_test_then_failures_are_those_of_the_part_that_is_least_chosen_by() -> None:
    assert tables.detailed(model(results={"dev": on("dev"), "seeds": on("seeds")})) == "seeds"
    assert tables.detailed(model(results={"dev": on("dev")})) == "dev"
    nothing = model(results={})
    assert (tables.detailed(nothing), tables.mistakes(nothing), tables.slices(nothing)) == (None, None, None)


def test_when_slices_are_shown_then_they_are_the_five_worst() -> None:
    table = tables.slices(model())
    assert table is not None
    assert [row[1] for row in table.rows] == [rf"slice\_{n}" for n in range(5)]
    assert list(table.rows[0][2:]) == ["20", "0.200", "0.300"]


def binned(part: str, *bins: Bin) -> Report:
    return on(part, calibration=replace(on(part).calibration, bins=bins))


def uncalibrated(part: str) -> Report:
    return on(part, calibration=replace(on(part).calibration, temperature=None, conformal=None))


def mistake(statement: str, confidence: float) -> Mistake:
    words = (("not", 0.4), ("target: a|b", 0.2), ("will", 0.1), ("ever", 0.05))
    return Mistake(None, None, statement, "a|b", "supports", "rules_out", confidence, words)
