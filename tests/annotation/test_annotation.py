"""The way out and back, in Label Studio's documented shapes."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from stancekit.annotation.agreement import agreement, agreement_by_label
from stancekit.labels import OUTCOMES
from tests.conftest import CliRunner, write_jsonl

ROWS = [
    {"id": f"p{n}", "statement": f'Statement {n}, {{as}} "it" <came>, & more.', "holder": None, "target": f"target {n}"}
    for n in range(1, 5)
]


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "pairs.jsonl", ROWS)


def task(number: int, *given: tuple[Any, str], **more: Any) -> dict[str, Any]:
    """Return a task as Label Studio exports it: its data, and an annotation for every (annotator, label)."""
    row = ROWS[number - 1]
    annotations = [
        {
            "id": 1000 + number * 10 + place,
            "completed_by": annotator,
            "result": [
                {
                    "id": "aB3",
                    "from_name": "stance",
                    "to_name": "statement",
                    "type": "choices",
                    "origin": "manual",
                    "value": {"choices": [label]},
                }
            ],
            "was_cancelled": False,
            "ground_truth": False,
            "created_at": "2026-03-09T22:16:08.728353Z",
            "updated_at": f"2026-03-09T22:16:0{place}.728378Z",
            "lead_time": 4.288,
            "task": number,
        }
        for place, (annotator, label) in enumerate(given)
    ]
    data = {"pair_id": row["id"], "statement": row["statement"], "target": row["target"], "holder": "(nobody named)"}
    return {"id": number, "project": 83, "data": data, "annotations": annotations, "predictions": []} | more


def write_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def collected(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_when_pairs_are_exported_then_tasks_carry_them_without_labels_and_the_interface_has_every_outcome(
    cli: CliRunner, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path / "labelled.jsonl", [row | {"label": "supports"} for row in ROWS])
    cli("annotate", f"export={path}", f"output={tmp_path / 'tasks.json'}")
    tasks = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    assert {task["data"]["pair_id"] for task in tasks} == {"p1", "p2", "p3", "p4"}
    assert all(set(task) == {"data"} and "supports" not in json.dumps(task) for task in tasks)
    view = ElementTree.parse(tmp_path / "tasks.xml").getroot()
    fields = {text.attrib["value"].removeprefix("$") for text in view.iter("Text")}
    assert fields < set(tasks[0]["data"])
    assert [choice.attrib["value"] for choice in view.iter("Choice")] == list(OUTCOMES)


def test_when_an_export_comes_back_then_agreed_labels_stand_and_disagreements_are_listed_without_one(
    cli: CliRunner, tmp_path: Path, pairs_file: Path
) -> None:
    ann, ben = {"id": 1, "email": "ann@example.org", "first_name": ""}, {"id": 2, "email": "ben@example.org"}
    exported = [
        task(1, (ann, "supports"), (ben, "supports")),
        task(2, (ann, "rules_out"), (ben, "leaves_open")),
        task(3, (ann, "rules_out"), (ben, "rules_out"), (ann, "no_stance")),
    ]
    export = write_json(tmp_path / "export.json", exported)
    said = cli("annotate", f"collect=[{export}]", f"pairs={pairs_file}", f"output={tmp_path / 'out.jsonl'}")
    rows = collected(tmp_path / "out.jsonl")
    assert [row["label"] for row in rows] == ["supports", None, None, None]
    assert [(row["label_1"], row["label_2"]) for row in rows][1:3] == [
        ("rules_out", "leaves_open"),
        ("no_stance", "rules_out"),
    ], "an annotator's later label replaces the earlier one"
    assert "3 of 4 pairs labelled by ann@example.org, ben@example.org" in said
    # By chance 2/9: both give "supports" to a third, and so "rules_out"; (1/3 - 2/9) / (1 - 2/9) = 1/7.
    assert "raw 0.333, κ 0.143 (3 rows)" in said and "2 disagreements" in said
    assert "p2: ann@example.org rules_out, ben@example.org leaves_open" in said


def test_when_the_export_is_json_min_then_it_is_read_too(cli: CliRunner, tmp_path: Path, pairs_file: Path) -> None:
    flat = {"id": 7, "pair_id": "p2", "statement": ROWS[1]["statement"], "target": "target 2", "stance": "leaves_open"}
    more = {"annotator": 5, "annotation_id": 9, "created_at": "2026-03-09T22:16:08Z", "lead_time": 1.5}
    export = write_json(
        tmp_path / "min.json", [flat | more, {**flat, "pair_id": "p1", "statement": ROWS[0]["statement"]}]
    )
    cli("annotate", f"collect=[{export}]", f"pairs={pairs_file}", f"output={tmp_path / 'out.jsonl'}")
    assert [row["label"] for row in collected(tmp_path / "out.jsonl")] == ["leaves_open", "leaves_open", None, None]


def test_when_a_task_was_skipped_then_it_gives_no_label(cli: CliRunner, tmp_path: Path, pairs_file: Path) -> None:
    skipped = task(1, (1, "supports"))
    skipped["annotations"][0]["was_cancelled"] = True
    export = write_json(tmp_path / "export.json", [skipped, task(2, (1, "rules_out"))])
    cli("annotate", f"collect=[{export}]", f"pairs={pairs_file}", f"output={tmp_path / 'out.jsonl'}")
    assert [row["label"] for row in collected(tmp_path / "out.jsonl")] == [None, "rules_out", None, None]


def test_when_sheets_are_filled_in_then_each_file_is_an_annotator_and_the_file_s_own_labels_are_the_first(
    cli: CliRunner, tmp_path: Path
) -> None:
    pairs = write_jsonl(tmp_path / "pairs.jsonl", [row | {"label": "supports"} for row in ROWS])
    cli("annotate", f"export={pairs}", "to=csv", f"output={tmp_path / 'eva.csv'}")
    with (tmp_path / "eva.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["pair_id"] for row in rows] != ["p1", "p2", "p3", "p4"] and {row["label"] for row in rows} == {""}
    for row in rows:
        row["label"] = " rules_out " if row["pair_id"] == "p3" else "supports"
    with (tmp_path / "eva.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    said = cli("annotate", f"collect=[{tmp_path / 'eva.csv'}]", f"pairs={pairs}", f"output={tmp_path / 'out.jsonl'}")
    assert [row["label"] for row in collected(tmp_path / "out.jsonl")] == ["supports", "supports", None, "supports"]
    assert "p3: file supports, eva rules_out" in said
    said = cli("annotate", f"export={tmp_path / 'out.jsonl'}", "only=unlabelled", f"output={tmp_path / 'open.json'}")
    assert said.startswith("1 tasks")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "x.json",
            [{"id": 1, "project": 9, "data": {"image": "a.jpg"}, "annotations": []}],
            "another project 9: its data",
        ),
        ("x.json", {"a": 1}, "is no export of Label Studio; expected a JSON list of tasks"),
        ("x.json", "[{", "cannot be read as JSON"),
        ("x.json", [task(1, (1, "suports"))], r"task 1: unknown label 'suports'; did you mean 'supports'\?"),
        ("x.json", [task(1, data={"pair_id": "q1"})], None),
        ("x.json", [task(1, (1, "supports"), data={"pair_id": "q1"})], r"no pair has the id 'q1'; did you mean 'p1'\?"),
        (
            "x.json",
            [task(1, (1, "supports"), data={"pair_id": "p1", "statement": "Another."})],
            "the pair 'p1' has another statement here: 'Another.'",
        ),
        ("x.csv", "pair_id,lable\np1,supports\n", r"row 1: no column 'label'; did you mean 'lable'\?"),
        ("x.csv", "pair_id,label\np1,for\n", r"row 1: unknown label 'for' \(valid: supports"),
        ("x.csv", "pair_id,label\np1,supports\np1,supports\n", "x has labelled the pair 'p1' in .*row 1 already"),
        ("x.csv", 'pair_id,label\np1,"supports\n', "line 2, column 'label': a quotation mark opens a cell"),
        ("x.xlsx", "", "is neither an export of Label Studio .* nor a sheet"),
    ],
)
def test_when_what_comes_back_is_not_ours_then_it_is_said_and_nothing_is_written(
    cli: CliRunner, tmp_path: Path, pairs_file: Path, name: str, content: Any, expected: str | None
) -> None:
    import re

    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    words = ("annotate", f"collect=[{path}]", f"pairs={pairs_file}", f"output={tmp_path / 'out.jsonl'}")
    if expected is None:
        assert "0 of 4 pairs labelled by nobody" in cli(*words)
        assert [row["label"] for row in collected(tmp_path / "out.jsonl")] == [None] * 4
        return
    said = cli(*words, code=2)
    assert re.search(expected, said), said
    assert not (tmp_path / "out.jsonl").exists()


def test_when_the_choice_has_another_name_then_the_project_is_not_ours(
    cli: CliRunner, tmp_path: Path, pairs_file: Path
) -> None:
    foreign = task(1, (1, "supports"))
    foreign["annotations"][0]["result"][0]["from_name"] = "sentiment"
    export = write_json(tmp_path / "export.json", [foreign])
    said = cli("annotate", f"collect=[{export}]", f"pairs={pairs_file}", f"output={tmp_path / 'o.jsonl'}", code=2)
    assert "another project 83: no choice 'stance' (found: sentiment)" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["output=o.json"], "give either export=FILE or collect=[FILE,…]"),
        (["collect=[a.json]", "output=o.jsonl"], "collect needs pairs=FILE"),
        (["export=p.jsonl", "collect=[a.json]", "pairs=p.jsonl", "output=o.json"], "give either export=FILE"),
    ],
)
def test_when_it_goes_both_ways_or_none_then_what_is_expected_is_said(
    cli: CliRunner, words: list[str], expected: str
) -> None:
    assert expected in cli("annotate", *words, code=2)


def fill(path: Path, labels: dict[str, str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("pair_id,label\n" + "".join(f"{name},{label}\n" for name, label in labels.items()))
    return path


def test_when_two_files_are_of_one_annotator_then_neither_replaces_the_other(
    cli: CliRunner, tmp_path: Path, pairs_file: Path
) -> None:
    one, other = (
        fill(tmp_path / name / "sheet.csv", {"p1": label}) for name, label in (("a", "supports"), ("b", "rules_out"))
    )
    words = ("annotate", f"pairs={pairs_file}", f"output={tmp_path / 'out.jsonl'}")
    said = cli(*words, f"collect=[{one},{other}]", code=2)
    assert "'sheet' labels the pair 'p1' in" in said and "a column 'annotator'" in said
    own = fill(tmp_path / "file.csv", {"p1": "supports"})
    assert "in the pairs' own label too" in cli(*words, f"collect=[{own}]", code=2)
    assert not (tmp_path / "out.jsonl").exists()


def test_when_disagreements_come_back_settled_then_both_passes_are_still_there(
    cli: CliRunner, tmp_path: Path, pairs_file: Path
) -> None:
    ann = fill(tmp_path / "ann.csv", {"p1": "supports", "p2": "rules_out"})
    ben = fill(tmp_path / "ben.csv", {"p1": "supports", "p2": "leaves_open"})
    first = tmp_path / "first.jsonl"
    cli("annotate", f"collect=[{ann},{ben}]", f"pairs={pairs_file}", f"output={first}")
    cli("annotate", f"export={first}", "only=unlabelled", "to=csv", f"output={tmp_path / 'open.csv'}")
    eva = fill(tmp_path / "eva.csv", {"p2": "leaves_open"})
    cli("annotate", f"collect=[{eva}]", f"pairs={first}", f"output={tmp_path / 'last.jsonl'}")
    rows = collected(tmp_path / "last.jsonl")
    wanted = ("label", "label_1", "annotator_1", "label_2", "annotator_2", "adjudicator")
    assert [rows[1][name] for name in wanted] == ["leaves_open", "rules_out", "ann", "leaves_open", "ben", "eva"]
    assert [rows[0][name] for name in wanted[:2]] == ["supports", "supports"] and rows[2]["label"] is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"label": "suports"}, r"row 1: unknown label 'suports'; did you mean 'supports'\? \(valid: .*, or none\)"),
        ({"id": "p2"}, "row 2: the id 'p2' stands in row 1 too"),
        ({"id": "row4"}, "row 4: the name 'row4', for a pair without an id, is another's id"),
    ],
)
def test_when_the_pairs_themselves_are_bad_then_it_is_said_before_anything_is_written(
    cli: CliRunner, tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    import re

    rows: list[dict[str, Any]] = [dict(row) for row in ROWS]
    rows[0] |= change
    rows[3]["id"] = None
    pairs = write_jsonl(tmp_path / "pairs.jsonl", rows)
    said = cli("annotate", f"export={pairs}", f"output={tmp_path / 'tasks.json'}", code=2)
    assert re.search(expected, said), said
    assert not (tmp_path / "tasks.json").exists()


@pytest.mark.parametrize(
    "broken",
    [
        {"annotations": None},
        {"annotations": ["x"]},
        {"annotations": [{"result": ["x"]}]},
        {"annotations": [{"result": [{"from_name": "stance", "value": None}]}]},
    ],
)
def test_when_an_export_is_of_another_shape_then_the_task_is_named(
    cli: CliRunner, tmp_path: Path, pairs_file: Path, broken: dict[str, Any]
) -> None:
    export = write_json(tmp_path / "export.json", [task(1) | broken])
    said = cli("annotate", f"collect=[{export}]", f"pairs={pairs_file}", f"output={tmp_path / 'o.jsonl'}", code=2)
    assert "task 1: not in the shape of Label Studio's export" in said


def test_when_two_passes_are_compared_then_kappa_is_what_cohen_s_formula_gives() -> None:
    first = ["supports"] * 5 + ["rules_out"] * 5
    second = ["supports"] * 4 + ["rules_out"] * 6
    found = agreement(first, second)
    # Observed .9; by chance .5 * .4 + .5 * .6 = .5.
    assert found.raw == 0.9 and found.kappa == pytest.approx((0.9 - 0.5) / (1 - 0.5))
    assert math.isnan(agreement(["supports"], ["supports"]).kappa)
    assert set(agreement_by_label(first, second)) == {"supports", "rules_out"}
