from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from tests.conftest import CliRunner
from tests.verbs.conftest import Bridges


@pytest.fixture
def registry(in_bridges: Bridges) -> Bridges:
    """The store of the trained runs, in which every test registers under a name of its own."""
    return in_bridges


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The word that gives a test a registered model of its own."""
    return f"tracking.registered_model={tmp_path.name}"


def champion(bridges: Bridges, own: str) -> tuple[str, str] | None:
    """Return version and run of the champion, or None."""
    try:
        found = bridges.client.get_model_version_by_alias(own.partition("=")[2], "champion")
    except MlflowException:
        return None
    return str(found.version), str(found.run_id)


def test_when_there_is_no_champion_then_the_first_becomes_it(cli: CliRunner, registry: Bridges, own: str) -> None:
    run_id = registry.run("weak")
    assert "version 1 is now the champion: model=champion\n" in cli("promote", f"run={run_id}", own)
    assert champion(registry, own) == ("1", run_id)


def test_when_a_run_is_shown_to_be_better_then_it_takes_over_and_the_reason_is_said(
    cli: CliRunner, registry: Bridges, own: str
) -> None:
    weak, honest = registry.run("weak"), registry.run("honest")
    cli("promote", f"run={weak}", own)
    said = cli("promote", f"run={honest}", own)
    assert "version 2 is now the champion: model=champion (on dev: this one is better than version 1 by " in said
    assert champion(registry, own) == ("2", honest)


def test_when_a_run_is_worse_then_it_is_refused_and_the_alias_stays(
    cli: CliRunner, registry: Bridges, own: str
) -> None:
    weak, honest = registry.run("weak"), registry.run("honest")
    cli("promote", f"run={honest}", own)
    said = cli("promote", f"run={weak}", own, code=2)
    assert f"run={weak}: " in said and "model=champion is unchanged (on dev: version 1 is better than this one" in said
    assert champion(registry, own) == ("1", honest)


def test_when_a_run_is_no_better_then_it_is_refused(cli: CliRunner, registry: Bridges, own: str) -> None:
    honest = registry.run("honest")
    cli("promote", f"run={honest}", own)
    (other,) = [
        run.info.run_id
        for run in registry.client.search_runs(
            [registry.client.get_run(honest).info.experiment_id],
            f"tags.`mlflow.parentRunId` = '{registry.client.get_run(honest).data.tags['mlflow.parentRunId']}'",
        )
        if run.info.run_id != honest
    ]
    assert "(on dev: no difference shown: macro-F1 " in cli("promote", f"run={other}", own, code=2)
    assert champion(registry, own) == ("1", honest)


def test_when_it_is_forced_then_a_worse_run_takes_over_under_the_version_that_it_has(
    cli: CliRunner, registry: Bridges, own: str
) -> None:
    weak, honest = registry.run("weak"), registry.run("honest")
    cli("promote", f"run={honest}", own)
    cli("promote", f"run={weak}", own, code=2)
    assert "version 2 is now the champion: model=champion" in cli("promote", f"run={weak}", "force=true", own)
    assert champion(registry, own) == ("2", weak)
    assert len(registry.client.search_model_versions(f"name = '{own.partition('=')[2]}'")) == 2


def test_when_the_champion_is_promoted_again_then_it_stays_and_that_is_no_mistake(
    cli: CliRunner, registry: Bridges, own: str
) -> None:
    run_id = registry.run("honest")
    cli("promote", f"run={run_id}", own)
    assert "version 1 is the champion already: model=champion" in cli("promote", f"run={run_id}", own)


def test_when_a_parent_is_promoted_then_its_best_child_is(cli: CliRunner, registry: Bridges, own: str) -> None:
    cli("promote", "run=weak", own)
    found = champion(registry, own)
    assert found is not None
    client = registry.client
    parent = client.get_run(registry.run("weak")).data.tags["mlflow.parentRunId"]
    assert client.get_run(found[1]).data.tags["mlflow.parentRunId"] == parent


def test_when_the_champion_was_scored_on_other_dev_rows_then_only_force_replaces_it(
    cli: CliRunner, registry: Bridges, own: str
) -> None:
    cli("promote", f"run={registry.run('weak')}", own)
    said = cli("promote", "run=rotated", own, code=2)
    assert "version 1 was scored on other dev rows; `stancekit promote run=… force=true` replaces it" in said
    cli("promote", "run=rotated", "force=true", own)
    assert champion(registry, own) == ("2", registry.run("rotated"))


@pytest.mark.parametrize("run_id", [None, "0" * 32])
def test_when_the_run_of_the_champion_is_not_there_then_only_force_replaces_it(
    cli: CliRunner, registry: Bridges, own: str, run_id: str | None
) -> None:
    client, name = registry.client, own.partition("=")[2]
    client.create_registered_model(name)
    client.create_model_version(name, source=registry.model("weak").as_uri(), run_id=run_id)
    client.set_registered_model_alias(name, "champion", "1")
    said = cli("promote", f"run={registry.run('honest')}", own, code=2)
    assert "version 1 left no predictions on dev to compare with; `stancekit promote run=… force=true`" in said
    assert str(client.get_model_version_by_alias(name, "champion").version) == "1"


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("honset", "'honset': no run of that id or name in sqlite:///"),
        ("family", "(family) holds several variants, which are not one model; give one of them: honest ("),
        ("scores alone", "run {id} has no model: it was trained with tracking.models=false, or is no training"),
        ("nothing", "(nothing) has no predictions of 'dev' (it has: none)"),
    ],
)
def test_when_there_is_nothing_to_promote_then_it_is_said(
    cli: CliRunner, registry: Bridges, own: str, run: str, expected: str
) -> None:
    client = registry.client
    experiment = client.get_experiment_by_name("stancekit")
    assert experiment is not None
    made = (
        client.create_run(experiment.experiment_id, run_name=run).info.run_id if " " in run or run == "nothing" else ""
    )
    if run == "scores alone":
        file = client.download_artifacts(registry.run("weak"), "evaluation/dev_predictions.jsonl")
        client.log_artifact(made, file, "evaluation")
    if made:
        client.set_terminated(made)
    assert expected.format(id=made) in cli("promote", f"run={run}", own, code=2)
    assert champion(registry, own) is None
