from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from stancekit.data import trace
from stancekit.data.trace import Trace
from stancekit.pairs.model import Pair

NINE = "one two three four five six seven eight nine"


def pairs(*statements: str, target: str = "the toll") -> list[Pair]:
    return [Pair(statement, target) for statement in statements]


def test_when_a_target_differs_in_case_and_punctuation_alone_then_it_was_seen() -> None:
    seen = Trace.of([Pair("s", "Raising the U.S. toll"), Pair("s", "the port")])
    asked = [Pair("s", target) for target in ("raising the u.s. toll!", "The Port", "the ports", "port")]
    assert seen.targets_seen(asked).tolist() == [True, True, False, False]


def test_when_half_of_the_5_grams_were_trained_on_then_a_statement_is_a_copy() -> None:
    known = Trace.of(pairs(NINE))
    assert len(known.grams) == 5
    half = "one two three four five six seven other words here"  # 3 of 6 grams
    less = "one two three four five six another set of words"  # 2 of 6 grams
    assert known.copies(pairs(half, less, NINE.upper() + ".", "nothing of it")).tolist() == [True, False, True, False]


def test_when_a_statement_is_shorter_than_a_gram_then_only_the_same_words_are_a_copy() -> None:
    known = Trace.of(pairs("We won't go.", NINE))
    asked = pairs("we won't go", "We won't go there", "one two three", "we go")
    assert known.copies(asked).tolist() == [True, False, False, False]


def test_when_a_trace_is_written_and_read_then_it_answers_alike(tmp_path: Path) -> None:
    written = Trace.of(pairs(NINE, "We won't go."))
    written.write(tmp_path)
    read = Trace.read(tmp_path)
    for name in ("targets", "grams", "limit"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert read.copies(pairs(NINE, "other words")).tolist() == [True, False]
    assert read.targets_seen(pairs("s", target="The toll")).tolist() == [True]


def test_when_a_trace_is_read_on_another_machine_then_the_hashes_are_the_same() -> None:
    digest = hashlib.blake2b(b"the toll", digest_size=8).digest()
    assert Trace.of(pairs("s")).targets.tolist() == [int.from_bytes(digest, "little")]


def test_when_there_are_too_many_grams_then_the_lowest_hashes_estimate_the_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [" ".join(f"w{i}x{j}" for j in range(64)) for i in range(20)]
    whole = Trace.of(pairs(*texts))
    monkeypatch.setattr(trace, "_MOST", 400)
    sample = Trace.of(pairs(*texts))
    assert len(whole.grams) == 20 * 60 and len(sample.grams) == 400
    assert sample.grams.tolist() == whole.grams.tolist()[:400] and sample.limit == sample.grams[-1]
    foreign = [text.replace("x", "y") for text in texts]
    # Three quarters copied, and one quarter: the sample of about twenty grams a statement tells them apart.
    most = [" ".join([*text.split()[:48], *other.split()[48:]]) for text, other in zip(texts, foreign, strict=True)]
    few = [" ".join([*text.split()[:12], *other.split()[12:]]) for text, other in zip(texts, foreign, strict=True)]
    assert sample.copies(pairs(*texts)).all() and not sample.copies(pairs(*foreign)).any()
    assert sample.copies(pairs(*most)).mean() >= 0.9 and sample.copies(pairs(*few)).mean() <= 0.1


def test_when_nothing_was_trained_on_then_nothing_was_seen() -> None:
    empty = Trace.of([])
    assert not empty.targets_seen(pairs("s")).any() and not empty.copies(pairs(NINE)).any()
    assert Trace.of(pairs(NINE)).copies([]).shape == (0,)
