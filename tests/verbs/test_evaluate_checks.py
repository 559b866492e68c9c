from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.conftest import CliRunner, labelled_rows, run_id_in, write_jsonl
from tests.verbs.conftest import TARGETS, VERBS, Bridges, bridge_rows, quick


@pytest.fixture(autouse=True)
def _store(in_bridges: Bridges) -> None:
    """Every test here uses the store of the trained runs."""


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """Rows of which no model has seen a statement, all of them on targets that were trained on."""
    return write_jsonl(tmp_path / "fresh.jsonl", bridge_rows(120, 9, topics=15))


def evaluated(cli: CliRunner, model: object, data: Path, *words: str) -> tuple[str, dict[str, Any]]:
    """Evaluate a model on a file; return what was printed, its lines put together again, and the JSON of the run."""
    said = cli("evaluate", f"model={model}", *quick(data), *words)
    run_id, store = re.findall(r"^run: ([0-9a-f]{32}) in (sqlite:.+)", said, re.MULTILINE)[0]
    client = MlflowClient(store)
    (path,) = [file.path for file in client.list_artifacts(run_id, "evaluation") if file.path.endswith(".json")]
    report = json.loads(Path(client.download_artifacts(run_id, path)).read_text(encoding="utf-8"))
    return " ".join(re.sub("[│╭╮╰╯─]", " ", said).split()), report


def warned(report: dict[str, Any]) -> dict[str, str]:
    return {one["check"]: one["message"] for one in report["warnings"]}


def test_when_an_honest_model_meets_an_honest_file_then_nothing_is_warned_of(
    cli: CliRunner, bridges: Bridges, fresh: Path
) -> None:
    said, report = evaluated(cli, bridges.run("honest"), fresh)
    assert report["warnings"] == [] and said.startswith("No warnings from the checks that were made.")
    assert report["scores"]["macro_f1"]["value"] > 0.85
    assert {name: hidden["cost"]["value"] > 0.1 for name, hidden in report["hidden"].items()} == {
        "statement": True,
        "target": True,
        "holder": False,
    }


def test_when_a_transformer_never_saw_the_target_then_training_and_evaluation_both_say_so_unasked(
    cli: CliRunner, tiny_overrides: list[str], labelled_file: Path
) -> None:
    words = ["model.input.hide=[target]", "evaluation.behaviour=null", "tracking.promote=never"]
    said = cli("train", *tiny_overrides, *words)
    told = r"hiding the target costs 0\.0 points of macro-F1 \(\S+ -> \S+; 95 % interval 0\.0 to 0\.0\): "
    told += "this model hardly uses the target, so its score says little about stance"
    assert re.search(f"^WARNING test: {told}$", said, re.MULTILINE)
    said, report = evaluated(cli, run_id_in(said), labelled_file)
    assert re.search(f"target hidden: {told}", said) and re.search(told, warned(report)["target hidden"])
    assert report["hidden"]["target"]["cost"] == {"value": 0, "low": 0, "high": 0}
    # So it is the target that is hidden from the model and not everything.
    assert report["hidden"]["statement"]["cost"]["value"] > 0


def test_when_the_statement_is_not_needed_then_that_is_warned_of(
    cli: CliRunner, bridges: Bridges, tmp_path: Path
) -> None:
    alike = bridge_rows(90, 11, targets={"the cheap bridge": 1, "the grim quarry": -1, "the plain road": 0})
    draw = {"the cheap bridge": "supports", "the grim quarry": "rules_out", "the plain road": "leaves_open"}
    rows = [row | {"label": draw[row["target"]]} for row in alike]
    data = write_jsonl(
        tmp_path / "easy.jsonl",
        [row | {"split": "train"} for row in rows[:50]]
        + [row | {"split": part} for part, some in (("dev", rows[50:70]), ("test", rows[70:])) for row in some],
    )
    said = cli("train", *quick(data), "data.disjoint=[]", "model=tfidf")
    said, report = evaluated(cli, run_id_in(said), data)
    assert warned(report)["statement hidden"].startswith("hiding the statement costs ")
    assert "this model hardly uses the statement: its score can be had from target and holder alone" in said
    assert "target hidden" not in warned(report)


