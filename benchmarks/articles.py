"""Statements a second on the way from articles to pairs: the relevance gate by torch, by exported graphs, and without.

    python benchmarks/articles.py [--articles 60] [--statements 20] [--rounds 3]

The articles are statements of stancebank in a new order, none twice. The embedders take turns; medians over the rounds.
What is left without embedding is reading, grouping into stories, splitting, aliases and holders. Needs the export of
the gate's encoder (``stancekit export format=engines``).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from predicting.machine import describe

from stancekit.config.compose import load_config
from stancekit.config.schema import PredictConfig
from stancekit.encoders.embedding import Embedder, SentenceEmbedder
from stancekit.files import find_sources, read_rows
from stancekit.pairs.build import Tally, pairs_from_articles
from stancekit.pairs.targets import load_targets
from stancekit.paths import shipped_root
from stancekit.prediction.choosing import available_threads
from stancekit.prediction.embedding import GRAPHS, exported_embedder

_TARGETS = "ukraine_2025"


class Nothing:
    """Embeds nothing: what is left is everything else."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return zeros."""
        return np.zeros((len(texts), 1), dtype=np.float32)


def write_articles(path: Path, articles: int, statements: int) -> None:
    """Write so many articles of so many statements, in paragraphs of four."""
    source = shipped_root() / "data" / "stancebank" / "pairs.jsonl"
    texts = list(dict.fromkeys(str(row.values["statement"]) for row in read_rows(find_sources(str(source)))))
    drawn = random.Random(0).sample(texts, articles * statements)
    with path.open("w", encoding="utf-8") as file:
        for number in range(articles):
            own = drawn[number * statements : (number + 1) * statements]
            text = "\n\n".join(" ".join(own[first : first + 4]) for first in range(0, len(own), 4))
            file.write(json.dumps({"id": str(number), "text": text}) + "\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=int, default=60)
    parser.add_argument("--statements", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    config = load_config("predict", ["input=-", "output=-"])
    assert isinstance(config, PredictConfig)
    threads = available_threads()
    embedders: dict[str, Embedder] = {"torch fp32": SentenceEmbedder(config.relevance.encoder)}
    for engine in GRAPHS:
        found = exported_embedder(config.relevance.encoder, engine, threads)
        if found is None:
            raise SystemExit("the gate's encoder is not exported: stancekit export format=engines model=small")
        embedders[found.description] = found
    embedders["no embedding"] = Nothing()
    print(*describe(("torch", "onnxruntime", "openvino")), sep="\n")
    targets = load_targets(_TARGETS).targets
    rates: Mapping[str, list[float]] = {name: [] for name in embedders}
    pairs: dict[str, set[str | None]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "articles.jsonl"
        write_articles(path, options.articles, options.statements)
        for _ in range(options.rounds):
            for name, embedder in embedders.items():
                tally = Tally()
                begun = time.perf_counter()
                made = pairs_from_articles(path, targets, config.articles, config.relevance, tally, embedder)
                pairs[name] = {pair.id for pair in made}
                rates[name].append(tally.statements / (time.perf_counter() - begun))
    reference = pairs["torch fp32"]
    print(f"\n{'gate':<28}{'statements/s':>14}{'lowest':>9}{'highest':>9}{'pairs':>8}{'as torch':>10}")
    for name, found_rates in rates.items():
        same = len(pairs[name] & reference) / max(1, len(pairs[name] | reference))
        middle, low, high = statistics.median(found_rates), min(found_rates), max(found_rates)
        print(f"{name:<28}{middle:>14,.0f}{low:>9,.0f}{high:>9,.0f}{len(pairs[name]):>8,}{same:>10.2%}")


if __name__ == "__main__":
    main()
