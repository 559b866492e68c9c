"""What a cross-encoder is trained to make small."""

from __future__ import annotations

import torch
from torch.nn import functional

from stancekit.config.schema import TrainingConfig


class StanceLoss:
    """Cross-entropy with gold labels, and the distance to a teacher's soft labels where a row has them.

    Of a row with soft labels, the distance counts ``distillation.weight`` and the cross-entropy with its label, the
    teacher's likeliest mostly, counts the rest. The distance is the Kullback-Leibler divergence of the softened
    probabilities, times the temperature squared, so that its gradients keep their size (Hinton et al., 2015,
    Distilling the knowledge in a neural network).
    """

    def __init__(self, training: TrainingConfig, class_weights: torch.Tensor) -> None:
        """Keep the settings and the weight of every outcome, shape (4,)."""
        self._smoothing = training.label_smoothing
        self._temperature = training.distillation.temperature
        self._soft_weight = training.distillation.weight
        self._class_weights = class_weights

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of a batch.

        Args:
            logits: shape (rows, 4).
            labels: indices of outcomes, shape (rows,).
            soft: probabilities, shape (rows, 4); zeros in the rows that have none.
        """
        logits = logits.float()
        weights = self._class_weights.to(labels.device)
        hard = functional.cross_entropy(
            logits, labels, weight=weights, label_smoothing=self._smoothing, reduction="none"
        )
        # As cross_entropy's own mean has it: a batch of rare labels must not count for more than others.
        total = weights[labels].sum()
        taught = soft.sum(dim=-1) > 0
        if not taught.any():
            return hard.sum() / total
        distance, rest = self._distance(logits[taught], soft[taught]), 1 - self._soft_weight
        mixed = torch.cat([hard[~taught], self._soft_weight * distance + rest * hard[taught]])
        counts = torch.cat([weights[labels[~taught]], self._soft_weight + rest * weights[labels[taught]]])
        return mixed.sum() / counts.sum()

    def _distance(self, logits: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
        temperature = self._temperature
        # The teacher's logits are not known, but their differences are: those of the logarithms.
        teacher = functional.log_softmax(soft.float().clamp(min=1e-6).log() / temperature, dim=-1)
        student = functional.log_softmax(logits / temperature, dim=-1)
        return functional.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=-1) * temperature**2