def test_when_labels_were_rotated_in_the_training_file_then_the_right_reading_is_said(
    cli: CliRunner, bridges: Bridges, fresh: Path
) -> None:
    said, report = evaluated(cli, bridges.run("rotated"), fresh)
    _, right = evaluated(cli, bridges.run("honest"), fresh)
    score, wrong = (one["scores"]["macro_f1_outcomes"]["value"] for one in (right, report))
    assert list(warned(report)) == ["label names", "guessing"]
    assert warned(report)["label names"] == (
        "the labels look mixed up: read as 'rules_out' means supports, 'leaves_open' means rules_out, 'supports' means "
        f"leaves_open, the same predictions score {score:.3f} over four outcomes instead of {wrong:.3f}; check the "
        "order of the label names in the training data and in the model"
    )
    assert said.startswith("2 warnings: read before you believe a score label names: the labels look mixed up: read as")


@pytest.mark.parametrize("renamed", [False, True])
def test_when_training_statements_leaked_into_the_file_then_their_number_and_the_score_on_the_rest_are_said(
    cli: CliRunner, bridges: Bridges, tmp_path: Path, renamed: bool
) -> None:
    leaked = [{k: v for k, v in row.items() if k != "split"} for row in bridges.trained_on[:30]]
    if renamed:
        leaked = [
            row | {"statement": row["statement"].replace(row["holder"], "Zoe van Dyk"), "holder": "Zoe van Dyk"}
            for row in leaked
        ]
        assert not {row["statement"] for row in leaked} & {row["statement"] for row in bridges.trained_on}
    new = bridge_rows(120, 12, topics=15)
    run_id = bridges.run("weak")
    said, report = evaluated(cli, run_id, write_jsonl(tmp_path / "leaky.jsonl", new[:60] + leaked + new[60:]))
    _, clean = evaluated(cli, run_id, write_jsonl(tmp_path / "clean.jsonl", new))
    rest = clean["scores"]["macro_f1"]["value"]
    assert report["warnings"][0]["message"] == (
        "the statements of 30 of 150 rows (20.0%), or near-copies of them, were trained on: the score is too high; "
        f"macro-F1 on the other 120 rows is {rest:.3f}"
    )
    assert "trained on: the statements of 30 of 150 rows (20.0%), or near-copies" in said
    assert "trained on" not in warned(clean)
    assert f"{rest:.3f}" != f"{report['scores']['macro_f1']['value']:.3f}"


def test_when_the_training_rows_themselves_are_scored_then_all_were_trained_on(
    cli: CliRunner, bridges: Bridges, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(bridges.data, tmp_path))
    _, report = evaluated(cli, bridges.run("honest"), copy, "split=train")
    assert warned(report) == {
        "trained on": "the statements of 240 of 240 rows (100.0%), or near-copies of them, were trained on: the score "
        "is too high"
    }


def test_when_some_targets_are_new_then_both_kinds_are_scored_by_themselves(
    cli: CliRunner, bridges: Bridges, tmp_path: Path
) -> None:
    new = bridge_rows(40, 13, targets={"the dear ferry": 1, "the bleak pier": -1})
    known = bridge_rows(60, 14, topics=15)
    rows = [known[0] | {"target": "The PLAIN road!", "label": known[0]["label"]}, *known[1:], *new]
    said, report = evaluated(cli, bridges.run("honest"), write_jsonl(tmp_path / "mixed.jsonl", rows))
    _, alone = evaluated(cli, bridges.run("honest"), write_jsonl(tmp_path / "new.jsonl", new))
    subsets = report["subsets"]
    assert {name: one["rows"] for name, one in subsets.items()} == {"seen_targets": 60, "unseen_targets": 40}
    unseen = subsets["unseen_targets"]["scores"]["macro_f1"]
    assert (
        unseen["value"] == alone["scores"]["macro_f1"]["value"] < subsets["seen_targets"]["scores"]["macro_f1"]["value"]
    )
    assert unseen["low"] < unseen["value"] < unseen["high"]
    assert alone["notes"] == [
        "rows whose target was seen in training: 0, too few for scores of their own (evaluation.least_rows=20)"
    ]
    assert re.search(rf"unseen_targets 40 {unseen['value']:.3f} \[", said)


def test_when_a_model_is_given_in_any_way_then_the_scores_are_the_same(
    cli: CliRunner, bridges: Bridges, fresh: Path
) -> None:
    run_id, folder = bridges.run("weak"), bridges.model("weak")
    client = bridges.client
    client.create_registered_model("any way")
    client.create_model_version("any way", source=folder.parent.parent.as_uri(), run_id=run_id)
    client.set_registered_model_alias("any way", "here", "1")
    found = [
        evaluated(cli, model, fresh)[1]["scores"]
        for model in (run_id, folder, f"runs:/{run_id}/model", "models:/any way@here")
    ]
    assert found == [found[0]] * 4


