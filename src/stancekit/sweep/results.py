"""What came of a sweep: the table of its trials, figures in MLflow, and the command that trains the best."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stancekit.config.schema import SweepConfig
from stancekit.repeats.command import command
from stancekit.sweep.space import Value, trial_config
from stancekit.sweep.study import REASON, RUN, by_state
from stancekit.sweep.trials import brief

if TYPE_CHECKING:
    from optuna import Study

_STOPPED = "stopped together with the sweep"


def table(study: Study, config: SweepConfig) -> list[str]:
    """Return the lines of the table of trials: complete ones, pruned ones, failed ones, each the best first."""
    keys = list(config.sweep.space)
    rows = [["trial", "state", config.sweep.metric, *keys]]
    reasons = [""]
    for state, trials in by_state(study).items():
        for trial in trials:
            value = "" if trial.value is None else f"{trial.value:.3f}"
            rows.append([str(trial.number), state, value, *(brief(trial.params[key]) for key in keys)])
            reasons.append(trial.user_attrs.get(REASON, _STOPPED) if state == "failed" else "")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=True)), reason]).rstrip()
        for row, reason in zip(rows, reasons, strict=True)
    ]


def log_results(study: Study, config: SweepConfig) -> None:
    """Log to the active run the best metric, the number of trials by state, all trials as a table, and figures."""
    import mlflow

    states = by_state(study)
    mlflow.log_metrics({f"trials/{state}": len(trials) for state, trials in states.items()})
    rows = [
        {
            "trial": trial.number,
            "state": state,
            config.sweep.metric: trial.value,
            **trial.params,
            "run": trial.user_attrs.get(RUN),
            "reason": trial.user_attrs.get(REASON, _STOPPED) if state == "failed" else None,
        }
        for state, trials in states.items()
        for trial in trials
    ]
    mlflow.log_text(json.dumps(rows, indent=1, ensure_ascii=False), "sweep/trials.json")
    complete = states["complete"]
    if complete:
        mlflow.log_metric(f"dev/{config.sweep.metric}", float(complete[0].value or 0.0))
        mlflow.set_tag("stancekit.best_trial", complete[0].number)
    if len({trial.value for trial in complete}) > 1:
        _log_figures(study, config)


def _log_figures(study: Study, config: SweepConfig) -> None:
    import mlflow
    from optuna.visualization import matplotlib as plots

    with _figures() as pyplot:
        metric = f"dev {config.sweep.metric}"
        axes = plots.plot_optimization_history(study, target_name=metric)
        mlflow.log_figure(axes.figure, "sweep/optimization_history.png")
        axes = plots.plot_param_importances(study, target_name=metric)
        mlflow.log_figure(axes.figure, "sweep/param_importances.png")
        pyplot.close("all")


@contextmanager
def _figures() -> Iterator[Any]:
    """Give pyplot, without windows and with its settings as they were afterwards."""
    import matplotlib
    from optuna.exceptions import ExperimentalWarning

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({"savefig.bbox": "tight"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ExperimentalWarning)
        yield pyplot


def train_command(config: SweepConfig, values: Mapping[str, Value]) -> str:
    """Return the command that trains with the values of a trial, in words for a shell.

    The sweep's other settings are part of it; only where they cannot be put into key=value it says so instead.
    """
    if whole := command(trial_config(config, values)):
        return whole
    words = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]
    return f"{shlex.join(['stancekit', 'train', *words])} … with the settings that the sweep was given"
