"""A store of repeats and baselines, its UI served as `stancekit ui` serves it, and a browser on the page it prints."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.conftest import labelled_rows, spawn, write_jsonl

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from playwright.sync_api import Browser, Page, Route

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)

METRIC = "test/macro_f1"
SEEDS = 5
_PATIENCE = 120.0
"""Seconds until a server or a page counts as broken: it is a bound, never waited for in full."""

Shot = Callable[[str], None]


@dataclass(frozen=True)
class Store:
    """What was trained: a parent with its children, and where its UI is served."""

    page: str
    client: MlflowClient
    parent: Run
    children: list[Run]

    def with_role(self, role: str) -> list[Run]:
        return [child for child in self.children if child.data.tags["stancekit.role"] == role]

    def scores(self) -> dict[str, float]:
        return {str(run.info.run_name): run.data.metrics[METRIC] for run in [self.parent, *self.children]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> tuple[Path, str]:
    """A home with five seeds and the baselines in its store, and the id of their parent run."""
    base = tmp_path_factory.mktemp("ui")
    data = write_jsonl(base / "labelled.jsonl", labelled_rows(120))
    words = [
        *("train", "name=demo", "data=file", f"data.path={data}", "data.disjoint=[topic]", "model=folder"),
        *(f"model.encoder.path={tiny_encoder}", "model.input.max_length=64", "training.epochs=2"),
        *("training.learning_rate=0.01", "training.precision=fp32", f"seeds={SEEDS}", "baselines=true"),
        *("evaluation.behaviour=null", "evaluation.draws=100"),
    ]
    # One thread: the models are so small that several would only wait for each other.
    process = spawn(words, STANCEKIT_HOME=str(base / "home"), OMP_NUM_THREADS="1")
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    parent = next(line for line in output.splitlines() if line.startswith("parent run ")).split()[2]
    return base / "home", parent


@pytest.fixture(scope="module")
def store(home: tuple[Path, str]) -> Iterator[Store]:
    """The store with its UI served; the server and its workers are gone afterwards."""
    from mlflow import MlflowClient

    folder, parent_id = home
    log, port = folder.parent / "ui.log", _free_port()
    # One worker answers one reader fast enough, and starts sooner than four.
    environment = {**os.environ, "STANCEKIT_HOME": str(folder), "MLFLOW_WORKERS": "1"}
    with log.open("w", encoding="utf-8") as stream:
        words = [sys.executable, "-m", "stancekit", "ui", f"port={port}"]
        server = subprocess.Popen(words, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    started = psutil.Process(server.pid)
    processes = [started]
    try:
        _until_answered(server, port, log)
        link = re.search(rf"http://127\.0\.0\.1:{port}/\S*", log.read_text(encoding="utf-8"))
        assert link, log.read_text(encoding="utf-8")
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        # Both, since tests that ran before in this process may have set another registry.
        client = MlflowClient(uri, registry_uri=uri)
        parent = client.get_run(parent_id)
        children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")
        yield Store(link[0], client, parent, list(children))
    finally:
        with suppress(psutil.NoSuchProcess):
            processes += started.children(recursive=True)
        server.terminate()
        _, left = psutil.wait_procs(processes, timeout=_PATIENCE / 4)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    assert not left, f"these processes of `stancekit ui` outlived it: {left}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_answered(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < _PATIENCE:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        with suppress(OSError, HTTPException):
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        connection.close()
        with suppress(subprocess.TimeoutExpired):
            code = server.wait(timeout=0.2)
            pytest.fail(f"stancekit ui ended with code {code}:\n{log.read_text(encoding='utf-8')}")
    pytest.fail(f"stancekit ui does not answer:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    quiet = (
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
    )
    flags = ["--no-sandbox", "--disable-gpu", *(f"--{flag}" for flag in quiet)]
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=BROWSER, args=flags)
        yield found
        found.close()


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("STANCEKIT_SCREENSHOTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page(browser: Browser, store: Store) -> Iterator[Page]:
    """A browser that was never here before, on the page that `stancekit ui` prints."""
    context = browser.new_context(viewport={"width": 1800, "height": 1100}, locale="en-US")
    context.set_default_timeout(_PATIENCE * 1000)
    context.route("**/*", _only_here)
    # The panel of MLflow's assistant stands open for newcomers and takes a third of the page.
    context.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
    page = context.new_page()
    page.goto(store.page)
    page.get_by_role("link", name=str(store.parent.info.run_name), exact=True).wait_for()
    yield page
    context.close()


@pytest.fixture
def shot(page: Page, screenshots: Path) -> Shot:
    def keep(name: str) -> None:
        page.screenshot(path=screenshots / f"{name}.png")

    return keep


def _only_here(route: Route) -> None:
    if route.request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
        route.continue_()
    else:
        route.abort()
