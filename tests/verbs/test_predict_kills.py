"""`stancekit predict`, killed at random moments: the same command ends with the bytes of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from stancekit.files import encode_rows, read_rows
from stancekit.prediction.rows import PREDICTED_COLUMNS
from tests.conftest import labelled_rows
from tests.verbs.tiny_export import LONGEST, export_tiny

ROWS = 2400
WINDOW = 40
_DEADLINE = 60.0


@pytest.fixture(scope="module")
def model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is ready in a second: killed runs must be begun again many times."""
    return export_tiny(tiny_encoder, tmp_path_factory.mktemp("kills") / "model")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of which some are bad, and many come again: in the same window, in the next ones and far below."""
    draw = random.Random(11)
    pool = [{key: row[key] for key in ("statement", "holder", "target")} for row in labelled_rows(ROWS // 2, seed=3)]
    lines = []
    for number in range(ROWS):
        row: dict[str, object] = {"id": number, **draw.choice(pool[: 1 + number // 2])}
        bad: dict[int, dict[str, object]] = {
            0: {"target": None},
            1: {"statement": " "},
            2: {"holder": 7},
            3: {"target": "port " * LONGEST},
        }
        row |= bad.get(number % 23, {})
        lines.append(b"{not JSON\n" if number % 23 == 4 else encode_rows([row]))
    path = tmp_path_factory.mktemp("rows") / "in.jsonl"
    path.write_bytes(b"".join(lines))
    return path


class Runs:
    """Runs of one command, each of which is killed at a moment that is drawn."""

    def __init__(self, model: Path, rows: Path, seed: int) -> None:
        self.words = ["predict", f"model={model}", f"input={rows}", "engine.threads=1", f"engine.window_rows={WINDOW}"]
        self.draw = random.Random(seed)
        self.kills = 0
        self.parts_at_kill: list[int] = []

    def start(self, output: Path) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "stancekit", *self.words, f"output={output}"]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def undisturbed(self, output: Path) -> bytes:
        process = self.start(output)
        _, said = process.communicate(timeout=_DEADLINE)
        assert process.returncode == 0, said
        return output.read_bytes()

    def until_done(self, output: Path) -> None:
        """Begin the command again and again, until one run of it comes to its end; three at most die close to it."""
        parts = Path(f"{output}.parts")
        at_the_end = 0
        while True:
            process = self.start(output)
            self._wait_for_the_moment(process, parts)
            if (parts / "whole").exists():
                at_the_end += 1
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.draw.uniform(0, 0.03) if at_the_end <= 3 else _DEADLINE)
            process.kill()
            _, said = process.communicate(timeout=_DEADLINE)
            assert process.returncode in (0, -9) and "Traceback" not in said, said
            if process.returncode == 0:
                return
            self.kills += 1
            self.parts_at_kill.append(journalled(parts))
            assert_scored_once(parts)

    def _wait_for_the_moment(self, process: subprocess.Popen[str], parts: Path) -> None:
        if self.draw.random() < 0.15:
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.draw.uniform(0.05, 0.5))
            return
        wanted = journalled(parts) + self.draw.randint(1, 10)
        # The last kills of an output come when its parts are put together.
        moment = (parts / (f"part-{wanted - 1:05d}.jsonl" if wanted < ROWS // WINDOW else "whole")).exists
        deadline = time.monotonic() + _DEADLINE
        while process.poll() is None and not moment() and time.monotonic() < deadline:
            time.sleep(0.0005)


def journalled(parts: Path) -> int:
    """Return how many parts count."""
    journal = parts / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.is_file() else 0


def assert_scored_once(parts: Path) -> None:
    """No pair was scored for two parts, whichever run made them: its digits depend on what it is scored with."""
    keys: list[bytes] = []
    for number in range(journalled(parts)):
        with np.load(parts / f"scores-{number:05d}.npz") as arrays:
            keys += [bytes(key) for key in arrays["keys"]]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(("suffix", "least"), [("jsonl", 25), ("parquet", 8)])
def test_when_killed_at_random_moments_then_the_same_command_ends_with_the_bytes_of_an_undisturbed_run(
    model: Path, rows: Path, tmp_path: Path, suffix: str, least: int
) -> None:
    runs = Runs(model, rows, seed=least)
    expected = runs.undisturbed(tmp_path / f"undisturbed.{suffix}")
    for number in range(2 * least):
        output = tmp_path / str(number) / f"out.{suffix}"
        runs.until_done(output)
        assert output.read_bytes() == expected
        assert sorted(os.listdir(output.parent)) == [output.name, f"{output.name}.manifest.json"]
        assert json.loads(Path(f"{output}.manifest.json").read_bytes())["rows"] == ROWS
        if runs.kills >= least:
            break
    assert runs.kills >= least
    assert len({count for count in runs.parts_at_kill if count}) >= least // 3, "kills came in the middle"


def test_when_nothing_is_killed_then_the_rows_are_those_of_the_input_in_its_order(
    model: Path, rows: Path, tmp_path: Path
) -> None:
    """What the killed runs are compared with is right: every row is there, bad ones and twins too."""
    runs = Runs(model, rows, seed=0)
    runs.undisturbed(tmp_path / "out.jsonl")
    runs.undisturbed(tmp_path / "out.parquet")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    given = list(read_rows(rows))
    assert [row.get("id") for row in found] == [row.values.get("id") for row in given]
    bad = [number for number, row in enumerate(found) if row["status"] == "error"]
    assert bad == [number for number in range(ROWS) if number % 23 < 5]
    digits: dict[tuple[str, ...], set[float]] = {}
    for row in found:
        if row["status"] == "ok":
            digits.setdefault((row["statement"], row["holder"], row["target"]), set()).add(row["p_supports"])
    assert all(len(one) == 1 for one in digits.values()) and len(digits) < 0.7 * len(found)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names[-len(PREDICTED_COLUMNS) :] == list(PREDICTED_COLUMNS)
    assert [row["p_supports"] for row in table.to_pylist()] == [row["p_supports"] for row in found]
