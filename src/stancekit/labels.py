"""The label names: the contract of every file, config, metric and column."""

from __future__ import annotations

from typing import Literal, get_args

Stance = Literal["supports", "rules_out", "leaves_open"]
Outcome = Literal["supports", "rules_out", "leaves_open", "no_stance"]

STANCES: tuple[str, ...] = get_args(Stance)
"""The three stances, in the order used by every table and matrix."""

OUTCOMES: tuple[str, ...] = get_args(Outcome)
"""The four outcomes of the system: the three stances and ``no_stance``, which is never mixed into three-way scores."""
