"""What a sweep searches: checked whole before the first trial, so that no hour is spent on a typo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from stancekit.config.compose import known_keys, validate
from stancekit.config.schema import Choices, NumberRange, SweepConfig, TrainConfig
from stancekit.encoders.locate import locate
from stancekit.errors import UserError, nearest
from stancekit.metric_names import FURTHER_METRICS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = bool | int | float | str | None

_SAME_MEASURE = "all trials must be measured alike"
_SAME_ROWS = "all trials must learn from the same rows and be scored on the same rows"
_ONE_TRAINING = "a trial is one training"
_NO_EFFECT = "it changes no score"
_NOT_SEARCHED: dict[str, str] = {
    "sweep": "a sweep does not search its own settings",
    "data": _SAME_ROWS,
    "training.limit_rows": _SAME_ROWS,
    "training.metric": _SAME_MEASURE,
    "evaluation": _SAME_MEASURE,
    "seed": "a lucky seed is no setting; `stancekit train seeds=5` shows the spread over seeds",
    "seeds": _ONE_TRAINING,
    "folds": _ONE_TRAINING,
    "variants": _ONE_TRAINING,
    "stages": _ONE_TRAINING,
    "baselines": _ONE_TRAINING,
    "resume": _ONE_TRAINING,
    "training.checkpoint_steps": _NO_EFFECT,
    "model.name": _NO_EFFECT,
    "name": _NO_EFFECT,
    "audit": _NO_EFFECT,
    "tracking": _NO_EFFECT,
}
"""Keys, alone or with all below them, that a trial cannot change, and why."""


def check(config: SweepConfig) -> None:
    """Refuse settings that a sweep has no use for.

    Raises:
        UserError: several trainings a trial, or a metric that is not computed on this data.
    """
    if config.resume:
        raise UserError("resume: a sweep needs none; the command that began it goes on with it")
    for key, given in {
        "seeds": config.seeds > 1,
        "folds": config.folds is not None,
        "baselines": config.baselines,
        "variants": bool(config.variants),
        "stages": bool(config.stages),
    }.items():
        if given:
            raise UserError(
                f"{key}: {_ONE_TRAINING}, so that `stancekit sweep` takes no {key}; give it to `stancekit train` with "
                "the values that the sweep finds"
            )
    metric = config.sweep.metric
    if metric in FURTHER_METRICS and metric not in config.data.metrics:
        wanted = ",".join([*config.data.metrics, metric])
        raise UserError(
            f"sweep.metric: '{metric}' is computed only for data that asks for it; add data.metrics=[{wanted}]"
        )


def distributions(config: SweepConfig) -> dict[str, BaseDistribution]:
    """Return the distribution of every key of the space: whole numbers where the setting takes nothing else.

    Raises:
        UserError: lists every key that is unknown or not to be searched, every value that the training configuration
            does not allow, every bound that is no whole number where one is needed and every encoder that is missing.
    """
    settings = _settings()
    problems: list[str] = []
    found: dict[str, BaseDistribution] = {}
    for key, searched in config.sweep.space.items():
        if reason := _why_not(key):
            problems.append(f"sweep.space.{key}: not to be searched: {reason}")
        elif key not in settings:
            problems.append(f"sweep.space.{key}: no such setting{nearest(key, settings)}")
        elif isinstance(searched, Choices):
            from optuna.distributions import CategoricalDistribution

            problems += _wrong_values(config, key, {f"choices[{i}]": v for i, v in enumerate(searched.choices)})
            found[key] = CategoricalDistribution(searched.choices)
        else:
            wrong = _wrong_range(config, key, searched, settings[key])
            problems += wrong
            if not wrong:
                found[key] = _numbers(searched, whole=float not in settings[key])
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise UserError(f"the space of `stancekit sweep` is not valid:\n{listed}")
    return found


def trial_config(config: SweepConfig, values: Mapping[str, Value]) -> TrainConfig:
    """Return the configuration of one training: that of the sweep, with the values of a trial.

    Raises:
        UserError: the training configuration does not allow a value.
    """
    given: dict[str, Any] = config.model_dump(mode="json", exclude={"sweep"}) | {"name": None}
    for key, value in values.items():
        *parents, last = key.split(".")
        holder = given
        for parent in parents:
            holder = holder.setdefault(parent, {})
        holder[last] = value
    trained = validate("train", given)
    assert isinstance(trained, TrainConfig)
    return trained


def _settings() -> dict[str, set[Any]]:
    """Return the keys that can be searched, with the types that each takes; groups of keys are none of them."""
    return {
        key: types
        for key, types in known_keys(TrainConfig).items()
        if not _why_not(key) and not any(isinstance(member, type) and issubclass(member, BaseModel) for member in types)
    }


def _why_not(key: str) -> str | None:
    return next((why for fixed, why in _NOT_SEARCHED.items() if key == fixed or key.startswith(f"{fixed}.")), None)


def _wrong_range(config: SweepConfig, key: str, searched: NumberRange, types: set[Any]) -> list[str]:
    if not types & {int, float}:
        names = ", ".join(sorted(getattr(member, "__name__", str(member)) for member in types))
        return [f"sweep.space.{key}: expected choices, found a range; this setting takes no numbers but {names}"]
    bounds = {"low": searched.low, "high": searched.high}
    if float in types:
        return _wrong_values(config, key, bounds)
    whole = bounds | ({"step": searched.step} if searched.step is not None else {})
    fractional = [
        f"sweep.space.{key}.{name}: expected a whole number, found {value:g}"
        for name, value in whole.items()
        if not value.is_integer()
    ]
    return fractional or _wrong_values(config, key, {name: int(value) for name, value in bounds.items()})


def _wrong_values(config: SweepConfig, key: str, values: Mapping[str, Value]) -> list[str]:
    problems = []
    for name, value in values.items():
        try:
            trained = trial_config(config, {key: value})
            if key.startswith("model.encoder.") and hasattr(trained.model, "encoder"):
                locate(trained.model.encoder)
        except UserError as error:
            _, *listed = str(error).split("\n  - ")
            problems.append(f"sweep.space.{key}.{name}: {'; '.join(listed) or error}")
    return problems


def _numbers(searched: NumberRange, whole: bool) -> BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution

    if whole:
        return IntDistribution(int(searched.low), int(searched.high), searched.log, int(searched.step or 1))
    return FloatDistribution(searched.low, searched.high, searched.log, searched.step)
