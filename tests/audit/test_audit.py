"""Every fault is planted in clean rows, and must be found; clean rows must pass."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CliRunner, write_jsonl

Rows = list[dict[str, Any]]

LABELS = ("supports", "rules_out", "leaves_open")
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty", "kayak", "larch")


def clean_rows(count: int = 240) -> Rows:
    """Return rows without a fault: every statement of its own words, every target with all labels, topics split."""
    draw = random.Random(4)
    rows = []
    for number in range(count):
        topic = number // 3 % 16
        split = "test" if topic > 12 else "dev" if topic > 10 else "train"
        words = " ".join(f"{draw.choice(WORDS)}{draw.randint(10, 99)}{draw.choice(WORDS)}" for _ in range(12))
        rows.append(
            {
                "id": f"r{number}",
                "statement": words,
                "holder": f"Holder {number % 40}",
                "target": f"target {topic}",
                "label": draw.choice(LABELS) if number > 96 else LABELS[number // 48 % 3],
                "topic": f"topic {topic}",
                "group": f"g{number}",
                "split": split,
            }
        )
    return rows


@pytest.fixture
def audit(cli: CliRunner, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Audit rows without embeddings; return the findings by check, each with level, message and rows."""

    def run(rows: Rows, *words: str) -> dict[str, Any]:
        path = write_jsonl(tmp_path / "rows.jsonl", rows)
        quick = ["audit.embeddings=false", "model=tfidf"]
        cli("audit", "data=file", f"data.path={path}", f"output={tmp_path / 'report'}", *quick, *words)
        report = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
        return {found["check"]: found for found in report["findings"]}

    return run


def test_when_the_rows_are_clean_then_nothing_is_an_error(audit: Callable[..., dict[str, Any]]) -> None:
    found = audit(clean_rows())
    assert [check for check, f in found.items() if f["level"] == "error"] == []
    assert found["exact copies"]["message"] == "no row stands twice"


def leaked_copy(rows: Rows) -> None:
    rows[-1]["statement"] = rows[0]["statement"].rsplit(" ", 1)[0] + " elsewhere"
    assert rows[0]["split"] == "train" and rows[-1]["split"] == "test"


def shared_topic(rows: Rows) -> None:
    rows[-1]["topic"] = rows[0]["topic"]


def split_group(rows: Rows) -> None:
    rows[-1]["group"] = rows[0]["group"]


def row_twice(rows: Rows) -> None:
    rows.append(rows[5] | {"id": "again"})


def contradiction(rows: Rows) -> None:
    other = next(label for label in LABELS if label != rows[5]["label"])
    rows.append(rows[5] | {"id": "again", "label": other})


def template_series(rows: Rows) -> None:
    names = ["Anna Berg", "Omar Said", "Li Wei", "Eva Holm"]
    for row, name in zip(rows, names, strict=False):
        row["statement"] = f"On Monday {name} told the council of {name.split()[1]}burg that the plan would go ahead."


def template_of_words(rows: Rows) -> None:
    for row in rows[:6]:
        row["statement"] = f"{row['statement'][:40]} has made it plain that there is no way back"


@pytest.mark.parametrize(
    ("plant", "check", "said"),
    [
        (leaked_copy, "copies across splits", "1 statements"),
        (shared_topic, "groups across splits", "1 values"),
        (split_group, "groups across splits", "1 values"),
        (row_twice, "exact copies", "1 rows stand twice"),
        (contradiction, "label conflicts", "2 rows have the statement"),
        (template_series, "template series", "4 statements belong to series"),
        (template_of_words, "repeated n-grams", "sequences of 5 words stand in more than 0.3% of the 240 statements"),
    ],
)
def test_when_a_fault_is_planted_then_its_check_finds_it_and_no_other_does(
    audit: Callable[..., dict[str, Any]], plant: Callable[[Rows], None], check: str, said: str
) -> None:
    rows = clean_rows()
    plant(rows)
    found = audit(rows)
    assert found[check]["level"] == "error" and said in found[check]["message"]
    allowed = {check, "exact copies"} if plant is template_series else {check}
    assert {name for name, f in found.items() if f["level"] == "error"} <= allowed


def test_when_minimal_pairs_are_of_one_group_then_they_are_no_copies(audit: Callable[..., dict[str, Any]]) -> None:
    rows = clean_rows()
    text = f"{rows[0]['statement']} the board would not lease the quay {rows[1]['statement']}"
    rows[0]["statement"], rows[1]["statement"] = text, text.replace("would not", "would")
    apart = audit(rows)["near-copies"]
    assert apart["level"] == "warning" and apart["rows"][0]["copy_of"] == "r0"
    rows[1]["group"] = rows[0]["group"]
    assert audit(rows)["near-copies"]["level"] == "ok"


