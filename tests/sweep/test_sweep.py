from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path

import mlflow
import optuna
import psutil
import pytest
import yaml
from mlflow.entities import Run

from stancekit.config.compose import load_config
from stancekit.config.schema import SweepConfig, TrainConfig
from stancekit.data.dataset import load_dataset
from stancekit.sweep.space import distributions, trial_config
from stancekit.sweep.study import alone, differences, next_sampler
from stancekit.sweep.trial import Began, Ended, Evaluated, Task, carry_out
from stancekit.tracking.logging import config_hash
from stancekit.tracking.runs import tracked_run
from stancekit.tracking.store import experiment_id, open_store
from tests.conftest import CliRunner, spawn

Words = Callable[..., list[str]]
_RATE = {"training.learning_rate": {"low": 0.001, "high": 0.02, "log": True}}


@pytest.fixture
def words(tmp_path: Path) -> Words:
    """Return the words that sweep over a space: a folder with a `sweep` of one's own."""

    def made(space: object, *further: str, **settings: object) -> list[str]:
        values = {"trials": 3, "workers": 1, "metric": "macro_f1", "pruning": False, "startup_trials": 1, **settings}
        folder = tmp_path / "own" / "sweep"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", **values, "space": space}), encoding="utf-8")
        return ["sweep", f"--config-dir={tmp_path / 'own'}", "sweep=mine", *further]

    return made


def tfidf(labelled_file: Path) -> list[str]:
    return ["data=file", f"data.path={labelled_file}", "data.disjoint=[topic]", "model=tfidf"]


def config_of(words: list[str]) -> SweepConfig:
    _, own, *rest = words
    config = load_config("sweep", rest, Path(own.partition("=")[2]))
    assert isinstance(config, SweepConfig)
    return config


def runs_by_role(config: SweepConfig) -> tuple[list[Run], list[Run]]:
    client = open_store(config.tracking)
    runs = list(client.search_runs([experiment_id(client, config.tracking)], order_by=["attributes.start_time"]))
    of = {role: [run for run in runs if run.data.tags["stancekit.role"] == role] for role in ("sweep", "trial")}
    return of["sweep"], of["trial"]


def trials_of(home: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="mine", storage=f"sqlite:///{home / 'sweeps' / 'mine.db'}").trials


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (
            {"training.learning_rat": {"low": 0.1, "high": 0.2}},
            "sweep.space.training.learning_rat: no such setting; did you mean 'training.learning_rate'?",
        ),
        ({"model.encoder": {"choices": ["a", "b"]}}, "sweep.space.model.encoder: no such setting"),
        ({"training.epochs": {"low": 3, "high": 2}}, "low=3 must lie below high=2"),
        (
            {"training.epochs": {"low": 1, "high": 2.5}},
            "sweep.space.training.epochs.high: expected a whole number, found 2.5",
        ),
        (
            {"training.batch_size": {"low": 8, "high": 32, "step": 0.5}},
            "sweep.space.training.batch_size.step: expected a whole number, found 0.5",
        ),
        (
            {"training.epochs": {"low": 0, "high": 4}},
            "sweep.space.training.epochs.low: training.epochs: Input should be greater than 0, found 0",
        ),
        (
            {"training.class_weights": {"choices": ["none", "balance"]}},
            "sweep.space.training.class_weights.choices[1]: training.class_weights: Input should be",
        ),
        (
            {"model.freeze_word_embeddings": {"low": 0, "high": 1}},
            "sweep.space.model.freeze_word_embeddings: expected choices, found a range",
        ),
        (
            {"model.c": {"low": 0.1, "high": 1}},
            "sweep.space.model.c.low: model.c: not a key of the chosen model",
        ),
        ({"seed": {"low": 1, "high": 9}}, "sweep.space.seed: not to be searched: a lucky seed is no setting"),
        ({"data.path": {"choices": ["a", "b"]}}, "sweep.space.data.path: not to be searched: all trials must learn"),
        (
            {"training.metric": {"choices": ["macro_f1", "mcc"]}},
            "sweep.space.training.metric: not to be searched: all trials must be measured alike",
        ),
    ],
)
def test_when_a_space_cannot_be_searched_then_the_key_is_named_and_nothing_begins(
    cli: CliRunner, words: Words, tmp_path: Path, space: object, said: str
) -> None:
    assert said in cli(*words(space), code=2)
    assert not (tmp_path / "home").exists()


