from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn
from urllib.error import HTTPError

import numpy as np
import psutil
import pytest

from stancekit.prediction.rows import PREDICTED_COLUMNS
from tests.serving.conftest import ROWS, Logged, P


@dataclass(frozen=True)
class Server:
    """`mlflow models serve` as a process of its own."""

    process: subprocess.Popen[str]
    url: str

    def post(self, body: bytes, content_type: str = "application/json") -> tuple[int, Any]:
        """Return the status and what the answer says; it is strict JSON."""
        request = urllib.request.Request(f"{self.url}/invocations", body, {"Content-Type": content_type})
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, json.loads(response.read(), parse_constant=refuse)
        except HTTPError as error:
            return error.code, json.loads(error.read(), parse_constant=refuse)

    def ask(self, **payload: Any) -> list[dict[str, Any]]:
        """Return one prediction for every row of a good payload."""
        status, answer = self.post(json.dumps(payload).encode())
        assert status == 200, answer
        found: list[dict[str, Any]] = answer["predictions"]
        return found


def refuse(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


def split(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows as MLflow's ``dataframe_split``."""
    return {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}


@pytest.fixture(scope="module")
def server(logged: Logged) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # MLflow starts uvicorn by its name alone.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    words = ["--model-uri", f"runs:/{logged.run_id}/model", "--env-manager", "local", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", *words],
        env={**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": logged.store, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "Uvicorn running on" in line:
            break
    else:
        pytest.fail("the server did not start:\n" + "".join(said))
    # Nobody else reads on, and a full pipe would stop the server.
    Thread(target=process.stdout.read, daemon=True).start()
    workers = psutil.Process(process.pid).children(recursive=True)
    yield Server(process, f"http://127.0.0.1:{port}")
    process.kill()
    process.wait()
    for worker in workers:
        # The last test has ended them already, where it was run.
        with suppress(psutil.NoSuchProcess):
            worker.kill()


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records"])
def test_when_rows_are_posted_then_they_come_back_in_order_with_the_saved_models_own_probabilities(
    server: Server, logged: Logged, form: str
) -> None:
    found = server.ask(**{form: split(ROWS) if form == "dataframe_split" else ROWS})
    assert all(tuple(row) == PREDICTED_COLUMNS for row in found)
    np.testing.assert_allclose([[row[name] for name in P] for row in found], logged.probabilities, atol=1e-6)
    assert all((row["status"], row["error"], row["truncated"]) == ("ok", None, False) for row in found)


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records"])
def test_when_bad_rows_lie_between_then_each_says_why_and_the_others_stay_the_same(
    server: Server, logged: Logged, form: str
) -> None:
    good = ROWS[0] | {"id": 7, "stance": "old"}
    bad: dict[str, dict[str, Any]] = {
        "'statement' is empty": {"statement": "  "},
        "'statement' is missing": {"statement": None},
        "'statement' must be text, found int": {"statement": 3},
        "'statement' must be text, found dict": {"statement": {"text": "a"}},
        "'target' is missing": {"target": None},
        "'holder' must be text or nothing, found list": {"holder": []},
    }
    rows = [row for change in bad.values() for row in (good | change, good)]
    found = server.ask(**{form: split(rows) if form == "dataframe_split" else rows})
    empty = dict.fromkeys(PREDICTED_COLUMNS) | {"status": "error", "truncated": False}
    assert found[::2] == [empty | {"error": reason} for reason in bad]
    assert found[1::2] == [found[1]] * len(bad) and found[1]["status"] == "ok"
    np.testing.assert_allclose([found[1][name] for name in P], logged.probabilities[0], atol=1e-6)


def test_when_all_rows_are_bad_or_there_are_none_then_that_is_an_answer(server: Server) -> None:
    (only,) = server.ask(dataframe_records=[{"statement": None, "target": 3}])
    assert (only["status"], only["error"], only["p_supports"]) == ("error", "'statement' is missing", None)
    assert server.ask(dataframe_split={"columns": ["statement", "target"], "data": []}) == []


def test_when_the_logged_example_is_posted_then_it_is_answered(server: Server, logged: Logged) -> None:
    status, answer = server.post((logged.folder / "serving_input_example.json").read_bytes())
    assert status == 200 and [row["status"] for row in answer["predictions"]] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"dataframe_records": [{"text": "a", "target": "b"}]}', "missing inputs ['statement']"),
        (b'{"dataframe_split": {"columns": ["statement"], "data": [["a"]]}}', "missing inputs ['target']"),
        (b'{"dataframe_records": []}', "missing inputs ['statement', 'target']"),
        (b'{"dataframe_records": [1, 2, 3]}', "missing inputs ['statement', 'target']"),
        (b'{"instances": [1, 2, 3]}', "missing inputs ['statement', 'target']"),
        (b"[1, 2, 3]", "The input must be a JSON dictionary"),
        (b'{"dataframe_records": "abc"}', "must be a list of records"),
        (b'{"rows": []}', "exactly one of the input fields"),
        (b"{}", "exactly one of the input fields"),
        (b"", "valid JSON formatted string"),
        (b"the minister wants it", "valid JSON formatted string"),
        (b'{"dataframe_records": [', "valid JSON formatted string"),
        (b"\xff\xfe\x00", "valid JSON formatted string"),
        (b'{"dataframe_records": [{"statement": "\\ud800", "target": "b"}]}', "surrogates not allowed"),
    ],
)
def test_when_the_payload_is_bad_then_it_is_refused_in_words_and_the_next_one_is_answered(
    server: Server, body: bytes, expected: str
) -> None:
    status, answer = server.post(body)
    assert status == 400 and expected in answer["message"] and answer["error_code"]
    assert [row["status"] for row in server.ask(dataframe_records=ROWS[:2])] == ["ok", "ok"]


def test_when_many_ask_at_once_then_each_gets_its_own_answer(server: Server, logged: Logged) -> None:
    def ask(number: int) -> list[float]:
        at = number % len(ROWS)
        # Some statements are cut, for which the tokenizer is set up anew.
        rows = [ROWS[at], ROWS[at] | {"statement": "the mine " * 200}]
        found = server.ask(dataframe_records=rows)
        assert [row["truncated"] for row in found] == [False, True]
        return [found[0][name] for name in P]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(48)))
    np.testing.assert_allclose(found, np.tile(logged.probabilities, (4, 1)), atol=1e-6)


def test_when_the_server_is_told_to_stop_then_no_process_is_left(server: Server) -> None:
    workers = psutil.Process(server.process.pid).children(recursive=True)
    assert workers
    server.process.terminate()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive and server.process.wait(timeout=60) is not None
