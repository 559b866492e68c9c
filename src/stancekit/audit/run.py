"""All checks over one set of labelled data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stancekit.audit import copies, labels, shortcuts, splits
from stancekit.audit.model import Finding, LabelledRow, Report, labelled_rows
from stancekit.config.data import DataConfig
from stancekit.config.schema import AuditSettings, CrossEncoderConfig, EncoderConfig, ModelConfig
from stancekit.data.dataset import Parts, fingerprint, label_counts
from stancekit.encoders.embedding import SentenceEmbedder, pair_features
from stancekit.encoders.loading import load_tokenizer
from stancekit.models.inputs import render

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 13


def audit(data: DataConfig, parts: Parts, settings: AuditSettings, model: ModelConfig) -> Report:
    """Return what is found in the rows of ``parts``; the rows are as ``read_parts`` gives them, leaks included.

    Args:
        model: whose encoder embeds the texts and whose input says how long a row is in tokens, where it has them.

    Raises:
        UserError: the encoder for the embeddings or the tokenizer cannot be found.
    """
    own = {name: pairs for name, pairs in parts.rows.items() if pairs}
    # Further test sets count where they meet the corpus; what is wrong within them is for an audit of their own.
    held = own | parts.tests
    rows = labelled_rows(own)
    findings = [*splits.leaks(held, data.disjoint, data.shared, settings.near_copy)]
    findings += [copies.exact_copies(rows), copies.conflicts(rows), copies.near_copies(rows, settings.near_copy)]
    findings.append(copies.series(rows, settings.series))
    ngrams, frequent = copies.repeated_ngrams(rows, settings.ngram, settings.ngram_share, settings.ngram_least)
    findings += [ngrams, splits.one_label_targets(rows), splits.balance(own, settings.label_share)]
    if isinstance(model, CrossEncoderConfig):
        findings.append(splits.truncated(rows, _token_lengths(rows, model), model.input.max_length))
    compared, agreement = labels.passes(rows, settings.kappa)
    findings += [*compared, labels.twin_targets(rows)]
    everything = labelled_rows(held)
    encoder = getattr(model, "encoder", None)
    embed = _embedder(encoder, everything) if settings.embeddings and encoder else None
    if embed:
        statements = copies.distinct_statements(everything)
        findings += copies.alike(everything, own.keys(), embed(statements), settings.alike)
    found, scores = shortcuts.shortcuts(held, own.keys() - data.shared.keys(), settings.shortcuts, embed, _SEED)
    findings += found
    if embed and settings.suspicious:
        findings.append(labels.suspicious(rows, _features(rows, embed), settings.folds, _SEED))
    else:
        needs = "needs audit.embeddings, audit.suspicious and a model with an encoder"
        findings.append(Finding("suspicious labels", "skipped", needs))
    return Report(
        name=data.name,
        path=str(parts.path),
        fingerprint=fingerprint([row.pair for row in rows]),
        labels={part: label_counts(pairs) for part, pairs in held.items()},
        findings=findings,
        numbers={
            "shortcuts": scores,
            "agreement": agreement,
            "ngrams": frequent,
            "words": [len(text.split()) for text in copies.distinct_statements(rows)],
        },
    )


def _token_lengths(rows: Sequence[LabelledRow], model: CrossEncoderConfig) -> list[int]:
    tokenizer = load_tokenizer(model.encoder)
    if not rows:
        return []
    segments = [render(row.pair, model.input) for row in rows]
    encoded = tokenizer([one for one, _ in segments], [other for _, other in segments], verbose=False)
    return [len(ids) for ids in encoded["input_ids"]]


def _embedder(encoder: EncoderConfig, rows: Sequence[LabelledRow]) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Return a function from texts to vectors that has embedded every text of the rows once."""
    texts = list(dict.fromkeys(t for r in rows for t in (r.pair.statement, r.pair.target, r.pair.holder or "")))
    vectors = SentenceEmbedder(encoder).embed(texts)
    place = {text: i for i, text in enumerate(texts)}
    return lambda wanted: vectors[[place[text] for text in wanted]]


def _features(rows: Sequence[LabelledRow], embed: Callable[[Sequence[str]], NDArray[np.float32]]) -> Any:
    statements = embed([row.pair.statement for row in rows])
    targets = embed([row.pair.target for row in rows])
    return pair_features(statements, targets)
