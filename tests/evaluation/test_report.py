from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from rich.console import Console

from stancekit.errors import UserError
from stancekit.evaluation import figures
from stancekit.evaluation.model import (
    Behaviour,
    Bin,
    CalibrationReport,
    Conformal,
    Failure,
    Hidden,
    Mistake,
    Report,
    Score,
    Slice,
    Subset,
    Warned,
)
from stancekit.evaluation.report import as_json, as_page, markdown_table, print_report, write_report
from stancekit.labels import OUTCOMES
from stancekit.metric_names import METRICS

WARNING = "hiding the target costs 1.3 points of macro-F1: this model hardly uses the target"
NASTY = "We <b>will</b> not [red]send[/red] troops [/] \x1b[31mnow\\"
CONFUSION = ((80, 10, 9, 1), (12, 70, 15, 3), (20, 11, 66, 3), (2, 1, 4, 43))


def score(value: float) -> Score:
    return Score(value, value - 0.031, value + 0.028)


def failure(number: int) -> Failure:
    return Failure(
        "target_swapped", "Hegseth", f"Shells, <i>not</i> sons, {number}.", "sending shells", "supports", "supports",
        "Hegseth", f"Shells, <i>not</i> sons, {number}.", "sending troops", "rules_out", "supports",
    )  # fmt: skip


def mistake(number: int, statement: str = "He said nothing was off the table.") -> Mistake:
    words = (("off", 0.412), ("target: troops", 0.09))
    return Mistake(f"row-{number}", "Vance", statement, "sending troops", "leaves_open", "rules_out", 0.987, words)


def report() -> Report:
    """A report in which everything is there: 350 rows, more slices and mistakes than are shown."""
    values = {name: score(0.5 + place / 100) for place, name in enumerate(METRICS)}
    return Report(
        model="minilm_seed7",
        part="test",
        data="stancebank.jsonl",
        fingerprint="0123abcd",
        rows=350,
        clusters=41,
        cluster_by="story",
        scores=values,
        confusion=CONFUSION,
        subsets={
            name: Subset(rows, {metric: score(value) for metric in ("macro_f1", "accuracy", "macro_f1_outcomes")})
            for name, rows, value in (("target seen", 250, 0.777), ("target unseen", 100, 0.444))
        },
        hidden={
            "statement": Hidden(0.301, Score(0.199, 0.15, 0.24)),
            "target": Hidden(0.487, Score(0.013, -0.012, 0.039)),
            "holder": Hidden(0.494, Score(0.006, -0.011, 0.021)),
        },
        behaviour=(
            Behaviour("target_swapped", "another target", "change", 40, 0.375, 0.375, (failure(1), failure(2))),
            Behaviour("names_swapped", "another holder's name", "same", 60, 0.95, 0.8, ()),
        ),
        calibration=CalibrationReport(
            1.436,
            0.0341,
            0.3127,
            tuple(Bin(*found) for found in ((0, 0.1, 0), (20, 0.35, 0.3), (80, 0.55, 0.5), (250, 0.9, 0.93))),
            tuple((i / 50, 0.05 + 0.2 * (i / 50) ** 2) for i in range(1, 51)),
            0.1184,
            Conformal(0.9, 0.8937, dict(zip(OUTCOMES, (0.91, 0.88, 0.87, None), strict=True)), 1.342, 0.004),
        ),
        slices=tuple(Slice("phenomenon", f"slice_{n}", 20 + n, 0.2 + n / 100, 0.3 + n / 100) for n in range(12)),
        mistakes=tuple(mistake(n, NASTY) if n == 0 else mistake(n) for n in range(60)),
        warnings=(Warned("target hidden", WARNING),),
        notes=("near copies [of] train were not looked for: data.leaks is off",),
    )


def bare() -> Report:
    """A report of which only the scores are there."""
    calibration = CalibrationReport(None, 0.2, 0.5, (), (), 0.3, None)
    bare = replace(report(), subsets={}, hidden={}, behaviour=(), calibration=calibration)
    return replace(bare, slices=(), mistakes=(), warnings=(), notes=())


def printed(shown: Report, width: int = 100) -> str:
    stream = io.StringIO()
    print_report(shown, Console(file=stream, width=width))
    return stream.getvalue()


def widths(axes: Axes) -> list[float]:
    return [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]