def test_when_two_keys_are_wrong_then_both_are_named(cli: CliRunner, words: Words) -> None:
    space = {"training.epoch": {"low": 1, "high": 2}, "training.batch_size": {"low": -1, "high": 8}}
    said = cli(*words(space), code=2)
    assert "sweep.space.training.epoch:" in said and "sweep.space.training.batch_size.low:" in said


@pytest.mark.parametrize("word", ["seeds=3", "folds=4", "baselines=true", "resume=last"])
def test_when_a_sweep_is_given_several_trainings_a_trial_then_it_refuses(
    cli: CliRunner, words: Words, word: str
) -> None:
    assert f"{word.partition('=')[0]}: a " in cli(*words(_RATE, word), code=2)


def test_when_the_metric_is_not_computed_on_the_data_then_the_way_to_it_is_named(cli: CliRunner, words: Words) -> None:
    said = cli(*words(_RATE, "data.metrics=[f_avg]", metric="fnc"), code=2)
    assert "sweep.metric: 'fnc'" in said and "add data.metrics=[f_avg,fnc]" in said


def test_when_the_name_is_no_file_name_then_it_is_refused(cli: CliRunner, words: Words) -> None:
    assert "sweep.name: expected letters" in cli(*words(_RATE, "sweep.name=../mine"), code=2)


def test_when_a_setting_takes_whole_numbers_then_its_distribution_holds_nothing_else(words: Words) -> None:
    space = {"training.epochs": {"low": 2, "high": 6}, **_RATE, "training.batch_size": {"choices": [16, 32]}}
    assert distributions(config_of(words(space))) == {
        "training.epochs": optuna.distributions.IntDistribution(2, 6),
        "training.learning_rate": optuna.distributions.FloatDistribution(0.001, 0.02, log=True),
        "training.batch_size": optuna.distributions.CategoricalDistribution((16, 32)),
    }


def test_when_a_trial_has_values_then_its_training_differs_in_them_alone(words: Words) -> None:
    config = config_of(words(_RATE))
    made = trial_config(config, {"training.learning_rate": 0.003, "model.input.max_length": 99})
    usual = load_config("train", ["training.learning_rate=0.003", "model.input.max_length=99"])
    assert isinstance(usual, TrainConfig) and made == usual


def test_when_a_value_was_and_another_was_not_there_then_both_are_told() -> None:
    before = {"sweep": {"space": {"training.epochs": {"low": 1, "high": 3}}}, "seed": 13}
    after = {"sweep": {"space": {"training.epochs": {"low": 1, "high": 4}, "model.c": {"low": 0.5}}}, "seed": 13}
    assert differences(before, after) == [
        "sweep.space.training.epochs.high: was 3, now 4",
        "sweep.space.model.c.low: was (none), now 0.5",
    ]


def test_when_a_sampler_is_made_anew_then_it_proposes_what_would_have_come_and_never_its_first_values() -> None:
    space: dict[str, optuna.distributions.BaseDistribution] = {"x": optuna.distributions.FloatDistribution(0, 1)}
    proposed = []
    for _ in range(2):
        study = optuna.create_study()
        for value in (0.5, 0.7, 0.1):
            next_sampler(study, seed=13)
            study.tell(study.ask(space), value)
        proposed.append([trial.params["x"] for trial in study.trials])
    assert proposed[0] == proposed[1] and len(set(proposed[0])) == 3


def test_when_a_sweep_is_carried_already_then_a_second_is_refused_and_nothing_is_changed(
    cli: CliRunner, words: Words, labelled_file: Path, tmp_path: Path
) -> None:
    space = {"model.c": {"low": 0.1, "high": 10, "log": True}}
    with alone("mine"):
        said = cli(*words(space, *tfidf(labelled_file)), code=2)
    assert "another process is carrying this sweep" in said and "sweep.name=OTHER" in said
    assert not (tmp_path / "home" / "sweeps" / "mine.db").exists()


