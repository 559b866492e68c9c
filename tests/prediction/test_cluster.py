"""A real local Ray with two workers. A worker opens the model anew in a process of its own, so runs are few here."""

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
from stancekit.files import encode_rows, find_sources, read_rows
from stancekit.pairs.model import Pair
from stancekit.prediction import cluster, cluster_session
from stancekit.prediction.choosing import Chosen, open_scorer
from stancekit.prediction.cluster import scored_on_ray
from stancekit.prediction.cluster_session import on_workers, session
from stancekit.prediction.cluster_worker import MOST_ATTEMPTS, Desk, Worker, identity, scored, sent
from stancekit.prediction.memo import Memo
from stancekit.prediction.rows import labelled_rows
from stancekit.tracking.registry import find_model
from tests.conftest import CliRunner, spawn, write_jsonl
from tests.conftest import labelled_rows as pairs_of

ENGINE = ("engine=torch", "engine.precision=fp32", "engine.threads=1", "engine.window_rows=16")
RAY = ("engine.cluster=ray", "engine.workers=2")


def engine_of(*words: str) -> EngineConfig:
    config = load_config("predict", ["model=m", "input=-", "output=-", *ENGINE, *RAY, *words])
    assert isinstance(config, PredictConfig)
    return config.engine


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    with session(engine_of()):
        yield
        begun = [process for process in psutil.Process().children(recursive=True) if process not in before]
    assert not ray.is_initialized()
    assert begun and psutil.wait_procs(begun, timeout=60)[1] == []


