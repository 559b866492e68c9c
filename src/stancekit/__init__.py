"""stancekit: who supports, rules out or leaves open which course of action."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from stancekit.prediction.predictor import Predictor

__version__ = version("stancekit")
__all__ = ["__version__", "load"]


def load(model: str | PathLike[str] = "default", engine: str = "auto", **settings: object) -> Predictor:
    """Return a model that labels pairs: ``stancekit.load("default").predict([{"statement": …, "target": …}])``.

    Args:
        model: as ``stancekit predict model=`` takes it: ``default``, ``small``, a folder, a run id, ….
        engine: ``auto``, ``torch``, ``onnx`` or ``openvino``.
        settings: further keys of the configuration's ``engine``: ``precision``, ``threads``, ``batch_tokens``,
            ``window_rows``.

    Raises:
        UserError: there is no such model, engine or setting, or the model has not been exported for that engine.
    """
    from stancekit.prediction.loading import load_predictor

    return load_predictor(model, engine, settings)
