"""A predictor by the names that the command line takes."""

from __future__ import annotations

import os
from collections.abc import Mapping

import yaml

from stancekit.config.compose import load_config
from stancekit.config.schema import EngineConfig, PredictConfig, TrackingConfig
from stancekit.prediction.choosing import Chosen, open_scorer
from stancekit.prediction.predictor import Predictor
from stancekit.tracking.registry import find_model


def load_predictor(model: str | os.PathLike[str], engine: str, settings: Mapping[str, object]) -> Predictor:
    """Return the predictor of a model behind an engine; see ``stancekit.load``.

    Raises:
        UserError: there is no such model, engine or setting.
    """
    words = [f"model={_quoted(model)}", f"engine={_quoted(engine)}", "input=-", "output=-"]
    words += [f"engine.{name}={_quoted(value)}" for name, value in settings.items()]
    config = load_config("predict", words)
    assert isinstance(config, PredictConfig)
    chosen = open_model(config.model, config.engine, config.tracking)
    return Predictor(chosen.scorer, config.engine.window_rows)


def open_model(model: str, engine: EngineConfig, tracking: TrackingConfig) -> Chosen:
    """Return the model of that name behind an engine.

    Raises:
        UserError: there is no such model, or the engine cannot run it.
    """
    return open_scorer(find_model(model, tracking), engine, model)


def _quoted(value: object) -> str:
    """Return a value as an override gives it."""
    plain = os.fspath(value) if isinstance(value, os.PathLike) else value
    return (
        str(yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=2**20))
        .removesuffix("\n")
        .removesuffix("\n...")
    )
