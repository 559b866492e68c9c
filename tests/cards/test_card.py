from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from stancekit.cards.gather import gather
from stancekit.cards.render import render, stale
from stancekit.config.compose import load_config
from stancekit.config.schema import CardConfig
from stancekit.evaluation.model import Report
from stancekit.models.shipped import shipped_models
from stancekit.paths import shipped_root
from stancekit.repeats.experiment import Measured
from stancekit.repeats.summary import Spread, Summary, as_table
from tests.cards.conftest import NAME
from tests.cards.models import model

CARD = shipped_root() / "MODEL.md"


def carded() -> list[str]:
    config = load_config("card", [])
    assert isinstance(config, CardConfig)
    return list(config.models)


@pytest.mark.skipif(not shipped_models(), reason="no model ships yet")
def test_when_a_model_ships_then_the_card_is_what_the_repository_says_now() -> None:
    assert not stale(CARD, carded()), "write it again: stancekit card"


@pytest.mark.skipif(not shipped_models(), reason="no model ships yet")
def test_when_a_model_ships_then_the_card_tells_of_it() -> None:
    assert set(carded()) == set(shipped_models())


def shown_scores(report: Report) -> set[str]:
    return {str(report.scores[name]) for name in ("macro_f1", "macro_f1_outcomes", "supports/f1", "no_stance/f1")}


def test_when_a_model_was_evaluated_then_its_card_has_every_number_and_the_command_that_made_it(checkout: Path) -> None:
    (one,) = gather([NAME])
    card = render([one])
    for part, report in one.results.items():
        assert all(score in card for score in shown_scores(report)), part
        assert f"`{report.fingerprint}`, {report.rows} rows" in card
    assert "stancekit evaluate model=MODEL data=stancebank split=PART output=models/results/MODEL/PART.json" in card
    test = one.results["test"]
    assert all(f"| {found.tests} | {found.passed:.1%} | {found.right:.1%} |" in card for found in test.behaviour)
    assert f"costs {test.hidden['target'].cost}" in card
    surest = test.mistakes[0]
    cells = f"| {surest.holder} | {surest.target} | {surest.gold} | {surest.predicted} | {surest.confidence:.1%} |"
    assert f"| {surest.statement} {cells}" in card
    assert one.training is not None and one.training.parameters is not None
    assert f"| parameters | {one.training.parameters:,} |" in card
    assert f"- `{NAME}`: `{one.training.command}`" in card


def test_when_warnings_were_given_then_they_come_before_the_scores_and_speak_of_test_first(checkout: Path) -> None:
    (one,) = gather([NAME])
    card = render([one])
    (message,) = {found.message for found in one.results["test"].warnings if found.check == "few clusters"}
    assert f"- test: {message} (also: dev)" in card
    assert card.index(message) < card.index("### Scores")


def test_when_the_same_files_are_rendered_again_then_the_card_is_the_same_and_well_formed(checkout: Path) -> None:
    card = render(gather([NAME]))
    assert card == render(gather([NAME]))
    assert card.endswith("publishers.\n") and "\n\n\n" not in card
    assert not re.search(r"\bNone\b|\bnan\b|\{\{|\{%", card)
    columns = [[line.count(" | ") for line in table.splitlines()] for table in re.findall(r"(?:^\|.*\n)+", card, re.M)]
    assert len(columns) > 10 and all(len(set(counted)) == 1 for counted in columns)
    linked = re.findall(r"\]\(([^)]+)\)", card)
    assert linked and all((shipped_root() / file).is_file() for file in linked)


def test_when_nothing_was_measured_then_the_card_says_so_everywhere_and_has_no_score() -> None:
    card = render([model("small", results={})])
    results = card[card.index("## What was measured") : card.index("## What to think of")]
    assert "`small`:\n\n- not measured\n" in results
    assert "nothing may\nchange, and is right in few:\n\nnot measured\n" in results
    assert "The most confident mistakes: not measured." in results and "The worst slices: not measured." in results
    assert "| `small` | not measured | not measured | not measured | not measured |" in results
    assert not re.search(r"\d\.\d{3}|\d%\s*\|", results)
    assert "its command was not recorded; its configuration is `models/small/config.yaml`" in card


def test_when_seeds_were_repeated_then_their_spread_is_shown_with_what_made_it(checkout: Path) -> None:
    spread = Spread(0.61, 0.012, 0.58, 0.64)
    measured = Measured(
        name=NAME,
        question="How good?",
        command=f"stancekit train experiment={NAME}",
        config={},
        variants={},
        config_hash="0" * 16,
        commit="abcdef0123456789",
        changed_since=True,
        date="2026-11-22",
        machine="x86_64, 2 cores, torch 2.13.0+cpu",
        seconds=5400.0,
        seeds="seeds 13, 14, 15",
        table=as_table({NAME: Summary(3, {"test": {"macro_f1": spread}})}),
        checks={},
        learned="Enough.",
    )
    (checkout / "experiments").mkdir()
    (checkout / "experiments" / f"{NAME}.json").write_text(json.dumps(asdict(measured)), encoding="utf-8")
    card = render(gather([NAME]))
    assert f"| {NAME} | 3 | 0.610 ± 0.012 [0.580, 0.640] |" in card
    said = "(2026-11-22, x86_64, 2 cores, torch 2.13.0+cpu; seeds 13, 14, 15; commit abcdef012345, changed since)"
    assert f"`{measured.command}` {said}" in card
    assert "| hours of the repeats with other seeds | 1.50 |" in card


def test_when_models_are_side_by_side_then_the_default_is_marked(checkout: Path) -> None:
    card = render([model("base"), model("small")])
    assert "- `base` (`model=default` is the same): mpnet, 5.2 MB.\n- `small`: mpnet, 5.2 MB.\n" in card
    assert "|  | `base` | `small` |" in card
    assert card.startswith("<!-- Written by `stancekit card models=[base,small]` ")


def test_when_results_change_or_the_card_is_edited_or_missing_then_it_is_stale(checkout: Path) -> None:
    card = checkout / "MODEL.md"
    assert stale(card, [NAME])
    card.write_text(render(gather([NAME])), encoding="utf-8")
    assert not stale(card, [NAME])
    result = checkout / "models/results" / NAME / "seeds.json"
    before = result.read_text(encoding="utf-8")
    values = json.loads(before)
    values["scores"]["macro_f1"]["value"] += 0.1
    result.write_text(json.dumps(values), encoding="utf-8")
    assert stale(card, [NAME])
    result.write_text(before, encoding="utf-8")
    assert not stale(card, [NAME])
    card.write_text(card.read_text(encoding="utf-8").replace("They are wrong often", "They are right"))
    assert stale(card, [NAME])
