"""The shortcut test: what a classifier scores that sees the statement alone, the target alone, the holder alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stancekit.audit.model import Finding
from stancekit.config.schema import ShortcutLimits
from stancekit.labels import STANCES
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

Embed = Any
"""A function from texts to unit vectors, one row each; or None."""

_LEAST_ROWS = 10


def shortcuts(
    parts: Mapping[str, Sequence[Pair]], judged: Collection[str], limits: ShortcutLimits, embed: Embed, seed: int
) -> tuple[list[Finding], list[dict[str, Any]]]:
    """Train on one column of the training rows and score on every other part.

    Rows of the three stances alone count, so that guessing gives a macro-F1 of a third. The classifiers are logistic
    regressions over TF-IDF of words and word pairs, and over frozen sentence embeddings where ``embed`` is given.

    Args:
        judged: the parts on which reaching a limit is an error. On others, such as a few targets of another origin,
            a high score can be their own: it is told, and no more.

    Returns:
        One finding per column, and the table of all scores.
    """
    rows = {part: [pair for pair in pairs if pair.label in STANCES] for part, pairs in parts.items()}
    train = rows.get("train", [])
    held_out = {part: pairs for part, pairs in rows.items() if part != "train" and len(pairs) >= _LEAST_ROWS}
    if len({pair.label for pair in train}) < 2 or not held_out:
        return [Finding("shortcuts", "skipped", "no training rows of two stances, or nothing to test on")], []
    table = []
    used = {"train": train, **held_out}
    gold = {part: np.array([STANCES.index(str(p.label)) for p in pairs]) for part, pairs in used.items()}
    for column in ("statement", "target", "holder"):
        texts = {part: [str(pair.column(column) or "") for pair in pairs] for part, pairs in used.items()}
        if len({word for text in texts["train"] for word in re.findall(r"\w+", text)}) < 2:
            continue
        for method in ("tfidf", "embeddings") if embed else ("tfidf",):
            vectors = _tfidf(texts) if method == "tfidf" else {part: embed(found) for part, found in texts.items()}
            scores = _scores(vectors, gold, held_out, seed)
            table += [
                {"sees": column, "classifier": method, "part": part, "macro_f1": value}
                for part, value in scores.items()
            ]
    return [_finding(column, limit, judged, table) for column, limit in limits.model_dump().items()], table


def _tfidf(texts: Mapping[str, list[str]]) -> dict[str, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    vectorizer.fit(texts["train"])
    return {part: vectorizer.transform(found) for part, found in texts.items()}


def _scores(
    vectors: Mapping[str, Any], gold: Mapping[str, NDArray[np.int64]], held_out: Mapping[str, Any], seed: int
) -> dict[str, float]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    model = LogisticRegression(class_weight="balanced", max_iter=1000, random_state=seed)
    model.fit(vectors["train"], gold["train"])
    stances = list(range(len(STANCES)))
    return {
        part: round(
            float(f1_score(gold[part], model.predict(vectors[part]), labels=stances, average="macro", zero_division=0)),
            3,
        )
        for part in held_out
    }


def _finding(column: str, limit: float, judged: Collection[str], table: Sequence[Mapping[str, Any]]) -> Finding:
    check = f"shortcut: {column} alone"
    scores = [entry for entry in table if entry["sees"] == column and entry["classifier"] == "tfidf"]
    if not scores:
        return Finding(check, "skipped", f"no {column}s that differ")
    said = ", ".join(f"{entry['part']} {entry['macro_f1']:.3f}" for entry in scores)
    over = tuple(entry for entry in scores if entry["macro_f1"] >= limit and entry["part"] in judged)
    if over:
        return Finding(check, "error", f"TF-IDF of the {column} alone reaches {limit} (guessing: .333): {said}", over)
    return Finding(check, "ok", f"TF-IDF of the {column} alone stays under {limit} where it counts: {said}")
