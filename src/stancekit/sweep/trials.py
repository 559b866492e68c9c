"""The trials of a sweep, so many at a time; the process that carries the study alone asks it and tells it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from stancekit.config.schema import SweepConfig
from stancekit.data.dataset import Dataset
from stancekit.errors import UserError
from stancekit.sweep.space import Value, distributions, trial_config
from stancekit.sweep.study import REASON, RUN, end_run, fail_unfinished, folder_of, next_sampler
from stancekit.sweep.trial import Began, Ended, Evaluated, Message, Task, carry_out
from stancekit.terminal import say

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna import Study
    from optuna.trial import Trial

_HOPELESS = 2
"""How many trials beyond one for each worker may fail, before the first that does not, until the sweep stops."""


@dataclass
class _Running:
    trial: Trial
    process: SpawnProcess
    epochs: int = 0


class Trials:
    """Carries trials out, each in a process of its own."""

    def __init__(self, config: SweepConfig, study: Study, dataset: Dataset, client: MlflowClient, parent: str) -> None:
        """Keep the study, the data, the client of the MLflow store and the id of the sweep's run there."""
        self._config = config
        self._study = study
        self._dataset = dataset
        self._client = client
        self._parent = parent
        self._space = distributions(config)
        self._running: dict[Connection[bool, Message], _Running] = {}
        self._failed = 0
        self._went_well = False

    def carry_out(self, count: int) -> None:
        """Make so many trials, failed ones included.

        Raises:
            UserError: none went well and more than a few failed.
        """
        try:
            while count or self._running:
                while count and len(self._running) < self._config.sweep.workers:
                    self._begin()
                    count -= 1
                for connection in wait(list(self._running)):
                    assert isinstance(connection, Connection)
                    self._hear(connection)
        finally:
            for running in self._running.values():
                running.process.kill()
                running.process.join()
            fail_unfinished(self._study, self._client)
            shutil.rmtree(folder_of(self._config.sweep.name), ignore_errors=True)

    def _begin(self) -> None:
        from stancekit.tracking.logging import run_tags

        sweep = self._config.sweep
        next_sampler(self._study, self._config.seed)
        trial = self._study.ask(self._space)
        config = trial_config(self._config, trial.params)
        task = Task(
            number=trial.number,
            name=f"{sweep.name}-{trial.number}",
            config=config,
            metric=sweep.metric,
            values=trial.params,
            tags=run_tags(config, self._dataset),
            parent=self._parent,
            threads=max(1, _cores() // sweep.workers) if sweep.workers > 1 else None,
            checkpoints=folder_of(sweep.name) / str(trial.number),
            train=self._dataset.train,
            dev=self._dataset.dev,
        )
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=carry_out, args=(task, theirs))
        with _deaf_to_interrupts():
            process.start()
        # Without our copy of its end, the death of the process ends the connection.
        theirs.close()
        self._running[ours] = _Running(trial, process)

    def _hear(self, connection: Connection[bool, Message]) -> None:
        running = self._running[connection]
        trial = running.trial
        try:
            message = connection.recv()
            if isinstance(message, Evaluated):
                running.epochs += 1
                trial.report(message.value, running.epochs)
                connection.send(trial.should_prune())
                return
        except (EOFError, ConnectionError):
            running.process.join()
            message = Ended("failed", reason=_death(running.process.exitcode))
            end_run(self._client, trial.user_attrs.get(RUN))
        if isinstance(message, Began):
            trial.set_user_attr(RUN, message.run_id)
            values = " ".join(f"{key}={brief(value)}" for key, value in trial.params.items())
            say(f"trial {trial.number}: {values}")
            return
        self._tell(trial, message)
        running.process.join()
        connection.close()
        del self._running[connection]

    def _tell(self, trial: Trial, ended: Ended) -> None:
        from optuna.trial import TrialState

        state = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}[ended.state]
        reason = next(iter(ended.reason.splitlines()), "")
        if reason:
            trial.set_user_attr(REASON, reason)
        self._study.tell(trial, ended.value, state)
        result = f"{self._config.sweep.metric} {ended.value:.3f}" if ended.value is not None else ""
        say(f"trial {trial.number}: {ended.state}{': ' if result or reason else ''}{result}{reason}")
        if state != TrialState.FAIL:
            self._went_well = True
        elif not self._went_well:
            self._failed += 1
            if self._failed >= self._config.sweep.workers + _HOPELESS:
                raise UserError(f"the first {self._failed} trials have all failed, the last with: {reason}")


def brief(value: Value) -> str:
    """Return a value rounded for reading."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _death(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"its process ended with exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    return f"its process was ended by {name}{'; was there memory enough?' if name == 'SIGKILL' else ''}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let processes that are started within the block ignore Ctrl-C, which a terminal sends to all of them.

    One that comes meanwhile reaches this process after the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