def test_when_a_split_shares_topics_on_purpose_then_only_its_groups_are_kept_apart(
    audit: Callable[..., dict[str, Any]],
) -> None:
    rows = clean_rows()
    for row in rows[:9:3]:
        row["split"] = "test_seen"
    shared = "data.shared={test_seen: [topic]}"
    assert audit(rows)["groups across splits"]["level"] == "error"
    assert audit(rows, shared)["groups across splits"]["level"] == "ok"
    rows[0]["group"] = rows[1]["group"]
    assert audit(rows, shared)["groups across splits"]["rows"] == [
        {"column": "group", "value": "g1", "parts": "train and test_seen"}
    ]


def test_when_one_column_gives_the_label_away_then_the_shortcut_test_says_so(
    audit: Callable[..., dict[str, Any]],
) -> None:
    rows = clean_rows()
    for row in rows:
        row["target"] = {"supports": "raising it", "rules_out": "ending it", "leaves_open": "moving it"}[row["label"]]
    found = audit(rows)
    assert (
        found["shortcut: target alone"]["level"] == "error"
        and "test 1.000" in found["shortcut: target alone"]["message"]
    )
    assert found["shortcut: holder alone"]["level"] == "ok"
    assert found["targets with one label"]["message"].startswith("3 of 3 targets have one label only")


def test_when_two_passes_are_there_then_stray_labels_and_open_disagreements_are_found(
    audit: Callable[..., dict[str, Any]],
) -> None:
    rows = [row | {"label_1": row["label"], "label_2": row["label"], "phenomena": ["hedge"]} for row in clean_rows()]
    assert audit(rows)["agreement"]["message"] == "two passes: raw 1.000, κ 1.000 (240 rows)"
    rows[0]["label"] = "no_stance"
    rows[1]["label_2"] = "no_stance"
    rows[2] |= {"label_2": "no_stance", "adjudication": "the condition is never met"}
    found = audit(rows)
    assert [row["row"] for row in found["labels of neither pass"]["rows"]] == ["r0"]
    assert [row["row"] for row in found["open disagreements"]["rows"]] == ["r1"]
    for row in rows[3:120]:
        row |= {"label_2": "no_stance", "adjudication": "x"}
    found = audit(rows)
    assert {row["over"] for row in found["agreement"]["rows"]} >= {"all", "hedge", "supports"}


def test_when_a_label_breaks_with_the_twin_of_its_target_then_the_row_is_found(
    audit: Callable[..., dict[str, Any]],
) -> None:
    rows = clean_rows()
    turned = {"supports": "rules_out", "rules_out": "supports", "leaves_open": "leaves_open"}
    for row in rows[100:140]:
        row["target"] = "keeping the toll"
        rows.append(row | {"id": f"{row['id']}b", "target": "scrapping the toll", "label": turned[row["label"]]})
    assert audit(rows)["twin targets"]["level"] == "ok"
    wrong = next(row for row in rows[240:] if row["label"] == "supports")
    wrong["label"] = "rules_out"
    [found] = audit(rows)["twin targets"]["rows"]
    assert found["row"] == wrong["id"].removesuffix("b") and found["other_label"] == "rules_out"


def test_when_a_stance_is_rare_in_a_split_then_it_is_told(audit: Callable[..., dict[str, Any]]) -> None:
    rows = [row for row in clean_rows() if row["split"] != "dev" or row["label"] != "supports"]
    found = audit(rows)["label balance"]
    assert {"part": "dev", "label": "supports", "rows": 0, "share": 0.0} in found["rows"]


def test_when_a_split_has_no_stance_or_a_column_no_words_then_the_audit_goes_on(
    audit: Callable[..., dict[str, Any]],
) -> None:
    rows = [row | {"holder": "…", "topic": [row["topic"]], "phenomena": '["hedge"]'} for row in clean_rows()]
    for row in rows:
        row |= {"label_1": row["label"], "label_2": row["label"], "group": ""}
        if row["split"] == "dev":
            row["label"] = row["label_1"] = row["label_2"] = "no_stance"
    found = audit(rows, "data.disjoint=[]")
    assert found["shortcut: holder alone"]["level"] == "skipped"
    assert found["groups across splits"]["level"] == "ok"
    rows[0]["label_2"] = "suports"
    with pytest.raises(AssertionError, match="unknown label 'suports' in the column 'label_2'; did you mean"):
        audit(rows, "data.disjoint=[]")


