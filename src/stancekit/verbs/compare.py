"""``stancekit compare``: do two runs, parents of repeats or saved models differ on the same rows?"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from stancekit.config.schema import CompareConfig
from stancekit.evaluation.compare import Entrant, compare
from stancekit.evaluation.comparison_report import as_dict, as_markdown, as_page, as_text
from stancekit.files import whole_file
from stancekit.tracking.registry import is_name

_NAME = "comparison"
_MODEL = re.compile(r"hub:.+|(runs|models):/.+")


def run(config: CompareConfig) -> None:
    """Print how the first differs from each other one, and write it where ``output`` says.

    Raises:
        UserError: a run is unknown, not over or has no predictions; or the two were not scored on the same rows.
    """
    entrants = [_entrant(name, config) for name in config.runs]
    entrants = _told_apart(entrants, config.runs)
    settings = config.evaluation
    found = [
        compare(
            entrants[0],
            other,
            config.split,
            columns=settings.slices,
            least=settings.least_rows,
            draws=settings.draws,
            further=config.data.metrics,
        )
        for other in entrants[1:]
    ]
    print(as_text(found))
    if config.output:
        folder = Path(config.output)
        texts = {
            "md": as_markdown(found),
            "html": as_page(found),
            "json": json.dumps(as_dict(found), indent=2, ensure_ascii=False) + "\n",
        }
        for suffix, text in texts.items():
            with whole_file(folder / f"{_NAME}.{suffix}") as stream:
                stream.write(text)
        print(f"\nwritten: {', '.join(str(folder / f'{_NAME}.{suffix}') for suffix in texts)}")


def _entrant(name: str, config: CompareConfig) -> Entrant:
    """Return the predictions that a run left, or those of a saved model, which is scored anew."""
    if is_name(name) or _MODEL.fullmatch(name) or os.path.isdir(name) or name.startswith(("~", "/", "./", "../")):
        return _scored_anew(name, config)
    from stancekit.repeats.summary import together
    from stancekit.tracking.results import ROLE, find_run, runs_to_compare, stored_predictions
    from stancekit.tracking.store import open_store

    client = open_store(config.tracking)
    run = find_run(client, config.tracking, name)
    runs = runs_to_compare(client, run)
    found = [stored_predictions(client, one, config.split) for one in runs]
    if runs[0].data.tags.get(ROLE) == "fold" and len({one.fingerprint for one in found}) > 1:
        # Folds have rows of their own; side by side they are those of the whole corpus.
        found = list(together([{config.split: one} for one in found], pooled=True).values())
    return Entrant(str(run.info.run_name), found)


def _scored_anew(name: str, config: CompareConfig) -> Entrant:
    from stancekit.evaluation.evaluate import Evaluator
    from stancekit.tracking.models import open_model
    from stancekit.verbs.evaluate import rows_of

    _, pairs = rows_of(config.data, config.split)
    saved = open_model(name, config.tracking, config.evaluation.precision)
    evaluator = Evaluator(saved.model, name, config.evaluation, config.data, saved.calibration, saved.trace)
    return Entrant(name, [evaluator.predict(pairs)])


def _told_apart(entrants: list[Entrant], given: tuple[str, ...]) -> list[Entrant]:
    """Return the entrants with what the user called them added to names that occur twice."""
    names = [entrant.name for entrant in entrants]
    return [
        Entrant(f"{entrant.name} ({word[:8]})" if names.count(entrant.name) > 1 else entrant.name, entrant.runs)
        for entrant, word in zip(entrants, given, strict=True)
    ]
