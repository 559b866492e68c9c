"""The Ray cluster that a prediction runs on: one that is there, or one on this machine for as long as it takes."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from stancekit.config.schema import EngineConfig
from stancekit.errors import UserError
from stancekit.prediction.choosing import available_threads

_CONNECT_SECONDS = 10
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # The part of Ray that is not Python writes to the driver's standard error, warnings that are not for users too.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # What happens to workers is printed to standard output, where rows may be on their way. Read when Ray is imported.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",
}


def threads_of(engine: EngineConfig) -> int:
    """Return how many threads a worker has: by default one, as all of them together make the most of a machine so."""
    return engine.threads or 1


def refuse_unreachable(engine: EngineConfig) -> None:
    """Refuse a cluster that cannot be had: better before anything is done than after a model was opened.

    Raises:
        UserError: Ray is not installed, or nothing listens at the address.
    """
    if engine.cluster is None:
        return
    if find_spec("ray") is None:
        raise UserError("engine.cluster=ray: ray is not installed; install it with: pip install 'stancekit[ray]'")
    if address := _address(engine):
        _look_for(address)


def alive_nodes() -> list[Mapping[str, Any]]:
    """Return what Ray says of every node of the cluster that is up."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def workers_of(engine: EngineConfig) -> int:
    """Return how many workers there are to be.

    Raises:
        UserError: there is no node with room for a single one.
    """
    threads = threads_of(engine)
    processors = [int(node["Resources"].get("CPU", 0)) for node in alive_nodes()]
    room = sum(number // threads for number in processors)
    if not room:
        raise UserError(
            f"engine.threads={threads}: no node of the cluster has as many processors; most: {max(processors)}"
        )
    if engine.workers is not None and engine.workers > room:
        print(f"note: the cluster has room for {room:,} of {engine.workers:,} workers", file=sys.stderr)
    return engine.workers or room


@contextmanager
def session(engine: EngineConfig) -> Iterator[None]:
    """Be connected to a cluster: the one that this process is connected to, the one at an address, or one made here.

    What was begun here is ended with the block, however it ends.

    Raises:
        UserError: as ``refuse_unreachable``, or Ray says that it cannot connect or begin.
    """
    refuse_unreachable(engine)
    with _environment(_SETTINGS), _silence():
        import ray

        if ray.is_initialized():
            yield
            return
        try:
            with _own_sigterm(), _no_stderr():
                _connect(engine)
            yield
        finally:
            ray.shutdown()


def _connect(engine: EngineConfig) -> None:
    import ray

    address, threads = _address(engine), threads_of(engine)
    workers = engine.workers or max(1, available_threads() // threads)
    own: dict[str, Any] = {"include_dashboard": False, "num_cpus": workers * threads}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **({} if address else own))
    except (ConnectionError, ValueError, RuntimeError) as error:
        said = str(error).strip().partition("\n")[0]
        raise UserError(f"engine.address: '{address}': {said}" if address else f"engine.cluster=ray: {said}") from error


def _address(engine: EngineConfig) -> str | None:
    """Return the address of a running cluster, which may be given as programs of Ray's are; None: there is none."""
    return engine.address or os.environ.get("RAY_ADDRESS")


def _look_for(address: str) -> None:
    """Look whether somebody listens at an address: Ray itself would try for minutes.

    Raises:
        UserError: nobody does, or it is no address of a cluster.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(
            f"engine.address: '{address}' is no address of a cluster; expected HOST:PORT, as `ray start` prints it, or "
            "auto, on a machine of the cluster"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise UserError(f"engine.address: no cluster at '{address}': {said}") from error


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep what SIGTERM does in this process, which Ray would change."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment that are not set, for the length of the block."""
    new = [name for name in values if name not in os.environ]
    os.environ.update({name: values[name] for name in new})
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Let nothing be written to standard error by what is not Python; what goes wrong is raised all the same."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Ray from telling what it does: what the user needs to know of it is said here."""
    import ray.data  # noqa: F401  (sets the levels when it is imported)

    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
