"""The names of the metrics: as stable as the label names, and known without loading anything that computes them."""

from __future__ import annotations

from stancekit.errors import nearest
from stancekit.labels import OUTCOMES

HEADLINE = "macro_f1"
"""Three-way macro-F1: what models are selected by and tables lead with."""

FURTHER_METRICS: dict[str, str] = {
    "f_avg": "the mean F1 of supports and rules_out over all rows, as in SemEval-2016 task 6",
    "fnc": "the weighted accuracy of the Fake News Challenge: a quarter for telling no_stance apart, the rest for the "
    "stance, as a share of what is attainable",
}
"""Metrics that are computed where the data asks for them, with what they are."""

METRICS: dict[str, str] = {
    HEADLINE: "macro-F1 over the three stances, on rows whose gold is one of them",
    "accuracy": "accuracy over the three stances, on rows whose gold is one of them",
    "mcc": "Matthews' correlation over the three stances, on rows whose gold is one of them",
    "macro_f1_outcomes": "macro-F1 over all four outcomes, on all rows",
    "accuracy_outcomes": "accuracy over all four outcomes, on all rows",
    "mcc_outcomes": "Matthews' correlation over all four outcomes, on all rows",
    **{
        f"{outcome}/{name}": f"{name} of {outcome}, on all rows"
        for outcome in OUTCOMES
        for name in ("precision", "recall", "f1")
    },
}
"""Every metric of every evaluation, with what it is."""


def known_metric(name: str) -> str:
    """Return ``name``.

    Raises:
        ValueError: there is no such metric; names the nearest.
    """
    valid = {**METRICS, **FURTHER_METRICS}
    if name not in valid:
        raise ValueError(f"no metric '{name}'{nearest(name, valid)} (valid: {', '.join(valid)})")
    return name


def shown_name(metric: str) -> str:
    """Return a metric's name as tables and lines for people show it."""
    return "macro-F1" if metric == HEADLINE else metric
