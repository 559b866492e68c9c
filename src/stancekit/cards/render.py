"""The card as Markdown, from a template beside this module."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from stancekit.cards import details, tables
from stancekit.cards.abstaining import RIGHT
from stancekit.cards.gather import Model, evaluation, gather
from stancekit.metric_names import HEADLINE
from stancekit.models.shipped import SIZES
from stancekit.repeats.describe import summary_table, warning_lines
from stancekit.repeats.summary import from_table

_TEMPLATE = "card.md.jinja"


def render(models: Sequence[Model]) -> str:
    """Return the card of some models as Markdown, which ends with a line end."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False
    )
    source = resources.files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8")
    text = environment.from_string(source).render(
        models=models,
        tables=tables,
        details=details,
        default=SIZES[0],
        headline=HEADLINE,
        wanted_right=f"{RIGHT:.0%}",
        evaluation=evaluation("MODEL", "PART"),
        warnings={model.name: _warnings(model) for model in models},
        notes={model.name: _notes(model) for model in models},
        spreads={model.name: _spread(model) for model in models},
        taught=any(model.training and model.training.soft_rows for model in models),
        command=f"stancekit card models=[{','.join(model.name for model in models)}]",
    )
    # What a template leaves out leaves its blank lines behind.
    return re.sub(r"\n{3,}", "\n\n", text)


def stale(card: Path, names: Sequence[str]) -> bool:
    """Return whether a card says anything else than the files of these models say now, or is not there.

    Raises:
        UserError: as ``gather``.
    """
    return not card.is_file() or card.read_text(encoding="utf-8") != render(gather(names))


def _warnings(model: Model) -> list[str]:
    lines = warning_lines([model.results[part] for part in tables.DETAILED if part in model.results])
    return [tables.plain(line.removeprefix("WARNING ")) for line in lines]


def _notes(model: Model) -> list[str]:
    parts: dict[str, list[str]] = {}
    for part, report in model.results.items():
        for note in report.notes:
            parts.setdefault(note, []).append(part)
    return [f"{', '.join(found)}: {tables.plain(note)}" for note, found in parts.items()]


def _spread(model: Model) -> str | None:
    """Return the table of a model's experiment, None where it was not measured."""
    if model.measured is None:
        return None
    return "\n".join(summary_table(from_table(model.measured.table)))