def test_when_a_sweep_is_over_then_its_trials_lie_under_its_run_with_figures_and_it_stays_as_it_is(
    cli: CliRunner, words: Words, tiny_overrides: list[str], tmp_path: Path
) -> None:
    space = {"training.learning_rate": {"choices": [1e-9, 0.01]}}
    given = [*tiny_overrides, "training.epochs=2", "seed=1", "evaluation.draws=200"]
    sweep = words(space, *given, pruning=True)
    said = cli(*sweep)

    trials = trials_of(tmp_path / "home")
    # The seed proposes a rate that learns, one that does not, and the first again.
    assert [t.params["training.learning_rate"] for t in trials] == [0.01, 1e-9, 0.01]
    assert [t.state.name for t in trials] == ["COMPLETE", "PRUNED", "COMPLETE"]
    config = config_of(sweep)
    (parent,), children = runs_by_role(config)
    assert [run.data.tags["mlflow.parentRunId"] for run in children] == [parent.info.run_id] * 3
    assert [run.data.tags["stancekit.trial"] for run in children] == ["0", "1", "2"]
    assert [run.data.tags["stancekit.state"] for run in children] == ["complete", "pruned", "complete"]
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    for trial, run in zip(trials, children, strict=True):
        assert run.data.params == {"training.learning_rate": str(trial.params["training.learning_rate"])}
        assert run.data.metrics["dev/macro_f1"] == trial.value
        assert run.data.tags["stancekit.config_hash"] == config_hash(trial_config(config, trial.params))
        assert not [name for name in run.data.metrics if name.startswith("test")]
    best = trials[0].value
    assert best is not None and best == trials[2].value
    client = open_store(config.tracking)
    assert parent.data.metrics == {"dev/macro_f1": best, "trials/complete": 2, "trials/pruned": 1, "trials/failed": 0}
    listed = json.loads(mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/sweep/trials.json"))
    assert [(row["trial"], row["state"]) for row in listed] == [(0, "complete"), (2, "complete"), (1, "pruned")]
    assert not client.search_logged_models([parent.info.experiment_id]), "trials keep no model"
    assert not (tmp_path / "home" / "sweeps" / "mine").exists(), "no checkpoints are left"

    command = shlex.split(next(line for line in said.splitlines() if line.startswith("train it:")))
    assert command[2:4] == ["stancekit", "train"]
    assert load_config("train", command[4:]) == trial_config(config, {"training.learning_rate": 0.01})

    changed = words({"training.learning_rate": {"choices": [1e-9, 0.02]}}, *given, "seed=2", pruning=True)
    refused = cli(*changed, code=2)
    assert "seed: was 1, now 2" in refused and "sweep.name=OTHER" in refused
    assert "sweep.space.training.learning_rate.choices: was [1e-09, 0.01], now [1e-09, 0.02]" in refused
    again = cli(*words(space, *given, pruning=True))
    assert said[said.index("trial  state") :] == again[again.index("trial  state") :]
    assert len(trials_of(tmp_path / "home")) == 3 and len(runs_by_role(config)[1]) == 3


def test_when_more_trials_are_wanted_then_the_sweep_goes_on_under_the_same_run_and_figures_come(
    cli: CliRunner, words: Words, labelled_file: Path, tmp_path: Path
) -> None:
    space = {"model.c": {"low": 0.001, "high": 10, "log": True}, "model.min_count": {"low": 1, "high": 3}}
    cli(*words(space, *tfidf(labelled_file), trials=1))
    said = cli(*words(space, *tfidf(labelled_file), trials=3, workers=2))
    assert "going on: 1 complete" in said
    sweep = words(space, *tfidf(labelled_file), trials=3)
    (parent,), children = runs_by_role(config_of(sweep))
    assert parent.info.status == "FINISHED" and parent.data.metrics["trials/complete"] == 3
    assert sorted(run.data.tags["stancekit.trial"] for run in children) == ["0", "1", "2"]
    values = [trial.value for trial in trials_of(tmp_path / "home") if trial.value is not None]
    assert parent.data.metrics["dev/macro_f1"] == max(values) and len(set(values)) > 1
    stored = {a.path for a in open_store(config_of(sweep).tracking).list_artifacts(parent.info.run_id, "sweep")}
    assert {"sweep/optimization_history.png", "sweep/param_importances.png"} < stored


def test_when_the_first_trials_all_fail_then_the_sweep_stops_with_their_reason(
    cli: CliRunner, words: Words, labelled_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stancekit.sweep.trials._HOPELESS", 0)
    # No word stands in so many rows.
    sweep = words({"model.min_count": {"low": 900, "high": 999}}, *tfidf(labelled_file), trials=9, workers=2)
    said = cli(*sweep, code=2)
    reason = "model tfidf: cannot be trained on these 84 rows"
    assert f"the first 2 trials have all failed, the last with: {reason}" in said
    trials = trials_of(tmp_path / "home")
    # A third was begun when the first had failed, and was stopped.
    assert [trial.state.name for trial in trials] == ["FAIL"] * len(trials) and 2 <= len(trials) <= 3
    assert all(trial.user_attrs["reason"].startswith(reason) for trial in trials[:2])
    parents, children = runs_by_role(config_of(sweep))
    assert parents[0].info.status == "FAILED" and not any(run.info.status == "RUNNING" for run in children)


def test_when_a_trial_is_to_be_pruned_then_its_run_ends_well_and_says_so(
    words: Words, tiny_overrides: list[str], tmp_path: Path
) -> None:
    config = trial_config(config_of(words(_RATE, *tiny_overrides)), {"training.learning_rate": 0.01})
    data = load_dataset(config.data)
    folder = tmp_path / "checkpoints"
    ours, theirs = Pipe()
    ours.send(True)
    with tracked_run(config.tracking, "mine", {}) as parent:
        parent_id = parent.info.run_id
        carry_out(Task(4, "mine-4", config, "macro_f1", {}, {}, parent_id, None, folder, data.train, data.dev), theirs)
    sent = []
    while ours.poll():
        sent.append(ours.recv())
    assert sent[-1] == Ended("pruned") and len(sent) == 3
    began, evaluated, _ = sent
    assert isinstance(began, Began) and isinstance(evaluated, Evaluated)
    run = open_store(config.tracking).get_run(began.run_id)
    assert run.info.status == "FINISHED" and run.data.tags["stancekit.state"] == "pruned"
    assert run.data.metrics["dev/macro_f1"] == evaluated.value
    assert run.data.tags["mlflow.parentRunId"] == parent_id


def workers_of(process: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(process).children() if "spawn_main" in " ".join(child.cmdline())]


def test_when_a_worker_and_then_the_sweep_are_killed_then_the_same_command_makes_what_is_missing(
    cli: CliRunner, words: Words, labelled_file: Path, tmp_path: Path
) -> None:
    sweep = words({"model.c": {"low": 0.1, "high": 10, "log": True}}, *tfidf(labelled_file), trials=3)
    process = spawn(sweep)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    # Said when the trial's run has begun, before anything that trains has been imported.
    assert next((line for line in lines if line.startswith("trial 0: model.c=")), None), "trial 0 never began"
    (worker,) = workers_of(process.pid)
    worker.kill()
    said = next(line for line in lines if line.startswith("trial 0: failed"))
    assert "its process was ended by SIGKILL" in said
    assert next((line for line in lines if line.startswith("trial 1: model.c=")), None), "trial 1 never began"
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert not psutil.wait_procs(started, timeout=60)[1], "no process outlives the sweep"

    said = cli(*sweep)
    assert "trial 1: failed: its process is gone" in said
    assert [trial.state.name for trial in trials_of(tmp_path / "home")] == ["FAIL", "FAIL", "COMPLETE"]
    (parent,), children = runs_by_role(config_of(sweep))
    assert parent.info.status == "FINISHED"
    assert [run.info.status for run in children] == ["KILLED", "KILLED", "FINISHED"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert not workers_of(os.getpid())
