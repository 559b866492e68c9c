"""From a configuration and its data to a trained model, whatever kind of model it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stancekit.config.schema import CrossEncoderConfig, TrainConfig, ZeroShotConfig
from stancekit.models.base import StanceModel
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from stancekit.training.trainer import Log


@dataclass(frozen=True)
class Trained:
    """A model, and how its training went: the optimizer step that it belongs to, all steps, and the precision.

    Models that are not trained by steps have zero of them.
    """

    model: StanceModel
    best_step: int
    steps: int
    precision: str


def fit(
    config: TrainConfig,
    train: Sequence[Pair],
    dev: Sequence[Pair],
    checkpoints: Path,
    log: Log,
    say: Callable[[str], None],
    start: Path | None = None,
) -> Trained:
    """Train the configured model.

    Args:
        start: the weights that a cross-encoder begins with, instead of its encoder's.
        checkpoints: takes the checkpoints; whole ones that a killed run left there are continued from.
        log: takes the curves; an exception that it raises ends the training.
        say: takes one line an epoch.
    """
    if config.threads is not None:
        import torch

        torch.set_num_threads(config.threads)
    if isinstance(config.model, ZeroShotConfig):
        from stancekit.models.zero_shot import ZeroShotNli

        return Trained(ZeroShotNli.from_encoder(config.model), 0, 0, "fp32")
    if not isinstance(config.model, CrossEncoderConfig):
        from stancekit.models.baselines import Baseline

        balanced = config.training.class_weights == "balanced"
        return Trained(Baseline.fit(config.model, train, balanced, config.seed), 0, 0, "fp64")

    from stancekit.evaluation.metrics import score
    from stancekit.models.precision import use_bf16
    from stancekit.training.trainer import fit_cross_encoder

    fitted = fit_cross_encoder(
        config.model,
        config.training,
        train,
        dev,
        eval_batch_size=config.evaluation.batch_size,
        seed=config.seed,
        folder=checkpoints,
        score=partial(score, further=config.data.metrics),
        log=log,
        say=say,
        start=start,
    )
    fitted.model.bf16 = use_bf16(config.evaluation.precision)
    return Trained(fitted.model, fitted.best_step, fitted.steps, "bf16" if fitted.bf16 else "fp32")
