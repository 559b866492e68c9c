"""A real Ray on this machine with two workers, each of which is a process of its own."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from stancekit.config.compose import load_config
from stancekit.config.schema import EngineConfig, PredictConfig
from stancekit.errors import UserError
from stancekit.files import encode_rows, read_rows
from stancekit.pairs.model import Pair
from stancekit.prediction.choosing import open_scorer
from stancekit.prediction.cluster import scored_on_ray
from stancekit.prediction.cluster.desk import Desk, scored, sent
from stancekit.prediction.cluster.session import session, workers_of
from stancekit.prediction.cluster.worker import MOST_ATTEMPTS, Worker, as_opened, identity, model_files
from stancekit.prediction.memo import Memo
from stancekit.prediction.rows import labelled_rows
from tests.conftest import CliRunner, spawn, write_jsonl
from tests.conftest import labelled_rows as pair_rows
from tests.prediction.conftest import Exported

TORCH = ("engine=torch", "engine.precision=fp32", "engine.threads=1", "engine.window_rows=16")
ONNX = ("engine=onnx", *TORCH[1:])
RAY = ("engine.cluster=ray", "engine.workers=2")
HOST = socket.gethostname()
PAIRS = [Pair("the minister wants closing the port", "closing the port", "the minister"), Pair("x", "port " * 400)]


def engine_of(*words: str) -> EngineConfig:
    config = load_config("predict", ["model=m", "input=-", "output=-", *ONNX, *RAY, *words])
    assert isinstance(config, PredictConfig)
    return config.engine


def command(model: Path, given: Path, output: Path, *more: str) -> list[str]:
    return ["predict", f"model={model}", f"input={given}", f"output={output}", *more]


def processes(title: str) -> list[psutil.Process]:
    """Return Ray's processes of this one that call themselves so."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[0].startswith(f"ray::{title}"):
                found.append(process)
        except (psutil.Error, IndexError):
            continue
    return found