def test_when_it_is_done_then_everything_is_in_a_run_that_is_tied_to_data_and_model(
    cli: CliRunner, bridges: Bridges, fresh: Path, tmp_path: Path
) -> None:
    model = bridges.run("rotated")
    output = tmp_path / "all.json"
    words = ["data=file", f"data.path={fresh}", "evaluation.draws=200", f"output={output}"]
    said = cli("evaluate", f"model={model}", *words)
    report = json.loads(output.read_text(encoding="utf-8"))
    run_id = re.findall(r"^run: ([0-9a-f]{32}) in sqlite:", said, re.MULTILINE)[0]
    client = bridges.client
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "tfidf on file all"
    tags = run.data.tags
    assert (tags["stancekit.data.all"], tags["stancekit.model_run"]) == (report["fingerprint"], model)
    metrics = run.data.metrics
    assert metrics["all/macro_f1"] == report["scores"]["macro_f1"]["value"]
    assert metrics["all/macro_f1_low"] == report["scores"]["macro_f1"]["low"]
    assert metrics["all/target_hidden/cost"] == report["hidden"]["target"]["cost"]["value"]
    assert metrics["all/seen_targets/macro_f1"] == report["subsets"]["seen_targets"]["scores"]["macro_f1"]["value"]
    assert metrics["all/ece"] == report["calibration"]["ece"] and metrics["all/warnings"] == 2
    rates = {one["kind"]: one["passed"] for one in report["behaviour"]}
    assert len(rates) == 7
    assert {name.partition("/")[2]: value for name, value in metrics.items() if name.startswith("behaviour/")} == rates
    names = {item.path.partition("/")[2] for item in client.list_artifacts(run_id, "evaluation")}
    pictures = {"all_confusion.png", "all_reliability.png", "all_risk_coverage.png"}
    assert names == {"all.json", "all.html", "all_predictions.jsonl"} | pictures
    stored = Path(client.download_artifacts(run_id, "evaluation/all.json", str(tmp_path)))
    assert json.loads(stored.read_text(encoding="utf-8")) == report
    page = output.with_suffix(".html").read_text(encoding="utf-8")
    note = tags["mlflow.note.content"]
    for text in (page.replace("&#39;", "'"), note):
        assert "the labels look mixed up: read as 'rules_out' means supports" in text
    assert f"Repeat it: `stancekit evaluate model={model} data=file split=all data.path={fresh}`" in note
    assert run.inputs is not None
    (data,) = run.inputs.dataset_inputs
    assert json.loads(str(data.dataset.profile))["num_rows"] == 120


def test_when_a_model_was_calibrated_then_the_temperature_is_the_one_that_it_carries(
    cli: CliRunner, bridges: Bridges, fresh: Path
) -> None:
    manifest = json.loads((bridges.model("weak") / "stancekit.json").read_text(encoding="utf-8"))
    said, report = evaluated(cli, bridges.run("weak"), fresh)
    temperature = manifest["calibration"]["temperature"]
    assert report["calibration"]["temperature"] == temperature != 1
    assert f"temperature {temperature:.3f}." in said
    assert report["calibration"]["conformal"]["level"] == manifest["calibration"]["level"]
    assert report["notes"] == [
        "rows whose target was not seen in training: 0, too few for scores of their own (evaluation.least_rows=20)"
    ]


def test_when_a_model_errs_then_slices_and_its_most_confident_errors_are_told_with_words(
    cli: CliRunner, bridges: Bridges, fresh: Path
) -> None:
    said, report = evaluated(cli, bridges.run("weak"), fresh, "evaluation.mistakes=7", "evaluation.least_rows=10")
    wrong = sum(sum(row) for row in report["confusion"]) - sum(row[i] for i, row in enumerate(report["confusion"]))
    assert wrong > 7 and len(report["mistakes"]) == 7
    sure = [one["confidence"] for one in report["mistakes"]]
    assert sure == sorted(sure, reverse=True)
    assert all(one["gold"] != one["predicted"] and one["words"] for one in report["mistakes"])
    # Noise is in no training statement, so that only verbs and targets can carry weight.
    heaviest = {one["words"][0][0].removeprefix("target: ") for one in report["mistakes"]}
    assert heaviest <= {*VERBS, *(word for target in TARGETS for word in target.split())}
    worst = [one["macro_f1"] for one in report["slices"]]
    assert worst == sorted(worst) and {one["name"] for one in report["slices"]} >= {"target", "words"}
    assert "Most confident mistakes: The first 5 of 7." in said


