"""Runs that are trained once for the tests that only read them, on rows whose label statement and target decide."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from stancekit.cli import main
from tests.conftest import write_jsonl

VERBS = {"praises": 1, "applauds": 1, "notes": 0, "weighs": 0, "scolds": -1, "condemns": -1, "ignores": None}
TARGETS = {
    "the cheap bridge": 1,
    "the green tower": 1,
    "the plain road": 0,
    "the small depot": 0,
    "the costly tunnel": -1,
    "the grim quarry": -1,
}
_HOLDERS = ("Ada Lund", "Bo Meyer", "Cy Tran")
_ROTATED = {"supports": "rules_out", "rules_out": "leaves_open", "leaves_open": "supports"}


def bridge_rows(
    count: int, seed: int, topics: int = 12, targets: Mapping[str, int] = TARGETS, **columns: Any
) -> list[dict[str, Any]]:
    """Return rows that a linear model of statement and target learns, and that one of either alone does not.

    The label is the sign of how the verb speaks of anything and how good the target is, taken together: neither hides
    the other. Every statement has 17 words of noise around verb and holder, so that no two share five words in a row.
    """
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        verb, target, holder = draw.choice(list(VERBS)), draw.choice(list(targets)), draw.choice(_HOLDERS)
        tone = VERBS[verb]
        both = 0 if tone is None else tone + targets[target]
        label = "no_stance" if tone is None else ("leaves_open", "supports", "rules_out")[(both > 0) - (both < 0)]
        noise = ["".join(draw.choices("abcdefghijklmnop", k=6)) for _ in range(17)]
        rows.append(
            {
                "id": f"{seed}-{number}",
                "statement": " ".join([*noise[:3], holder, *noise[3:11], verb, *noise[11:]]),
                "holder": holder,
                "target": target,
                "label": label,
                "topic": f"topic {seed}-{draw.randrange(topics)}",
                **columns,
            }
        )
    return rows


@dataclass(frozen=True)
class Bridges:
    """A store with runs of TF-IDF, and the file that they were trained on.

    The experiment ``family`` has the parents ``honest`` and ``weak`` (too little fitted), each of two seeds, and the
    run ``rotated``, in whose file three labels are named in a circle.
    """

    home: Path
    data: Path
    trained_on: list[dict[str, Any]]

    @property
    def client(self) -> MlflowClient:
        """A client of the store."""
        return MlflowClient(f"sqlite:///{self.home / 'mlflow.db'}")

    def run(self, name: str) -> str:
        """Return the id of a training: the run of that name, or the first child of the parent of that name."""
        client = self.client
        (experiment,) = client.search_experiments(filter_string="name = 'stancekit'")
        (found,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
        below = f"tags.`mlflow.parentRunId` = '{found.info.run_id}'"
        seeds = client.search_runs([experiment.experiment_id], below, order_by=["attributes.run_name"])
        return str((seeds or [found])[0].info.run_id)

    def model(self, name: str) -> Path:
        """Return the folder of the model that such a training saved."""
        outputs = self.client.get_run(self.run(name)).outputs
        assert outputs is not None
        (folder,) = (self.home / "artifacts/models" / outputs.model_outputs[-1].model_id).glob("artifacts/artifacts/*")
        return folder


def quick(data: Path) -> list[str]:
    """Return the words that evaluate or train on a file, without what takes long."""
    return ["data=file", f"data.path={data}", "evaluation.behaviour=null", "evaluation.draws=200"]


@pytest.fixture(scope="session")
def bridges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridges]:
    """The store, which tests must not change but for runs of their own."""
    base = tmp_path_factory.mktemp("bridges")
    trained_on = bridge_rows(240, 1, split="train")
    held_out = [*bridge_rows(80, 2, split="dev"), *bridge_rows(100, 3, split="test")]
    data = write_jsonl(base / "bridges.jsonl", trained_on + held_out)
    wrong = [row | {"label": _ROTATED.get(row["label"], row["label"])} for row in trained_on + held_out]
    rotated = write_jsonl(base / "rotated.jsonl", wrong)
    family = f"{{honest:['seeds=2'],weak:['seeds=2','model.c=0.003'],rotated:['data.path={rotated}']}}"
    words = ["train", *quick(data), "data.disjoint=[topic]", "model=tfidf", "name=family", f"variants={family}"]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        patch.setenv("STANCEKIT_HOME", str(base / "home"))
        assert main(words) == 0, said.getvalue()
    yield Bridges(base / "home", data, trained_on)


@pytest.fixture
def in_bridges(bridges: Bridges, monkeypatch: pytest.MonkeyPatch) -> Bridges:
    """The same, as the store that the command line uses."""
    monkeypatch.setenv("STANCEKIT_HOME", str(bridges.home))
    return bridges