@pytest.fixture
def use_trained(trained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    run_id, home = trained
    monkeypatch.setenv("STANCEKIT_HOME", str(home))
    return run_id


@pytest.fixture
def folder(use_trained: str) -> Path:
    config = load_config("predict", [f"model={use_trained}", "input=-", "output=-"])
    assert isinstance(config, PredictConfig)
    return find_model(config.model, config.tracking)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """400 rows and some lines: a window of bad ones alone, one of old pairs alone, every kind of both between."""
    rows: list[Any] = pairs_of(400)
    for place in range(5, 400, 9):
        rows[place] = rows[place - 1 - place % 40] | {"id": f"again {place}"}
    for place in range(3, 400, 14):
        rows[place].pop("target", None)
    for place in range(7, 400, 50):
        rows[place] = rows[place] | {"target": "port " * 400}
    rows[48:64] = [{"id": "neither"}] * 16
    rows[64:80] = rows[0:16]
    rows[90] = rows[90] | {"statement": "the port " * 600_000}
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("not json\n" + json.dumps({"statement": "half \ud83d", "target": "x"}) + "\n")
    return path


def words(model: str, given: Path, output: Path, *more: str) -> list[str]:
    return ["predict", f"model={model}", f"input={given}", f"output={output}", *ENGINE, *more]


def processes(title: str, of: int | None = None) -> list[psutil.Process]:
    """Return the processes of Ray with such a title that descend from one, or from this."""
    found = []
    for process in psutil.Process(of).children(recursive=True):
        try:
            if process.cmdline()[0].startswith(f"ray::{title}"):
                found.append(process)
        except (psutil.Error, IndexError):
            continue
    return found


@pytest.mark.usefixtures("_ray")
def test_when_two_workers_label_rows_then_the_bytes_are_those_of_one_machine(
    cli: CliRunner, use_trained: str, mixed: Path, tmp_path: Path
) -> None:
    cli(*words(use_trained, mixed, tmp_path / "one.jsonl"))
    said = cli(*words(use_trained, mixed, tmp_path / "many.jsonl", *RAY))
    expected = (tmp_path / "one.jsonl").read_bytes()
    assert (tmp_path / "many.jsonl").read_bytes() == expected
    rows = [json.loads(line) for line in expected.splitlines()]
    assert len(rows) == 402 and rows[90]["truncated"] and rows[64]["p_supports"] == rows[0]["p_supports"]
    assert {row["status"] for row in rows[48:64]} == {"error"} and {row["status"] for row in rows} == {"ok", "error"}
    # Nothing of what Ray has to say.
    assert [line.partition(":")[0] for line in said.splitlines()][:2] == ["engine", "cluster"]
    assert len(said.splitlines()) == 3 and said.splitlines()[-1].startswith("402 rows (")


@pytest.mark.usefixtures("_ray")
def test_when_processes_of_the_cluster_are_killed_then_nothing_is_lost(
    cli: CliRunner, use_trained: str, folder: Path, mixed: Path, tmp_path: Path
) -> None:
    cli(*words(use_trained, mixed, tmp_path / "one.jsonl"))
    killed: list[psutil.Process] = []
    found = b""
    rows, engine = read_rows(find_sources(str(mixed))), engine_of("engine.workers=1")
    for number, window in enumerate(scored_on_ray(rows, Memo(), folder, engine)):
        found += encode_rows(labelled_rows(window))
        # Of 26 windows 3 are away at a time: when the first ones come back, most have not been read.
        for process in processes({0: "MapWorker", 9: "MapBatches(given_out)"}.get(number, "none")):
            process.kill()
            killed.append(process)
    assert len(killed) == 2 and number == 25
    assert found == (tmp_path / "one.jsonl").read_bytes()
    assert psutil.wait_procs(processes("MapWorker") + processes("Desk"), timeout=60)[1] == []
    assert ray.is_initialized()


@pytest.mark.usefixtures("_ray")
def test_when_a_worker_hangs_then_another_gets_its_windows(
    cli: CliRunner,
    use_trained: str,
    folder: Path,
    mixed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cli(*words(use_trained, mixed, tmp_path / "one.jsonl"))
    monkeypatch.setattr(cluster, "_LEAST_PATIENCE", 1.0)
    monkeypatch.setattr(cluster, "_LOOK_SECONDS", 0.1)
    found = b""
    for number, window in enumerate(scored_on_ray(read_rows(find_sources(str(mixed))), Memo(), folder, engine_of())):
        found += encode_rows(labelled_rows(window))
        if number == 0:
            hanging, *_ = processes("MapWorker")
            hanging.suspend()
    assert found == (tmp_path / "one.jsonl").read_bytes()
    assert "note: nothing comes back any more; what is away is given to others" in capfd.readouterr().err
    hanging.resume()
    assert psutil.wait_procs([hanging], timeout=60)[1] == []


@pytest.mark.usefixtures("_ray")
def test_when_the_driver_is_stopped_or_killed_then_ray_goes_too_and_the_same_command_finishes(
    cli: CliRunner, use_trained: str, tmp_path: Path
) -> None:
    given = write_jsonl(tmp_path / "in.jsonl", pairs_of(2400))
    output, parts = tmp_path / "out.jsonl", tmp_path / "out.jsonl.parts"
    command = words(use_trained, given, output, "engine.cluster=ray", "engine.workers=1")
    for sign, code, enough in ((signal.SIGTERM, 143, 2), (signal.SIGKILL, -9, 40)):
        process = spawn(command)
        while process.poll() is None and len(list(parts.glob("part-*.jsonl"))) < enough:
            time.sleep(0.01)
        # Where the driver is killed, two more helpers look for the rest of Ray for a minute, and go then.
        begun = psutil.Process(process.pid).children(recursive=True)
        begun = [child for child in begun if sign == signal.SIGTERM or "Agent" not in child.cmdline()[0]]
        process.send_signal(sign)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == code, said
        assert "Traceback" not in said and not output.exists()
        assert len(begun) > 5 and psutil.wait_procs(begun, timeout=60)[1] == []
    # Here Ray is there already.
    assert "going on after part" in cli(*command)
    cli(*words(use_trained, given, tmp_path / "one.jsonl"))
    assert output.read_bytes() == (tmp_path / "one.jsonl").read_bytes()


@pytest.fixture(scope="module")
def desk(_ray: None) -> Any:
    return ray.remote(Desk).options(num_cpus=0).remote()


PAIRS = [Pair("the minister wants closing the port", "closing the port", "the minister"), Pair("x", "port " * 400)]


@pytest.fixture
def chosen(folder: Path) -> Chosen:
    return open_scorer(folder, engine_of())


def test_when_a_node_lacks_the_model_then_its_files_are_sent(
    desk: Any, folder: Path, chosen: Chosen, tmp_path: Path
) -> None:
    files = ray.put({path.name: path.read_bytes() for path in folder.iterdir()})
    worker = Worker(tmp_path / "elsewhere", engine_of(), identity(chosen), files, desk)
    (row,) = worker.scored(sent(0, PAIRS)).to_pylist()
    found, expected = scored(row), chosen.scorer.score(chosen.scorer.prepare(PAIRS))
    assert found.probabilities.tobytes() == expected.probabilities.tobytes()
    assert found.truncated.tolist() == [False, False]
    assert found.errors == expected.errors and "has 400 tokens" in found.errors[1]


def test_when_a_worker_would_compute_otherwise_than_the_driver_then_it_says_in_what(
    desk: Any, folder: Path, chosen: Chosen
) -> None:
    driver = identity(chosen) | {"version": "1.0", "stancekit": "0.0.1"}
    worker = Worker(folder, engine_of(), driver, None, desk)
    (row,) = worker.scored(sent(1, PAIRS)).to_pylist()
    with pytest.raises(UserError) as refused:
        scored(row)
    lines = str(refused.value).splitlines()
    begin = f"a worker on {socket.gethostname()}: would compute otherwise than the driver"
    assert lines[0] == f"{begin}, and other digits could come out:"
    assert lines[1:3] == [
        f"  stancekit: {identity(chosen)['stancekit']}, on the driver 0.0.1",
        f"  version: {chosen.engine['version']}, on the driver 1.0",
    ]


def test_when_a_window_kills_every_worker_then_it_is_given_up(desk: Any, folder: Path) -> None:
    worker = Worker(folder, engine_of(), None, None, desk)
    for _ in range(MOST_ATTEMPTS):
        ray.get(desk.begin.remote(7))
    (row,) = worker.scored(sent(7, PAIRS)).to_pylist()
    with pytest.raises(UserError, match=r"window 8 was begun 5 times, and never done"):
        scored(row)


def test_when_the_model_fails_on_a_worker_then_one_line_says_how_and_where(
    desk: Any, folder: Path, chosen: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no more\nrows")

    monkeypatch.setattr(chosen.scorer, "score", fail)
    monkeypatch.setattr("stancekit.prediction.cluster_worker.open_scorer", lambda folder, engine: chosen)
    (row,) = Worker(folder, engine_of(), None, None, desk).scored(sent(2, PAIRS)).to_pylist()
    with pytest.raises(UserError) as failed:
        scored(row)
    assert re.fullmatch(
        rf"a worker on {socket.gethostname()} failed: RuntimeError: no more \(test_cluster.py, line \d+\)",
        str(failed.value),
    )


@pytest.mark.usefixtures("_ray")
def test_when_no_worker_can_open_the_model_then_the_run_ends_with_what_a_worker_said(tmp_path: Path) -> None:
    rows = read_rows(find_sources(str(write_jsonl(tmp_path / "in.jsonl", pairs_of(40)))))
    with pytest.raises(UserError, match=r"a worker on .*: model: '.*nowhere' is no saved model"):
        list(scored_on_ray(rows, Memo(), tmp_path / "nowhere", engine_of("engine.workers=1")))


@pytest.mark.usefixtures("_ray")
def test_when_a_worker_needs_more_threads_than_a_node_has_then_it_is_refused() -> None:
    with pytest.raises(UserError, match=r"engine.threads=64: no node of the cluster has as many processors; most: 2"):
        cluster_session.workers_of(engine_of("engine.threads=64"))
    assert cluster_session.workers_of(engine_of("engine.workers=null")) == 2


def test_when_threads_are_not_given_then_a_worker_has_one_and_one_machine_has_all() -> None:
    assert on_workers(engine_of("engine.threads=null")).threads == 1
    assert on_workers(engine_of("engine.threads=3")).threads == 3
    assert on_workers(engine_of("engine.threads=null", "engine.cluster=null")).threads is None


def test_when_there_is_no_cluster_at_an_address_then_the_message_names_it(
    cli: CliRunner, use_trained: str, tmp_path: Path
) -> None:
    given = write_jsonl(tmp_path / "in.jsonl", pairs_of(4))
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"127.0.0.1:{server.getsockname()[1]}"
    expected = {
        closed: f"no cluster at '{closed}': Connection refused",
        "nonsense": "'nonsense' is no address of a cluster; expected HOST:PORT",
        "ray://127.0.0.1:10001": "'ray://127.0.0.1:10001' is no address of a cluster; expected HOST:PORT",
    }
    for address, message in expected.items():
        said = cli(*words(use_trained, given, tmp_path / "o.jsonl", *RAY, f"engine.address='{address}'"), code=2)
        assert f"engine.address: {message}" in said


def test_when_ray_is_not_installed_then_the_message_says_how_to_install_it(
    cli: CliRunner, use_trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = write_jsonl(tmp_path / "in.jsonl", pairs_of(4))
    monkeypatch.setattr(cluster_session, "find_spec", lambda name: None)
    said = cli(*words(use_trained, given, tmp_path / "o.jsonl", *RAY), code=2)
    assert "ray is not installed; install it with: pip install 'stancekit[ray]'" in said
