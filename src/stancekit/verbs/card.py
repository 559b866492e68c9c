"""``stancekit card``: the model card of what ships, from the files that lie beside it."""

from __future__ import annotations

from pathlib import Path

from stancekit.cards.gather import gather, missing
from stancekit.cards.render import render
from stancekit.config.schema import CardConfig
from stancekit.files import whole_file


def run(config: CardConfig) -> None:
    """Write the card, and print what it has to call not measured.

    Raises:
        UserError: a model does not ship, a file of it is bad, or the output cannot be written.
    """
    models = gather(config.models)
    text = render(models)
    with whole_file(Path(config.output)) as stream:
        stream.write(text)
    for line in missing(models):
        print(f"not measured: {line}")
    print(f"written: {config.output}")
