"""Score sentence splitters on the hard splits of news style: ``python benchmarks/splitters.py``.

Prints, for each splitter, in how many rows of ``tests/articles/hard_splits.jsonl`` it finds exactly the sentences. The
libraries are scored untouched, one line of text at a time; the rows marked "test" were written before any repair rule
and not looked at while the rules were written. A library that is not installed is named as such.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path

from stancekit.articles.splitting import SPLITTERS

TABLE = Path(__file__).parents[1] / "tests" / "articles" / "hard_splits.jsonl"
Sentences = Callable[[str], list[str]]


def nupunkt() -> Sentences:
    library = importlib.import_module("nupunkt")
    return lambda text: list(library.sent_tokenize(text))


def sentencex() -> Sentences:
    library = importlib.import_module("sentencex")
    return lambda text: list(library.segment("en", text))


def syntok() -> Sentences:
    library = importlib.import_module("syntok.segmenter")

    def sentences(text: str) -> list[str]:
        found = [sentence for paragraph in library.analyze(text) for sentence in paragraph]
        return [text[first.offset : last.offset + len(last.value)] for first, last in ((s[0], s[-1]) for s in found)]

    return sentences


def pysbd() -> Sentences:
    segmenter = importlib.import_module("pysbd").Segmenter(language="en", clean=False)
    return lambda text: list(segmenter.segment(text))


def by_line(sentences: Sentences) -> Sentences:
    return lambda text: [
        sentence.strip() for line in text.splitlines() for sentence in sentences(line) if sentence.strip()
    ]


def shipped(name: str) -> Sentences:
    splitter = SPLITTERS[name]()
    return lambda text: [text[start:end] for start, end in splitter.split(text)]


def main() -> None:
    rows = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()]
    parts = {part: [row for row in rows if row["part"] == part] for part in ("dev", "test")}
    contenders: dict[str, Sentences] = {}
    for load in (nupunkt, sentencex, syntok, pysbd):
        try:
            contenders[f"{load.__name__} {importlib.metadata.version(load.__name__)}, untouched"] = by_line(load())
        except ImportError:
            print(f"{load.__name__}: not installed, not scored")
    contenders |= {f"stancekit '{name}'": shipped(name) for name in SPLITTERS}
    print(f"{'splitter':32} {'dev':>8} {'test':>8}")
    for name, sentences in contenders.items():
        right = {part: sum(sentences(row["text"]) == row["sentences"] for row in parts[part]) for part in parts}
        scores = " ".join(f"{right[part]:>4}/{len(parts[part])}".rjust(8) for part in parts)
        print(f"{name:32} {scores}")


if __name__ == "__main__":
    main()
