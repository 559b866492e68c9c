"""Precision and recall of the relevance gate on the hand-labelled seeds, for thresholds and with each part alone.

Run: python benchmarks/relevance.py
"""

from __future__ import annotations

import json

import numpy as np

from stancekit.config.compose import load_config
from stancekit.config.schema import PairsConfig
from stancekit.pairs.relevance import RelevanceGate
from stancekit.pairs.targets import Target, load_targets
from stancekit.paths import shipped_root

THRESHOLDS = (0.45, 0.5, 0.55, 0.6, 0.65, 1.0)


def main() -> None:
    config = load_config("pairs", ["input=-", "output=-"])
    assert isinstance(config, PairsConfig)
    folder = shipped_root() / "data" / "seeds"
    statements = [json.loads(line) for line in (folder / "statements.jsonl").read_text(encoding="utf-8").splitlines()]
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    targets = load_targets("ukraine_2025").targets
    about = {(row["article"], row["start"], row["target"]) for row in pairs}
    gold = np.array([[(s["article"], s["start"], t.phrase) in about for t in targets] for s in statements])
    articles = [[i for i, s in enumerate(statements) if s["article"] == a] for a in {s["article"] for s in statements}]
    print(f"{int(gold.sum())} of {gold.size} statement-target combinations are on topic\n")
    print(f"{'threshold':>9}  {'aliases, cosine, taken up':<28}{'no aliases':<28}")
    for threshold in THRESHOLDS:
        cells = []
        for wanted in (targets, [Target(name=t.name, phrase=t.phrase) for t in targets]):
            gate = RelevanceGate(config.relevance.model_copy(update={"threshold": threshold}), wanted)
            found = np.zeros_like(gold)
            for rows in articles:
                found[rows] = gate.relevant([statements[i]["statement"] for i in rows])
            hits = (found & gold).sum()
            precision, recall = hits / max(1, found.sum()), hits / gold.sum()
            cells.append(f"P {precision:.3f}  R {recall:.3f}  F1 {2 * precision * recall / (precision + recall):.3f}")
        print(f"{threshold:>9}  {cells[0]:<28}  {cells[1]:<28}")


if __name__ == "__main__":
    main()