def test_when_a_stance_is_missing_then_the_set_is_refused_or_on_demand_scored(
    cli: CliRunner, bridges: Bridges, tmp_path: Path
) -> None:
    rows = [row for row in bridge_rows(120, 15, topics=15) if row["label"] != "leaves_open"]
    data = write_jsonl(tmp_path / "two.jsonl", rows)
    said = cli("evaluate", "model=no such model is looked for", *quick(data), code=2)
    assert said.startswith(f"stancekit: all: none of its {len(rows)} rows is labelled leaves_open, so a macro-F1 over")
    assert "evaluation.labels=present scores it all the same, with an F1 of 0 for what is missing" in said
    _, report = evaluated(cli, bridges.run("honest"), data, "evaluation.labels=present")
    assert report["scores"]["leaves_open/f1"]["value"] == 0
    assert 0.5 < report["scores"]["macro_f1"]["value"] <= 2 / 3


def test_when_a_zero_shot_model_names_its_labels_then_it_is_scored_and_what_cannot_be_told_is_noted(
    cli: CliRunner, tiny_encoder: Path, tmp_path: Path
) -> None:
    from tests.models.test_zero_shot import nli_folder

    folder = nli_folder(tmp_path / "my_nli", tiny_encoder, ("neutral", "entailment", "contradiction"))
    data = write_jsonl(tmp_path / "labelled.jsonl", labelled_rows(40))
    _, report = evaluated(cli, folder, data, "split=all")
    assert report["model"] == "my_nli" and report["rows"] == 40
    # It has no logit for no_stance.
    assert [row[3] for row in report["confusion"]] == [0, 0, 0, 0]
    assert report["notes"] == [
        "the model does not say what it was trained on: neither new targets nor leaked statements can be told",
        "no temperature was fitted to this model: its probabilities are as they come",
    ]


def test_when_a_zero_shot_model_does_not_name_its_labels_then_it_is_refused(
    cli: CliRunner, tiny_encoder: Path, tmp_path: Path, fresh: Path
) -> None:
    from tests.models.test_zero_shot import nli_folder

    folder = nli_folder(tmp_path / "my_nli", tiny_encoder, ("LABEL_0", "LABEL_1", "LABEL_2"))
    said = cli("evaluate", f"model={folder}", *quick(fresh), code=2)
    assert "its labels are LABEL_0, LABEL_1, LABEL_2, which do not say what they mean; expected entailment, " in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model={parent}"], "model={parent}: not found in the MLflow store sqlite:///"),
        (["model=" + "0" * 32], "model=" + "0" * 32 + ": not found in the MLflow store sqlite:///"),
        (["model=models:/nobody@champion"], "model=models:/nobody@champion: not found in the MLflow store sqlite:///"),
        (["model=latest", "tracking.registered_model=no"], "model=latest: no model is registered as 'no' yet, in the "),
        (["model=champion"], "no model registered as 'stancekit' is the champion yet, in the MLflow store sqlite:///"),
        (["split=further"], "split=further: no such rows in "),
        (["output={tmp}/fresh.jsonl/x.json"], "output: '{tmp}/fresh.jsonl/x.json' cannot be written"),
        (["output={tmp}/x.txt"], "expected .json"),
        (["evaluation.behaviour={tmp}/nothing"], "evaluation.behaviour: no file or folder '{tmp}/nothing'"),
    ],
)
def test_when_something_is_wrong_then_one_message_says_what(
    cli: CliRunner, bridges: Bridges, fresh: Path, tmp_path: Path, words: list[str], expected: str
) -> None:
    parent = bridges.client.get_run(bridges.run("honest")).data.tags["mlflow.parentRunId"]
    given = [word.format(tmp=tmp_path, parent=parent) for word in words]
    model = [] if given[0].startswith("model=") else [f"model={bridges.run('honest')}"]
    assert expected.format(tmp=tmp_path, parent=parent) in cli("evaluate", *model, *quick(fresh), *given, code=2)


def test_when_the_split_is_a_further_test_set_then_its_file_is_scored(
    cli: CliRunner, bridges: Bridges, fresh: Path
) -> None:
    words = [f"data.tests={{further: '{fresh}'}}", "split=further", "evaluation.draws=100"]
    said = cli("evaluate", f"model={bridges.run('honest')}", *quick(bridges.data), *words)
    assert "tfidf on further" in said and "120 rows in 15 clusters by topic of" in said
