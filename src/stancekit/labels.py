"""The label names: the contract of every file, config, metric and column."""

from __future__ import annotations

from typing import Literal, get_args

Stance = Literal["supports", "rules_out", "leaves_open"]
Outcome = Literal["supports", "rules_out", "leaves_open", "no_stance"]
NliLabel = Literal["entailment", "contradiction", "neutral"]

STANCES: tuple[str, ...] = get_args(Stance)
"""The three stances, in the order used by every table and matrix."""

OUTCOMES: tuple[str, ...] = get_args(Outcome)
"""The four outcomes of the system: the three stances and ``no_stance``, which is never mixed into three-way scores."""

COLOURS: dict[str, str] = {
    "supports": "#2a7f62",
    "rules_out": "#b0413e",
    "leaves_open": "#d8a31a",
    "no_stance": "#8a8f98",
}
"""The colour of every outcome in plots and pages."""

NLI_STANCES: dict[NliLabel, Stance] = {
    "entailment": "supports",
    "contradiction": "rules_out",
    "neutral": "leaves_open",
}
"""What the labels of natural language inference come to: a premise commits its author to a hypothesis as a statement
commits its holder to a target."""


def outcome_of(label: Outcome | NliLabel | None) -> Outcome | None:
    """Return the outcome of that name, or the one that an NLI label comes to; None stays None."""
    return NLI_STANCES.get(label, label)  # type: ignore[arg-type]
