"""``stancekit evaluate``: a saved model against labelled pairs."""

from __future__ import annotations

import json
from pathlib import Path

from stancekit.config.data import DataConfig
from stancekit.config.schema import EvaluateConfig
from stancekit.data.corpus import read_corpus
from stancekit.data.dataset import fingerprint, split_rows
from stancekit.errors import UserError, nearest
from stancekit.files import whole_file
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair
from stancekit.tracking.registry import find_model

ALL = "all"


def run(config: EvaluateConfig) -> None:
    """Print the scores and the confusion matrix, and write them as JSON where ``output`` says.

    Raises:
        UserError: the data, the model or the output is bad.
    """
    path, pairs = _rows(config.data, config.split)
    folder = find_model(config.model, config.tracking)

    from stancekit.evaluation.evaluate import evaluate
    from stancekit.models.saved import load_model

    saved = load_model(folder)
    evaluation = evaluate(saved.model, pairs, config.evaluation.batch_size)
    scores, matrix = evaluation.scores, evaluation.matrix
    if config.output:
        result = {
            "model": config.model,
            "model_folder": str(folder),
            "data": str(path),
            "fingerprint": fingerprint(pairs),
            "rows": len(pairs),
            "scores": scores,
            "confusion": {"labels": list(OUTCOMES), "rows_are_gold": matrix.tolist()},
        }
        with whole_file(Path(config.output)) as stream:
            json.dump(result, stream, indent=2, ensure_ascii=False)
            stream.write("\n")
    print(f"{saved.config.name} on {len(pairs)} pairs of {path} (fingerprint {fingerprint(pairs)})\n")
    print(f"three stances   macro-F1 {scores['macro_f1']:.3f}   accuracy {scores['accuracy']:.3f}")
    print(f"four outcomes   macro-F1 {scores['macro_f1_outcomes']:.3f}   accuracy {scores['accuracy_outcomes']:.3f}\n")
    print(f"{'':<12}{'precision':>10}{'recall':>8}{'F1':>7}{'pairs':>7}   predicted as {' / '.join(OUTCOMES)}")
    for i, label in enumerate(OUTCOMES):
        precision, recall, f1 = (scores[f"{label}/{name}"] for name in ("precision", "recall", "f1"))
        predicted = " / ".join(str(count) for count in matrix[i])
        print(f"{label:<12}{precision:>10.3f}{recall:>8.3f}{f1:>7.3f}{int(matrix[i].sum()):>7}   {predicted}")


def _rows(config: DataConfig, split: str | None) -> tuple[Path, list[Pair]]:
    corpus = read_corpus(config)
    path, pairs = corpus.path, corpus.pairs
    found = {str(pair.column("split")) for pair in pairs if pair.column("split")}
    if split == ALL or (split is None and not found):
        return path, pairs
    parts = split_rows(pairs, config.split, path)
    wanted = split or "test"
    if not parts.get(wanted):
        held = [name for name, rows in parts.items() if rows]
        close = nearest(wanted, [*held, ALL])
        raise UserError(
            f"split={wanted}: no such rows in {path}{close} (splits: {', '.join(held)}; {ALL} takes every row)"
        )
    return path, parts[wanted]
