from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stancekit.config.compose import experiments_dir
from stancekit.errors import UserError
from stancekit.repeats import experiment
from stancekit.repeats.experiment import END, START, Measured, known_experiment, question_of, read, readme_table, stale
from stancekit.repeats.summary import from_table
from stancekit.tracking.store import open_store
from tests.conftest import CliRunner
from tests.repeats.conftest import TRACKING, Tree, experiment_yaml, use_experiments

SHIPPED = experiments_dir()
LEARNED = "More rows | more points.\nSeeds spread\n\nThe rest is for the page."


@pytest.fixture
def folder(spread: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The experiments of a checkout of this test's own, with the store in which `spread` was run."""
    home, checkout = spread
    shutil.copytree(checkout, tmp_path / "checkout")
    shutil.copytree(home, tmp_path / "home", dirs_exist_ok=True)
    monkeypatch.setenv("STANCEKIT_HOME", str(tmp_path / "home"))
    use_experiments(monkeypatch, tmp_path / "checkout" / "experiments")
    return tmp_path / "checkout" / "experiments"


def test_when_an_experiment_is_reported_then_its_result_stands_in_json_page_and_readme(
    folder: Path, tmp_path: Path, cli: CliRunner
) -> None:
    said = cli("report", "experiment=spread", f"learned={LEARNED}")
    files = [folder / "spread.json", folder / "spread.md", folder.parent / "README.md"]
    assert said.splitlines()[-3:] == [f"written: {file}" for file in files]
    found, tree = read("spread"), Tree(tmp_path / "home")
    assert found is not None and found.question == "How far do seeds spread?"
    assert found.command == "stancekit train experiment=spread" and found.seeds == "seeds 13, 14"
    assert found.config_hash == tree.root.data.tags["stancekit.config_hash"] and found.learned == LEARNED
    assert (found.config["training.epochs"], found.config["seeds"], found.variants) == (1, 2, {"": []})
    line = from_table(found.table)["folder"]
    assert line.runs == 2
    assert line.parts["test"]["macro_f1"].mean == tree.root.data.metrics["test/macro_f1"]
    costs = [run.data.metrics["test/ece"] for run in tree.below()]
    assert found.checks["folder"]["test/ece"] == pytest.approx(sum(costs) / 2, abs=1e-4)
    assert found.seconds == pytest.approx(sum(run.data.metrics["seconds"] for run in tree.below()))

    page = files[1].read_text(encoding="utf-8")
    assert f"| folder | 2 | {line.parts['dev']['macro_f1']} | {line.parts['test']['macro_f1']} |" in page
    assert f"| folder | 2 | {line.parts['dev']['macro_f1_outcomes']} |" in page
    assert "## What was learned\n\n" + LEARNED in page and "seeds 13, 14" in page
    readme = files[2].read_text(encoding="utf-8")
    assert readme == f"# Mine\n\n{START}\n{readme_table()}\n{END}\n\nThe end.\n"
    rows = [row for row in readme.splitlines() if row.startswith("| [")]
    assert rows == [
        "| [other](experiments/other.yaml) | What else? | not measured yet |",
        "| [spread](experiments/spread.yaml) | How far do seeds spread? | More rows \\| more points. Seeds spread |",
    ]


def test_when_it_is_reported_for_the_first_time_then_what_was_learned_is_asked_for_and_kept_later(
    folder: Path, cli: CliRunner
) -> None:
    said = cli("report", "experiment=spread", code=2)
    assert "experiment=spread: say what it taught: learned='…' (later reports keep it)" in said
    assert not (folder / "spread.json").exists() and "old" in (folder.parent / "README.md").read_text()
    cli("report", "experiment=spread", "learned=Little.")
    first = (folder / "spread.json").read_text()
    cli("report", "experiment=spread")
    assert (folder / "spread.json").read_text() == first
    cli("report", "experiment=spread", "learned=Much.")
    again = read("spread")
    assert again is not None and again.learned == "Much."


def test_when_an_experiment_is_reported_then_the_readme_shows_its_table_without_dev_and_the_first_one_first(
    folder: Path, cli: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "FIRST_SHOWN", "spread")
    cli("report", "experiment=spread", "learned=Little.")
    found = read("spread")
    assert found is not None
    lines = readme_table().splitlines()
    assert [line.split("]")[0] for line in lines[2:4]] == ["| [spread", "| [other"]
    shown = lines.index("`stancekit train experiment=spread`:")
    line = from_table(found.table)["folder"].parts["test"]["macro_f1"]
    assert lines[shown + 2 :] == ["| | runs | test |", "|---|---|---|", f"| folder | 2 | {line} |"]


def test_when_an_experiment_was_not_run_then_the_command_that_runs_it_is_named(folder: Path, cli: CliRunner) -> None:
    said = cli("report", "experiment=other", "learned=x", code=2)
    assert "experiment=other: it has not been run yet, in sqlite:" in said
    assert said.endswith("\n  stancekit train experiment=other\n")
    assert "experiment=spred: no such experiment; did you mean 'spread'? (valid: other, spread)" in cli(
        "report", "experiment=spred", "learned=x", code=2
    )


def test_when_an_experiment_is_a_single_training_then_a_run_of_it_under_a_parent_counts(
    folder: Path, cli: CliRunner
) -> None:
    single = (folder / "spread.yaml").read_text().replace("seeds: 2", "seeds: 1")
    (folder / "spread.yaml").write_text(single)
    assert "written:" in cli("report", "experiment=spread", "learned=It is one.")
    found = read("spread")
    assert found is not None and found.seeds == "seeds 13"
    assert from_table(found.table)["folder"].runs == 1


def test_when_its_configuration_changed_since_then_it_is_to_be_run_again(
    folder: Path, tiny_words: list[str], cli: CliRunner
) -> None:
    (folder / "spread.yaml").write_text(experiment_yaml(tiny_words, "training.epochs=2"), encoding="utf-8")
    said = cli("report", "experiment=spread", "learned=x", code=2)
    assert "experiment=spread: its configuration has changed since it was run, in sqlite:" in said
    assert said.endswith("\n  stancekit train experiment=spread\n") and not (folder / "spread.json").exists()


@pytest.mark.parametrize("status", ["KILLED", "RUNNING"])
def test_when_it_was_not_run_to_its_end_then_the_command_that_goes_on_is_named(
    folder: Path, tmp_path: Path, cli: CliRunner, status: str
) -> None:
    tree = Tree(tmp_path / "home")
    run_id = tree.root.info.run_id
    client = open_store(TRACKING)
    # Carried by a process that is gone, as after SIGKILL.
    client.set_tag(run_id, "stancekit.pid", "999999999")
    client.update_run(run_id, status)
    said = cli("report", "experiment=spread", "learned=x", code=2)
    assert f"experiment=spread: its run {run_id} is KILLED" in said
    assert said.endswith(f"\n  stancekit train resume={run_id}\n")


def test_when_the_readme_says_where_results_begin_and_not_where_they_end_then_nothing_is_written(
    folder: Path, cli: CliRunner
) -> None:
    readme = folder.parent / "README.md"
    readme.write_text(f"# Mine\n{START}\nold\n", encoding="utf-8")
    said = cli("report", "experiment=spread", "learned=x", code=2)
    assert f"is not followed by '{END}'" in said
    assert not (folder / "spread.json").exists() and readme.read_text(encoding="utf-8").endswith("old\n")
    readme.write_text("# Without results\n", encoding="utf-8")
    said = cli("report", "experiment=spread", "learned=x")
    assert "README" not in said and readme.read_text(encoding="utf-8") == "# Without results\n"


def measured(name: str) -> Measured:
    config, variants = experiment.current(name)
    return Measured(
        name=name,
        question="?",
        command="",
        config=config,
        variants=variants,
        config_hash="0" * 16,
        commit="0" * 40,
        changed_since=False,
        date="2026-11-22",
        machine="a machine",
        seconds=1.0,
        seeds="seeds 13",
        table={},
        checks={},
        learned="",
    )


def test_when_a_value_changed_since_then_it_is_named_and_what_came_later_is_not(folder: Path) -> None:
    before = measured("other")
    assert stale(before) == []
    yaml = (folder / "other.yaml").read_text()
    (folder / "other.yaml").write_text(f"{yaml}training: {{epochs: 9}}\nevaluation: {{slices: [topic]}}\n")
    assert stale(before) == [
        "training.epochs: was 4, is 9",
        "evaluation.slices: was ['phenomena', 'topic', 'target'], is ['topic']",
    ]
    later = measured("other")
    config = {key: value for key, value in later.config.items() if key != "training.patience"}
    assert stale(Measured(**{**vars(later), "config": config})) == []
    gone = {**later.config, "training.momentum": 0.9}
    assert stale(Measured(**{**vars(later), "config": gone})) == ["training.momentum: was 0.9, is 'gone'"]


def test_when_variants_changed_since_then_it_is_said(folder: Path) -> None:
    path = folder / "other.yaml"
    path.write_text(path.read_text() + "variants:\n  small: [training.limit_rows=40]\n")
    before = measured("other")
    assert before.variants == {"small": ["training.limit_rows=40"]} and stale(before) == []
    path.write_text(path.read_text().replace("40", "50"))
    assert stale(before) == ["variants"]


def test_when_an_experiment_is_unknown_then_the_nearest_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"experiment=oter: no such experiment; did you mean 'other'\?"):
        known_experiment("oter")
    assert question_of(known_experiment("spread")) == "How far do seeds spread?"


def test_when_results_ship_then_none_is_stale_and_the_readme_shows_what_they_say() -> None:
    problems = {}
    for path in sorted(SHIPPED.glob("*.json")):
        found = read(path.stem)
        assert found is not None and found.name == path.stem and found.learned
        if changed := stale(found):
            problems[path.name] = changed
    assert problems == {}, "run these anew with `stancekit train experiment=…`, then `stancekit report experiment=…`"
    text = (SHIPPED.parent / "README.md").read_text(encoding="utf-8")
    _, begun, rest = text.partition(START)
    block, ended, _ = rest.partition(END)
    assert bool(begun) == bool(ended)
    assert not begun or block == f"\n{readme_table()}\n", "`stancekit report experiment=…` writes it anew"
