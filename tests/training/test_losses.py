from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from stancekit.config.schema import DistillationConfig
from stancekit.training.losses import StanceLoss
from tests.training.test_trainer import TRAINING

WEIGHTS = torch.tensor([0.5, 2.0, 1.25, 0.8])
LOGITS = torch.tensor(
    [[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, -0.3, 1.4], [-2.0, 3.0, 0.0, 0.5], [0.0, 0.0, 1.0, -1.0], [1.5, 1.0, 0.0, 0.2]]
)
LABELS = torch.tensor([0, 3, 1, 1, 2])
NONE = torch.zeros(4)
SOFT = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25], [0.05, 0.9, 0.03, 0.02], [0.4, 0.3, 0.2, 0.1]])


def loss(
    weight: float = 1.0, temperature: float = 1.0, smoothing: float = 0.0, classes: torch.Tensor = WEIGHTS
) -> StanceLoss:
    """Return the loss with these settings."""
    distillation = DistillationConfig(weight=weight, temperature=temperature)
    return StanceLoss(TRAINING.model_copy(update={"distillation": distillation, "label_smoothing": smoothing}), classes)


def hard(rows: slice, smoothing: float = 0.0) -> torch.Tensor:
    """Return what torch says of every row by itself."""
    return functional.cross_entropy(
        LOGITS[rows], LABELS[rows], weight=WEIGHTS, label_smoothing=smoothing, reduction="none"
    )


def divergence(temperature: float) -> torch.Tensor:
    """Return the softened distance of the first four rows to their teacher, as its definition has it."""
    teacher = SOFT ** (1 / temperature)
    teacher = teacher / teacher.sum(dim=1, keepdim=True)
    student = functional.softmax(LOGITS[:4] / temperature, dim=1)
    return (teacher * (teacher.log() - student.log())).sum(dim=1) * temperature**2


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("classes", [torch.ones(4), WEIGHTS], ids=["unweighted", "weighted"])
def test_when_no_row_has_soft_labels_then_the_loss_is_torchs_cross_entropy(
    smoothing: float, classes: torch.Tensor
) -> None:
    expected = functional.cross_entropy(LOGITS, LABELS, weight=classes, label_smoothing=smoothing)
    found = loss(weight=0.3, temperature=2.0, smoothing=smoothing, classes=classes)(LOGITS, LABELS, NONE.expand(5, 4))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_when_logits_are_in_half_precision_then_the_loss_is_computed_in_full() -> None:
    found = loss()(LOGITS.bfloat16(), LABELS, NONE.expand(5, 4))
    expected = functional.cross_entropy(LOGITS.bfloat16().float(), LABELS, weight=WEIGHTS)
    assert found.dtype == torch.float32 and found == expected


def test_when_one_row_is_soft_then_the_loss_is_the_divergence_worked_out_by_hand() -> None:
    # At temperature 2 a teacher of 16 : 4 : 4 : 1 becomes 4 : 2 : 2 : 1; logits of 2·ln of 1 : 2 : 4 : 2 become those.
    soft = torch.tensor([[16.0, 4.0, 4.0, 1.0]]) / 25
    logits = 2 * torch.tensor([[1.0, 2.0, 4.0, 2.0]]).log()
    teacher, student = (4 / 9, 2 / 9, 2 / 9, 1 / 9), (1 / 9, 2 / 9, 4 / 9, 2 / 9)
    expected = 4 * sum(t * math.log(t / s) for t, s in zip(teacher, student, strict=True))
    found = loss(temperature=2.0)(logits, torch.tensor([0]), soft)
    assert float(found) == pytest.approx(expected, abs=1e-6) and expected == pytest.approx(1.540327, abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_when_all_rows_are_soft_then_the_loss_is_torchs_divergence_and_their_labels_do_not_count(
    temperature: float,
) -> None:
    teacher = functional.softmax(SOFT.log() / temperature, dim=1)
    student = functional.log_softmax(LOGITS[:4] / temperature, dim=1)
    expected = functional.kl_div(student, teacher, reduction="batchmean") * temperature**2
    torch.testing.assert_close(expected, divergence(temperature).mean(), rtol=0, atol=1e-5)
    found = [loss(temperature=temperature)(LOGITS[:4], labels, SOFT) for labels in (LABELS[:4], LABELS[1:])]
    torch.testing.assert_close(found, [expected, expected], rtol=0, atol=1e-5)


def test_when_soft_and_hard_are_mixed_then_the_weight_says_how_much_each_counts_in_a_soft_row() -> None:
    expected = 0.7 * divergence(2.0) + 0.3 * hard(slice(4), 0.1)
    counts = 0.7 + 0.3 * WEIGHTS[LABELS[:4]]
    found = loss(weight=0.7, temperature=2.0, smoothing=0.1)(LOGITS[:4], LABELS[:4], SOFT)
    torch.testing.assert_close(found, expected.sum() / counts.sum(), rtol=0, atol=1e-6)


def test_when_some_rows_are_soft_then_each_row_counts_as_what_it_is() -> None:
    # The soft rows stand between the hard ones: which they are must not be mistaken.
    order = torch.tensor([4, 0, 1, 2, 3])
    soft = torch.cat([NONE.unsqueeze(0), SOFT[:2], NONE.expand(2, 4)])
    expected = divergence(2.0)[:2].sum() + hard(slice(2, 5)).sum()
    count = 2 + WEIGHTS[LABELS[2:]].sum()
    found = loss(temperature=2.0)(LOGITS[order], LABELS[order], soft)
    torch.testing.assert_close(found, expected / count, rtol=0, atol=1e-6)


def test_when_soft_labels_weigh_nothing_then_the_loss_is_the_cross_entropy_of_all_rows() -> None:
    soft = torch.cat([SOFT[:3], NONE.expand(2, 4)])
    expected = functional.cross_entropy(LOGITS, LABELS, weight=WEIGHTS)
    torch.testing.assert_close(loss(weight=0.0, temperature=3.0)(LOGITS, LABELS, soft), expected, rtol=0, atol=1e-6)


def test_when_the_student_agrees_with_its_teacher_then_nothing_is_left_to_learn() -> None:
    logits = SOFT.log().requires_grad_(True)
    found = loss(temperature=2.0)(logits, LABELS[:4], SOFT)
    (gradient,) = torch.autograd.grad(found, logits)
    torch.testing.assert_close((found, gradient), (torch.tensor(0.0), torch.zeros(4, 4)), rtol=0, atol=1e-6)


def test_when_a_teacher_is_certain_then_the_loss_is_finite() -> None:
    soft = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    found = loss(temperature=2.0)(torch.tensor([[-40.0, 40.0, 0.0, 0.0]]), torch.tensor([0]), soft)
    assert torch.isfinite(found) and found > 10