def gone(ended: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(ended, timeout=60)[1]


@pytest.fixture(scope="module")
def own_ray() -> Iterator[None]:
    """A session that lasts for the module, begun and ended as that of one run."""
    before = set(psutil.Process().children(recursive=True))
    with session(engine_of()):
        yield
        begun = [process for process in psutil.Process().children(recursive=True) if process not in before]
    assert not ray.is_initialized() and len(begun) > 5 and gone(begun)


@pytest.fixture(scope="module")
def desk(own_ray: None) -> Any:
    return ray.remote(Desk).options(num_cpus=0).remote()


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """402 rows: good, bad and long ones, pairs again in a window and later, windows with nothing that is new."""
    rows: list[dict[str, Any]] = pair_rows(400)
    for place in range(5, 400, 9):
        rows[place] = rows[place - 1 - place % 40] | {"id": f"again {place}"}
    for place in range(3, 400, 14):
        rows[place].pop("target", None)
    for place in range(7, 400, 50):
        rows[place] = rows[place] | {"target": "port " * 400}
    rows[48:64] = [{"id": "neither"}] * 16
    rows[64:80] = rows[0:16]
    rows[90] = rows[91] | {"statement": "the port " * 600_000}
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("not json\n" + json.dumps({"statement": "half \ud83d", "target": "x"}) + "\n")
    return path


@pytest.fixture
def expected(cli: CliRunner, exported: Exported, mixed: Path, tmp_path: Path) -> bytes:
    """What comes out on one machine, without Ray."""
    cli(*command(exported.folder, mixed, tmp_path / "one.jsonl", *ONNX))
    return (tmp_path / "one.jsonl").read_bytes()


@pytest.mark.usefixtures("own_ray")
def test_when_two_workers_label_rows_then_the_bytes_are_those_of_one_machine(
    cli: CliRunner, saved_model: Path, mixed: Path, tmp_path: Path
) -> None:
    cli(*command(saved_model, mixed, tmp_path / "one.jsonl", *TORCH))
    said = cli(*command(saved_model, mixed, tmp_path / "many.jsonl", *TORCH, *RAY)).splitlines()
    found = (tmp_path / "many.jsonl").read_bytes()
    assert found == (tmp_path / "one.jsonl").read_bytes()
    rows = [json.loads(line) for line in found.splitlines()]
    assert len(rows) == 402 and {row["status"] for row in rows[48:64]} == {"error"}
    assert rows[90]["truncated"] and rows[64]["confidence"] == rows[0]["confidence"] > 0.25
    # Ray may say, from a thread of its own, that it lost a worker which was told to end; of its rest nothing is heard.
    said = [line for line in said if "(raylet)" not in line]
    assert said[0].startswith("engine: torch fp32, 1 thread") and said[2].startswith("402 rows (")
    assert said[1] == "cluster: workers 2, threads of each 1, nodes 1" and len(said) == 3


@pytest.mark.usefixtures("own_ray")
def test_when_processes_of_the_cluster_are_killed_then_nothing_is_lost(
    exported: Exported, mixed: Path, expected: bytes
) -> None:
    killed: list[psutil.Process] = []
    found = b""
    engine = engine_of("engine.workers=1")
    for number, window in enumerate(scored_on_ray(read_rows(mixed), Memo(), exported.folder, engine)):
        found += encode_rows(labelled_rows(window))
        # Of 26 windows 3 are away at a time: when these come back, most have not been read.
        for process in processes({0: "MapWorker", 9: "MapBatches(given_out)"}.get(number, "none")):
            process.kill()
            killed.append(process)
    assert len(killed) == 2 and number == 25
    assert found == expected
    # What the run began is over; the session is not its own.
    assert gone(processes("MapWorker") + processes("MapBatches")) and ray.is_initialized()


@pytest.mark.usefixtures("own_ray")
def test_when_a_worker_hangs_then_another_gets_its_windows(
    exported: Exported,
    mixed: Path,
    expected: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("stancekit.prediction.cluster.stream._LEAST_PATIENCE", 1.0)
    monkeypatch.setattr("stancekit.prediction.cluster.stream._LOOK_SECONDS", 0.1)
    found = b""
    for number, window in enumerate(scored_on_ray(read_rows(mixed), Memo(), exported.folder, engine_of())):
        found += encode_rows(labelled_rows(window))
        if number == 0:
            hanging = processes("MapWorker")[0]
            hanging.suspend()
    assert found == expected
    said = "note: nothing comes back any more: what is away is given to other workers"
    assert said in capfd.readouterr().err
    assert gone([hanging])


@pytest.mark.usefixtures("own_ray")
def test_when_the_driver_is_stopped_or_killed_then_ray_goes_too_and_the_same_command_finishes(
    cli: CliRunner, exported: Exported, tmp_path: Path
) -> None:
    given = write_jsonl(tmp_path / "in.jsonl", pair_rows(2400))
    output, parts = tmp_path / "out.jsonl", tmp_path / "out.jsonl.parts"
    words = command(exported.folder, given, output, *ONNX, "engine.cluster=ray", "engine.workers=1")
    for sign, code, enough in ((signal.SIGTERM, 143, 2), (signal.SIGKILL, -9, 40)):
        driver = spawn(words)
        while driver.poll() is None and len(list(parts.glob("part-*.jsonl"))) < enough:
            time.sleep(0.01)
        begun = psutil.Process(driver.pid).children(recursive=True)
        if sign == signal.SIGKILL:
            # Two helpers of Ray's try to tell that for a minute, before they go too.
            begun = [process for process in begun if "Agent" not in process.cmdline()[0]]
        driver.send_signal(sign)
        said, _ = driver.communicate(timeout=60)
        assert driver.returncode == code and "Traceback" not in said, said
        assert not output.exists() and len(begun) > 5 and gone(begun)
    # Here Ray is there already.
    assert "going on after part" in cli(*words)
    cli(*command(exported.folder, given, tmp_path / "one.jsonl", *ONNX))
    assert output.read_bytes() == (tmp_path / "one.jsonl").read_bytes()


@pytest.mark.usefixtures("own_ray")
def test_when_no_worker_can_open_the_model_then_the_run_ends_with_what_a_worker_said(tmp_path: Path) -> None:
    rows = read_rows(write_jsonl(tmp_path / "in.jsonl", pair_rows(40)))
    with pytest.raises(UserError, match=rf"^a worker on {HOST}: model: '.*nowhere' is no saved model"):
        list(scored_on_ray(rows, Memo(), tmp_path / "nowhere", engine_of("engine.workers=1")))


def test_when_a_node_lacks_the_model_then_it_is_sent_what_the_engine_needs(
    desk: Any, exported: Exported, tmp_path: Path
) -> None:
    chosen = open_scorer(exported.folder, engine_of())
    files = model_files(exported.folder, chosen)
    assert sorted(files) == ["engines.json", "fp32.onnx", "tokenizer.json"]
    engine = as_opened(engine_of("engine=auto", "engine.precision=auto"), chosen)
    worker = Worker(tmp_path / "elsewhere", engine, identity(chosen), ray.put(files), desk)
    (row,) = worker.scored(sent(0, PAIRS)).to_pylist()
    found, here = scored(row), chosen.scorer.score(chosen.scorer.prepare(PAIRS))
    assert found.probabilities.tobytes() == here.probabilities.tobytes()
    assert found.errors == here.errors and "has 400 tokens" in found.errors[1]


def test_when_a_worker_would_compute_otherwise_than_the_driver_then_it_says_in_what(
    desk: Any, exported: Exported
) -> None:
    own = identity(open_scorer(exported.folder, engine_of()))
    driver = own | {"version": "1.0", "stancekit": "0.0.1"}
    (row,) = Worker(exported.folder, engine_of(), driver, None, desk).scored(sent(1, PAIRS)).to_pylist()
    with pytest.raises(UserError) as refused:
        scored(row)
    first, *lines = str(refused.value).splitlines()
    assert first.startswith(f"a worker on {HOST}: would compute otherwise than the driver")
    assert lines[0] == f"  stancekit: {own['stancekit']}, on the driver 0.0.1"
    assert lines[1] == f"  version: {own['version']}, on the driver 1.0"
    assert lines[2].startswith("  expected: ")


def test_when_a_window_kills_every_worker_then_it_is_given_up(desk: Any, exported: Exported) -> None:
    for _ in range(MOST_ATTEMPTS):
        ray.get(desk.begin.remote(7))
    (row,) = Worker(exported.folder, engine_of(), None, None, desk).scored(sent(7, PAIRS)).to_pylist()
    with pytest.raises(UserError, match="window 8 was begun 5 times and never done: its workers died"):
        scored(row)


def test_when_the_model_fails_on_a_worker_then_one_line_says_how_and_where(
    desk: Any, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = open_scorer(exported.folder, engine_of())

    def fail(_: object) -> None:
        raise RuntimeError("no more\nrows")

    monkeypatch.setattr(chosen.scorer, "score", fail)
    monkeypatch.setattr("stancekit.prediction.cluster.worker.open_scorer", lambda folder, engine: chosen)
    (row,) = Worker(exported.folder, engine_of(), None, None, desk).scored(sent(2, PAIRS)).to_pylist()
    with pytest.raises(UserError) as failed:
        scored(row)
    line = rf"a worker on {HOST} failed: RuntimeError: no more \(test_cluster.py, line \d+\)"
    assert re.fullmatch(line, str(failed.value))


@pytest.mark.usefixtures("own_ray")
def test_when_a_worker_needs_more_threads_than_a_node_has_then_it_is_refused() -> None:
    with pytest.raises(UserError, match=r"engine\.threads=64: no node of the cluster has as many processors; most: 2"):
        workers_of(engine_of("engine.threads=64"))
    assert workers_of(engine_of("engine.workers=null")) == 2
    assert workers_of(engine_of("engine.workers=null", "engine.threads=2")) == 1


def test_when_there_is_no_cluster_at_an_address_then_the_message_names_it(
    cli: CliRunner, saved_model: Path, tmp_path: Path
) -> None:
    given = write_jsonl(tmp_path / "in.jsonl", pair_rows(4))
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"127.0.0.1:{server.getsockname()[1]}"
    no_address = "is no address of a cluster; expected HOST:PORT"
    for address, message in (
        (closed, f"no cluster at '{closed}': Connection refused"),
        ("nonsense", f"'nonsense' {no_address}"),
        ("ray://127.0.0.1:10001", f"'ray://127.0.0.1:10001' {no_address}"),
    ):
        words = command(saved_model, given, tmp_path / "o.jsonl", *TORCH, *RAY, f"engine.address='{address}'")
        assert f"engine.address: {message}" in cli(*words, code=2)


def test_when_ray_is_not_installed_then_the_message_says_how_to_install_it(
    cli: CliRunner, saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = write_jsonl(tmp_path / "in.jsonl", pair_rows(4))
    monkeypatch.setattr("stancekit.prediction.cluster.session.find_spec", lambda name: None)
    said = cli(*command(saved_model, given, tmp_path / "o.jsonl", *TORCH, *RAY), code=2)
    assert "ray is not installed; install it with: pip install 'stancekit[ray]'" in said
