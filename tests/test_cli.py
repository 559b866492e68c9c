from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stancekit.cli import VERBS
from stancekit.config.schema import TrackingConfig
from stancekit.models.saved import load_model
from stancekit.tracking.registry import find_model
from stancekit.tracking.results import children
from stancekit.tracking.store import open_store
from tests.conftest import CliRunner

TRACKING = TrackingConfig(
    uri=None, experiment="stancekit", registered_model="stancekit", models=True, promote="when_better"
)


def imported_by(code: str) -> str:
    script = f"{code}\nimport sys\nprint(*sorted(m for m in sys.modules if '.' not in m))"
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "code",
    [
        "import stancekit",
        "from stancekit.cli import main; main(['--help'])",
        "from stancekit.cli import main; main(['train', '--help'])",
        "from stancekit.cli import main; main(['train', 'modle=x', 'training.epochs=0'])",
    ],
)
def test_when_no_work_is_done_then_torch_and_transformers_are_not_imported(code: str) -> None:
    modules = imported_by(code).split()
    assert "stancekit" in modules
    assert not {"torch", "transformers", "mlflow", "sklearn"} & set(modules)


@pytest.mark.parametrize("verb", VERBS)
def test_when_help_is_asked_for_then_the_verb_lists_its_keys_and_groups(cli: CliRunner, verb: str) -> None:
    said = cli(verb, "--help")
    assert f"usage: stancekit {verb}" in said and "groups:" in said


def test_when_the_verb_is_misspelt_then_the_nearest_is_named(cli: CliRunner) -> None:
    assert "no verb 'trian'; did you mean 'train'?" in cli("trian", code=2)


def test_when_an_option_is_misspelt_then_the_nearest_is_named(cli: CliRunner) -> None:
    assert "unknown option --cgf; did you mean '--cfg'?" in cli("train", "--cgf", code=2)


def test_when_several_values_are_given_with_m_then_every_combination_runs_under_one_parent(
    cli: CliRunner, labelled_file: Path
) -> None:
    words = ["data=file", f"data.path={labelled_file}", "data.disjoint=[topic]", "model=majority,tfidf"]
    said = cli("train", "-m", *words)
    parent = re.search(r"^parent run ([0-9a-f]{32}) \(stancekit\): 2 trainings$", said, re.MULTILINE)
    assert parent and "== model=tfidf (2 of 2)" in said
    found = re.findall(r"^run ([0-9a-f]{32}) \((.+)\)$", said, re.MULTILINE)
    assert [name for _, name in found] == ["model=majority", "model=tfidf"]
    assert "| model=majority | 1 |" in said and "| model=tfidf | 1 |" in said
    client = open_store(TRACKING)
    assert [run.info.run_id for run in children(client, client.get_run(parent[1]))] == [run_id for run_id, _ in found]
    kinds = [load_model(find_model(run_id, TRACKING)).config.kind for run_id, _ in found]
    assert kinds == ["majority", "tfidf"]


def test_when_several_values_are_given_to_another_verb_then_it_runs_once_for_each(
    cli: CliRunner, labelled_file: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / "one.json", tmp_path / "other.json"]
    said = cli("annotate", "-m", f"export={labelled_file}", f"output={outputs[0]},{outputs[1]}")
    assert f"[1/2] output={outputs[0]}" in said and f"[2/2] output={outputs[1]}" in said
    assert all(len(json.loads(output.read_text())) == 120 for output in outputs)


def test_when_one_of_several_jobs_is_invalid_then_none_starts(cli: CliRunner, tmp_path: Path) -> None:
    said = cli("train", "-m", "model=majority", "seed=1,-1", code=2)
    assert "seed: Input should be greater than or equal to 0, found -1" in said
    assert not (tmp_path / "home").exists()


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import stancekit.verbs.report
from stancekit.cli import main

def run(config):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("a part of a library cannot be imported") from None

stancekit.verbs.report.run = run
sys.exit(main(["report", "experiment=baselines"]))
"""


def test_when_a_library_makes_another_error_of_ctrl_c_then_it_is_an_interruption_all_the_same() -> None:
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (130, "stancekit: interrupted\n")