def test_when_the_audit_is_strict_then_errors_end_it_with_exit_code_2(cli: CliRunner, tmp_path: Path) -> None:
    rows = clean_rows()
    row_twice(rows)
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    words = ("data=file", f"data.path={path}", "model=tfidf", "audit.embeddings=false")
    said = cli("audit", *words, "audit.strict=true", code=2)
    assert "audit.strict=true: 1 errors in" in said and said.rstrip().endswith(": exact copies")
    cli("audit", *words)


def test_when_training_is_strict_then_bad_data_begins_no_run(cli: CliRunner, tmp_path: Path) -> None:
    rows = clean_rows()
    row_twice(rows)
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    words = ("train", "data=file", f"data.path={path}", "model=majority")
    said = cli(*words, "audit.strict=true", code=2)
    assert "audit: exact copies: 1 rows stand twice" in said and not (tmp_path / "home").exists()
    assert "audit: exact copies: 1 rows stand twice" in cli(*words)


def test_when_a_run_is_trained_then_it_holds_the_audit(cli: CliRunner, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    path = write_jsonl(tmp_path / "rows.jsonl", clean_rows())
    said = cli("train", "data=file", f"data.path={path}", "model=majority")
    run_id = next(line.split()[1] for line in said.splitlines() if line.startswith("run "))
    client = MlflowClient(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    assert client.get_run(run_id).data.metrics["audit/errors"] == 0
    held = {item.path for item in client.list_artifacts(run_id, "audit")}
    assert held == {"audit/report.txt", "audit/report.json", "audit/report.html"}


def test_when_news_text_has_markup_then_the_page_shows_it_as_text(
    audit: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    rows = clean_rows()
    rows[5]["statement"] = "<script>alert('x')</script> & so on"
    row_twice(rows)
    audit(rows)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(" in page and "<script>" not in page
    assert page.count("data:image/png;base64,") == 3


@pytest.fixture
def embedded(cli: CliRunner, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Audit rows with the default encoder; return the findings by check."""

    def run(rows: Rows, *words: str) -> dict[str, Any]:
        path = write_jsonl(tmp_path / "rows.jsonl", rows)
        cli("audit", "data=file", f"data.path={path}", f"output={tmp_path / 'r'}", *words)
        report = json.loads((tmp_path / "r" / "report.json").read_text(encoding="utf-8"))
        return {found["check"]: found for found in report["findings"]}

    return run


def test_when_a_statement_is_reworded_into_another_split_then_embeddings_find_it(
    embedded: Callable[..., dict[str, Any]],
) -> None:
    rows = clean_rows()
    rows[0]["statement"] = "The finance minister said on Monday that the harbour toll would be raised next spring."
    rows[-1]["statement"] = "On Monday, the finance minister said the toll for the harbour would be raised next spring."
    found = embedded(rows)
    assert found["copies across splits"]["level"] == "ok"
    assert found["alike across splits"]["rows"][0]["row"] == rows[-1]["id"]


def test_when_labels_are_flipped_then_out_of_fold_predictions_contradict_them(
    embedded: Callable[..., dict[str, Any]],
) -> None:
    rows = clean_rows()
    sayings = {
        "supports": ("wants the port closed", "has ordered the closure", "campaigns for closing it"),
        "rules_out": ("rejects the closure", "will never close the port", "has cancelled the closing"),
        "leaves_open": ("has not decided on the port", "may yet close it", "is reviewing the closure"),
    }
    for number, row in enumerate(rows):
        row["statement"] = f"The {row['statement'].split()[0]} council {sayings[row['label']][number % 3]}."
    flipped = {row["id"]: row for row in rows[5:45:10]}
    for row in flipped.values():
        row["label"] = LABELS[(LABELS.index(row["label"]) + 1) % 3]
    found = embedded(rows)["suspicious labels"]
    assert len(set(flipped) & {row["row"] for row in found["rows"]}) >= 3 and len(found["rows"]) <= 6
    assert all(row["predicted"] != row["label"] for row in found["rows"])


def test_when_rows_are_longer_than_the_model_reads_then_they_are_listed(
    embedded: Callable[..., dict[str, Any]], tiny_encoder: Path
) -> None:
    rows = [{**row, "statement": row["statement"][:12]} for row in clean_rows(60)]
    rows[7]["statement"] = "north and south " * 40
    tiny = ("model=folder", f"model.encoder.path={tiny_encoder}", "model.input.max_length=64")
    assert [row["row"] for row in embedded(rows, *tiny)["truncated rows"]["rows"]] == ["r7"]
