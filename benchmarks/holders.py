"""Score the holder rules: ``python benchmarks/holders.py``.

Prints precision, recall and F1 over (statement, holder) decisions, and the share of statements that are exactly right,
for the invented articles (dev: looked at while the rules were written; test: only measured) and the five seed articles
(looked at). Statements are the labelled spans, so splitting is not measured. Two baselines stand beside the rules.
"""

from __future__ import annotations

from pathlib import Path

from stancekit.pairs.holders.finding import find_holders
from stancekit.pairs.holders.scoring import most_frequent, read_invented, read_seeds, said_in_sentence, score

DATA = Path(__file__).parents[1] / "data"


def main() -> None:
    parts = {
        "dev": read_invented(DATA / "holders", "dev"),
        "test": read_invented(DATA / "holders", "test"),
        "seeds": read_seeds(DATA / "seeds" / "statements.jsonl"),
    }
    contenders = {
        "rules": find_holders,
        "most frequent person for all": most_frequent,
        "'X said' in the sentence itself": said_in_sentence,
    }
    print(f"{'':32} {'part':6} {'precision':>9} {'recall':>7} {'F1':>6} {'exact':>6}")
    for name, attribute in contenders.items():
        for part, articles in parts.items():
            found = score(articles, attribute)
            figures = f"{found.precision:9.3f} {found.recall:7.3f} {found.f1:6.3f} {found.accuracy:6.3f}"
            print(f"{name:32} {part:6} {figures}")


if __name__ == "__main__":
    main()