def flat(text: str) -> str:
    """The text as read across line ends, without the frame around the warnings."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", text).split())


def test_when_there_are_warnings_then_they_come_before_everything_else() -> None:
    text = flat(printed(report()))
    assert text.startswith("1 warning: read before you believe a score")
    assert text.index(WARNING) < text.index("minilm_seed7") < text.index("macro_f1")
    page = as_page(report())
    body = page[page.index("<body>") :]
    assert body.index('class="warnings"') < body.index(WARNING) < body.index("<table")
    assert re.search(r"\d\.\d{3}", body[: body.index(WARNING)]) is None
    assert "border: 2px solid #b0413e" in page


def test_when_nothing_warns_then_text_and_page_say_so_instead_of_a_box() -> None:
    shown = replace(report(), warnings=())
    assert printed(shown).startswith("No warnings from the checks that were made.")
    assert "╭" not in printed(shown)
    assert "No warnings from the checks that were made." in as_page(shown)
    assert 'class="warnings"' not in as_page(shown)


@pytest.mark.parametrize("width", [100, 60])
def test_when_the_terminal_is_100_or_60_wide_then_no_number_is_cut(width: int) -> None:
    text = printed(report(), width)
    assert "…" not in text
    for name in METRICS:
        assert f"{report().scores[name].value:.3f}" in text
    for whole in (
        "[0.489, 0.548]",
        "0.560 [0.529, 0.588]",
        "0.777 [0.746, 0.805]",
        "0.013 [-0.012, 0.039]",
        "0.444 [0.413, 0.472]",
    ):
        assert whole in text


def test_when_the_terminal_is_100_wide_then_no_line_is_longer() -> None:
    assert max(map(len, printed(report(), 100).splitlines())) <= 100


def test_when_the_output_is_piped_then_it_has_no_colour_codes_and_fits_110_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_report(report())
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert 100 < max(map(len, text.splitlines())) <= 110


def test_when_a_statement_holds_markup_then_text_and_page_show_it_literally() -> None:
    text = printed(report())
    assert "We <b>will</b> not [red]send[/red] troops [/]  [31mnow\\" in text
    assert "near copies [of] train" in text
    page = as_page(report())
    assert "We &lt;b&gt;will&lt;/b&gt; not [red]send[/red] troops" in page
    assert "<b>will" not in page
    assert "Shells, &lt;i&gt;not&lt;/i&gt; sons, 2." in page


def test_when_a_report_is_printed_then_every_finding_has_its_numbers() -> None:
    lines = [" ".join(line.split()) for line in printed(report()).splitlines()]
    assert any(line.startswith("macro_f1 0.500 [0.469, 0.528] macro-F1 over the three stances") for line in lines)
    assert "rules_out 0.590 [0.559, 0.618] 0.600 [0.569, 0.628] 0.610 [0.579, 0.638] 100" in lines
    assert "leaves_open 20 11 66 3" in lines
    assert "all 350 0.500 [0.469, 0.528] 0.510 [0.479, 0.538] 0.530 [0.499, 0.558]" in lines
    assert "target unseen 100 " + " ".join(["0.444 [0.413, 0.472]"] * 3) in lines
    assert "whole input 0.500 –" in lines
    assert "target hidden 0.487 0.013 [-0.012, 0.039]" in lines
    assert "holder masked 0.494 0.006 [-0.011, 0.021]" in lines
    assert "target_swapped another target right before and after 40 37.5% 37.5%" in lines
    text = flat(printed(report()))
    assert "ECE 0.034, Brier 0.313, AURC 0.118, temperature 1.436." in text
    assert "in 90% of the rows do so in 89.4% (supports 91.0%, rules_out 88.0%, leaves_open 87.0%, no_stance –)" in text
    assert "rules_out at 98.7%, gold leaves_open, id row-1" in text
    assert "off 0.41 · target: troops 0.09" in text


def test_when_there_is_more_than_fits_then_text_and_page_say_how_much_is_left_out() -> None:
    text = printed(report())
    assert "The worst 10 of 12." in text
    assert "slice_9" in text
    assert "slice_10" not in text
    assert "The first 5 of 60." in text
    assert "row-4" in text
    assert "row-5" not in text
    page = as_page(report())
    assert "slice_11" in page
    assert "The first 50 of 60." in page
    assert "row-49<" in page
    assert "row-50<" not in page


def test_when_only_scores_are_there_then_text_and_page_leave_the_rest_out() -> None:
    text, page = printed(bare()), as_page(bare())
    for title in ("Seen and unseen", "Hidden columns", "Behaviour", "Slices", "Most confident", "Notes", "Confidence"):
        assert title not in text
        assert f"<h2>{title}" not in page
    assert "no temperature fitted." in flat(text)
    assert "Prediction sets" not in text
    assert "none fitted" in page
    assert page.count("<img") == 2


def test_when_everything_is_there_then_the_page_holds_every_figure_and_a_caption_for_every_table() -> None:
    page = as_page(report())
    assert page.count('src="data:image/png;base64,iVBOR') == 6
    # A sentence of what it is for each of nine tables, one list of failures and one of mistakes.
    assert page.count("<table>") == page.count("<caption>") == 11
    assert "<summary>target_swapped: 2 failed tests</summary>" in page
    assert "http" not in page


def test_when_a_word_weighs_most_then_it_has_the_strongest_colour() -> None:
    page = as_page(report())
    assert 'rgba(176, 65, 62, 0.45)">off <small>0.41' in page
    assert 'rgba(176, 65, 62, 0.10)">target: troops <small>0.09' in page


def test_when_a_report_becomes_json_then_it_comes_back_the_same() -> None:
    back = json.loads(as_json(report()))
    assert tuple(back) == tuple(Report.__dataclass_fields__)
    assert back["scores"]["macro_f1"] == {"value": 0.5, "low": 0.469, "high": 0.528}
    assert tuple(map(tuple, back["confusion"])) == CONFUSION
    assert back["mistakes"][0]["statement"] == NASTY
    assert Mistake(**{**back["mistakes"][1], "words": tuple(map(tuple, back["mistakes"][1]["words"]))}) == mistake(1)
    assert back["calibration"]["conformal"]["coverage_by_outcome"]["no_stance"] is None
    assert json.loads(as_json(bare()))["calibration"]["conformal"] is None


def test_when_a_score_is_no_number_then_json_has_null_and_text_a_dash() -> None:
    shown = replace(report(), scores={**report().scores, "mcc": Score(float("nan"), float("-inf"), float("inf"))})
    back = json.loads(as_json(shown), parse_constant=lambda name: pytest.fail(name))
    assert back["scores"]["mcc"] == {"value": None, "low": None, "high": None}
    assert "| mcc | – | [–, –] |" in markdown_table(shown)
    assert "nan" not in printed(shown)


def test_when_a_number_rounds_to_zero_from_below_then_it_has_no_sign() -> None:
    shown = replace(report(), hidden={"target": Hidden(0.5, Score(-0.0002, -0.012, -0.0004))})
    assert "0.000 [-0.012, 0.000]" in printed(shown)
    assert "-0.000" not in printed(shown)


def test_when_a_short_table_is_wanted_then_it_has_the_main_scores_alone() -> None:
    lines = markdown_table(report()).splitlines()
    assert lines[:3] == ["| metric | score | 95 % interval |", "|---|---|---|", "| macro_f1 | 0.500 | [0.469, 0.528] |"]
    assert [line.split()[1] for line in lines[2:]] == [name for name in METRICS if "/" not in name]


def test_when_a_report_is_written_then_json_and_page_lie_in_the_folder(tmp_path: Path) -> None:
    write_report(report(), tmp_path / "new", "test")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["test.html", "test.json"]
    assert (tmp_path / "new" / "test.json").read_text(encoding="utf-8") == as_json(report())
    assert (tmp_path / "new" / "test.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_when_the_folder_is_a_file_then_writing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken"):
        write_report(report(), tmp_path / "taken", "test")


def test_when_a_confusion_matrix_is_drawn_then_cells_hold_counts_and_shares_and_the_title_is_literal() -> None:
    figure = figures.confusion(CONFUSION, "dev_$x_{")
    (axes,) = figure.axes
    assert axes.get_title() == "dev_$x_{"
    texts = [text.get_text() for text in axes.texts]
    assert len(texts) == 16
    assert texts[0] == "80\n80%"
    assert texts[15] == "43\n86%"
    assert axes.get_yticklabels()[3].get_text() == "no_stance\n50 rows"
    figure.canvas.draw()


def test_when_figures_are_drawn_then_bars_and_dots_stand_at_the_values() -> None:
    (axes,) = figures.hidden(report()).axes
    assert widths(axes) == [0.5, 0.301, 0.487, 0.494]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "whole input",
        "statement hidden",
        "target hidden",
        "holder masked",
    ]
    (axes,) = figures.behaviour(report()).axes
    assert widths(axes) == [0.375, 0.95]
    (axes,) = figures.reliability(report().calibration).axes
    assert [text.get_text() for text in axes.texts] == ["20", "80", "250"]
    (axes,) = figures.scores(report()).axes
    assert axes.get_yticklabels()[0].get_text() == "macro_f1"
    assert axes.texts[0].get_text() == "0.500 [0.469, 0.528]"
    (axes,) = figures.risk_coverage(report().calibration).axes
    assert np.asarray(axes.get_lines()[0].get_xydata())[-1] == pytest.approx([1.0, 0.25])


def test_when_a_figure_is_saved_then_it_is_902_pixels_wide() -> None:
    for figure in (figures.scores(report()), figures.hidden(report()), figures.behaviour(bare())):
        assert figure.get_figwidth() * figure.dpi == pytest.approx(902)
