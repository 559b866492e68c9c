from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from stancekit.evaluation.predictions import Predictions
from stancekit.tracking.runs import process_tags
from tests.conftest import CliRunner, write_jsonl
from tests.verbs.conftest import Bridges, bridge_rows, quick


@pytest.fixture(autouse=True)
def _store(in_bridges: Bridges) -> None:
    """Every test here uses the store of the trained runs."""


def results(output: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((output / "comparison.json").read_text(encoding="utf-8"))
    return found


def test_when_one_parent_of_repeats_is_better_then_the_verdict_says_by_how_much_and_on_how_many_runs(
    cli: CliRunner, bridges: Bridges, tmp_path: Path
) -> None:
    said = cli("compare", "runs=[weak,honest]", f"output={tmp_path / 'out'}")
    (found,) = results(tmp_path / "out")
    logged = [bridges.client.get_run(bridges.run(name)).data.metrics["test/macro_f1"] for name in ("weak", "honest")]
    (headline,) = [one for one in found["metrics"] if one["metric"] == "macro_f1"]
    # The seeds of a linear model are all alike, so that the mean is each one's score.
    assert [headline["first"]["value"], headline["other"]["value"]] == pytest.approx(logged)
    assert headline["difference"]["value"] == pytest.approx(logged[1] - logged[0]) and headline["shown"]
    assert (found["runs"], found["rows"], found["part"]) == ([2, 2], 100, "test")
    points = f"{100 * (logged[1] - logged[0]):.1f}"
    assert said.startswith(f"honest is better than weak by {points} points (95 % interval ")
    assert "100 rows in 12 clusters, fingerprint " in said and ", 2 and 2 runs" in said


def test_when_an_output_is_asked_for_then_markdown_page_and_json_say_the_same_verdict(
    cli: CliRunner, tmp_path: Path
) -> None:
    said = cli("compare", "runs=[weak,honest]", f"output={tmp_path / 'deep' / 'out'}")
    folder = tmp_path / "deep" / "out"
    assert sorted(path.name for path in folder.iterdir()) == ["comparison.html", "comparison.json", "comparison.md"]
    verdict = results(folder)[0]["verdict"]
    assert verdict == said.splitlines()[0]
    assert f"**{verdict}**" in (folder / "comparison.md").read_text(encoding="utf-8")
    assert verdict in (folder / "comparison.html").read_text(encoding="utf-8")
    assert f"written: {folder / 'comparison.md'}, {folder / 'comparison.html'}, {folder / 'comparison.json'}" in said


def test_when_a_parent_is_compared_with_a_single_run_then_its_runs_are_two_against_one(
    cli: CliRunner, bridges: Bridges
) -> None:
    said = cli("compare", f"runs=[honest,{bridges.run('weak')}]")
    assert said.startswith("honest is better than seed 13 by ")
    assert ", 2 and 1 runs" in said


def test_when_a_run_is_compared_with_itself_then_no_difference_is_shown(cli: CliRunner, bridges: Bridges) -> None:
    run_id = bridges.run("honest")
    said = cli("compare", f"runs=[{run_id},{run_id}]")
    assert said.startswith("no difference shown: macro-F1 ")
    assert "difference 0.0 points (95 % interval 0.0 to 0.0)" in said
    assert "McNemar's test: 0 rows right by" in said and "Disagreements" not in said


def test_when_a_run_is_compared_with_its_own_saved_model_then_no_difference_is_shown(
    cli: CliRunner, bridges: Bridges
) -> None:
    folder = bridges.model("weak")
    said = cli("compare", f"runs=[{bridges.run('weak')},{folder}]", *quick(bridges.data))
    assert "difference 0.0 points (95 % interval 0.0 to 0.0)" in said.splitlines()[0]
    assert f"seed 13 and {folder} on test: 100 rows" in said


def test_when_two_models_are_compared_then_both_are_scored_on_the_file_that_is_given(
    cli: CliRunner, bridges: Bridges, tmp_path: Path
) -> None:
    fresh = write_jsonl(tmp_path / "fresh.jsonl", bridge_rows(90, 7))
    uri = f"runs:/{bridges.run('honest')}/model"
    said = cli("compare", f"runs=[{bridges.model('weak')},{uri}]", "split=all", *quick(fresh))
    assert said.startswith(f"{uri} is better than {bridges.model('weak')} by ")
    assert "90 rows in 12 clusters" in said


def test_when_three_are_given_then_the_first_is_compared_with_each_other_one(
    cli: CliRunner, bridges: Bridges, tmp_path: Path
) -> None:
    cli("compare", f"runs=[honest,weak,{bridges.run('honest')}]", f"output={tmp_path}")
    assert [(found["first"], found["other"]) for found in results(tmp_path)] == [
        ("honest", "weak"),
        ("honest", "seed 13"),
    ]


def test_when_two_runs_share_a_name_then_what_the_user_called_them_tells_them_apart(
    cli: CliRunner, bridges: Bridges
) -> None:
    one, other = bridges.run("weak"), bridges.run("honest")
    said = cli("compare", f"runs=[{one},{other}]")
    assert said.startswith(f"seed 13 ({other[:8]}) is better than seed 13 ({one[:8]}) by ")


def test_when_the_part_is_a_further_test_set_then_a_saved_model_is_scored_on_its_file(
    cli: CliRunner, bridges: Bridges, tmp_path: Path
) -> None:
    further = write_jsonl(tmp_path / "further.jsonl", bridge_rows(40, 8))
    words = [*quick(bridges.data), f"data.tests={{further: '{further}'}}", "split=further"]
    assert "further: 40 rows in " in cli("compare", f"runs=[{bridges.model('weak')},{bridges.model('honest')}]", *words)


def test_when_parents_are_cross_validated_then_their_folds_are_compared_as_one_set_of_rows(
    cli: CliRunner, tmp_path: Path, bridges: Bridges
) -> None:
    client = bridges.client
    experiment = client.get_experiment_by_name("stancekit")
    assert experiment is not None
    read = Predictions.read(
        Path(client.download_artifacts(bridges.run("weak"), "evaluation/test_predictions.jsonl", str(tmp_path)))
    )
    for name, cuts in (("halves", [0, 50, 100]), ("thirds", [0, 30, 60, 100])):
        tags = {"stancekit.role": "repeats", "stancekit.line": "model"}
        parent = client.create_run(experiment.experiment_id, run_name=name, tags=tags).info.run_id
        for first, end in itertools.pairwise(cuts):
            below = {"stancekit.role": "fold", "mlflow.parentRunId": parent}
            child = client.create_run(experiment.experiment_id, run_name="fold", tags=below).info.run_id
            part = tmp_path / "test_predictions.jsonl"
            read.take(read.groups.argsort()[first:end]).write(part)
            client.log_artifact(child, str(part), "evaluation")
            client.set_terminated(child)
        client.set_terminated(parent)
    said = cli("compare", "runs=[halves,thirds]")
    assert "difference 0.0 points (95 % interval 0.0 to 0.0)" in said.splitlines()[0]
    assert "100 rows in 12 clusters" in said


def test_when_runs_are_compared_then_neither_torch_nor_transformers_is_imported(bridges: Bridges) -> None:
    code = (
        "import sys; from stancekit.cli import main\n"
        "code = main(['compare', 'runs=[weak,honest]'])\n"
        "print('exit', code, sorted({'torch', 'transformers', 'sklearn'} & set(sys.modules)))"
    )
    environment = {**os.environ, "STANCEKIT_HOME": str(bridges.home)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "exit 0 []"
    assert done.stdout.startswith("honest is better than weak by ")


def test_when_two_runs_were_scored_on_other_rows_then_both_fingerprints_are_named(
    cli: CliRunner, bridges: Bridges
) -> None:
    runs = [bridges.client.get_run(bridges.run(name)) for name in ("honest", "rotated")]
    one, other = (run.data.tags["stancekit.data.test"] for run in runs)
    assert one != other
    said = cli("compare", "runs=[honest,rotated]", code=2)
    assert f"honest has fingerprint {one} (100 rows), rotated has {other} (100 rows)" in said


def test_when_a_part_is_unknown_then_those_that_the_run_has_are_named(cli: CliRunner, bridges: Bridges) -> None:
    said = cli("compare", "runs=[honest,weak]", "split=tset", code=2)
    assert "has no predictions of 'tset'; did you mean 'test'? (it has: dev, test)" in said
    words = ["split=tset", *quick(bridges.data)]
    assert "split=tset: no such rows in" in cli("compare", f"runs=[{bridges.model('weak')},honest]", *words, code=2)


def test_when_a_run_is_unknown_then_the_nearest_is_named(cli: CliRunner) -> None:
    said = cli("compare", "runs=[honset,weak]", code=2)
    assert "'honset': no run of that id or name in sqlite:///" in said and "did you mean 'honest'?" in said


def test_when_a_name_has_marks_that_filters_know_then_the_run_of_exactly_that_name_is_meant(
    cli: CliRunner, bridges: Bridges
) -> None:
    client = bridges.client
    experiment = client.get_experiment_by_name("stancekit")
    assert experiment is not None
    for name in ('o\'neill % "b"', 'oxneill % "b"'):
        client.set_terminated(client.create_run(experiment.experiment_id, run_name=name).info.run_id)
    for name in ('o\'neill % "b"', 'oxneill % "b"'):
        escaped = name.replace('"', '\\"')
        said = cli("compare", f'runs=["{escaped}",honest]', code=2)
        assert f"({name}) has no predictions of 'test' (it has: none)" in said


def test_when_a_run_is_still_running_then_it_is_refused(cli: CliRunner, bridges: Bridges) -> None:
    client = bridges.client
    experiment = client.get_experiment_by_name("stancekit")
    assert experiment is not None
    bare = client.create_run(experiment.experiment_id, run_name="bare").info.run_id
    carried = client.create_run(experiment.experiment_id, run_name="carried", tags=process_tags()).info.run_id
    try:
        assert f"run {bare} (bare) is still running; wait for its end" in cli("compare", "runs=[bare,honest]", code=2)
        said = cli("compare", f"runs=[honest,{carried}]", code=2)
        assert f"run {carried} (carried) is still running, as process {os.getpid()}; wait for its end" in said
    finally:
        client.set_terminated(bare)
        client.set_terminated(carried)


def test_when_the_process_of_a_running_run_is_gone_then_the_run_is_said_to_be_killed(
    cli: CliRunner, bridges: Bridges
) -> None:
    client = bridges.client
    experiment = client.get_experiment_by_name("stancekit")
    assert experiment is not None
    gone = psutil.Popen([sys.executable, "-c", ""])
    tags = {**process_tags(), "stancekit.pid": str(gone.pid), "stancekit.pid_started": "1.00"}
    gone.wait()
    run = client.create_run(experiment.experiment_id, run_name="gone", tags={**tags, "stancekit.line": "model"})
    said = cli("compare", "runs=[gone,honest]", code=2)
    assert f"run {run.info.run_id} (gone) is KILLED: it ended before it was done; go on with: " in said
    assert f"stancekit train resume={run.info.run_id}" in said


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"stancekit.line": "model"}, r"go on with: stancekit train resume=[0-9a-f]{32}\n"),
        (
            {"stancekit.line": "model", "mlflow.parentRunId": "f" * 32},
            f"go on with: stancekit train resume={'f' * 32}\n",
        ),
        ({"stancekit.role": "evaluation"}, r"it ended before it was done\n"),
    ],
)
def test_when_a_run_was_killed_then_it_is_refused_with_what_goes_on_with_it(
    cli: CliRunner, bridges: Bridges, tags: dict[str, str], expected: str
) -> None:
    client = bridges.client
    experiment = client.get_experiment_by_name("stancekit")
    assert experiment is not None
    run_id = client.create_run(experiment.experiment_id, run_name="stopped", tags=tags).info.run_id
    client.set_terminated(run_id, "KILLED")
    said = cli("compare", f"runs=[honest,{run_id}]", code=2)
    assert f"run {run_id} (stopped) is KILLED" in said and re.search(expected, said)


def test_when_an_experiment_of_several_variants_is_given_then_its_variants_are_named(
    cli: CliRunner, bridges: Bridges
) -> None:
    said = cli("compare", "runs=[family,honest]", code=2)
    assert "(family) holds several variants, which are not one model; give one of them: honest (" in said
    assert f"rotated ({bridges.run('rotated')})" in said


def test_when_the_output_cannot_be_written_then_it_is_said_and_nothing_is_left(cli: CliRunner, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    said = cli("compare", "runs=[honest,weak]", f"output={taken / 'out'}", code=2)
    assert f"output: '{taken / 'out' / 'comparison.md'}' cannot be written" in said
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["taken"]


@pytest.mark.parametrize("name", ["/no/such/model", "./model", "~/model"])
def test_when_a_path_leads_nowhere_then_a_model_was_meant_and_no_run(
    cli: CliRunner, bridges: Bridges, name: str
) -> None:
    said = cli("compare", f"runs=['{name}',honest]", *quick(bridges.data), code=2)
    assert f"model: '{name}': no such folder" in said


def test_when_a_single_run_is_given_then_two_are_asked_for(cli: CliRunner) -> None:
    assert "runs: " in cli("compare", "runs=[honest]", code=2)
