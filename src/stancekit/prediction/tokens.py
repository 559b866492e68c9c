"""Pairs to token ids, with the ``tokenizers`` library alone: every distinct text is tokenised once.

The special tokens around two segments are read off the tokenizer itself, so that whatever it was trained with (BERT's
``[CLS] a [SEP] b [SEP]``, RoBERTa's doubled separator) comes out as it would from the tokenizer's own pairing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stancekit.config.schema import InputConfig
from stancekit.models.inputs import refused_target, render
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

_CHARACTERS_PER_TOKEN = 24
"""More than a token of news text ever takes: a longer text is cut there before it is tokenised, unless tokens lack."""
_CUT_TOKENS = 32
"""What a special token that is written out in a text may come to where a cut goes through it."""
_TARGET_CHARACTERS = 100_000
"""So much of a target is tokenised, to say how long it is."""
_KEPT_TARGETS = 10_000
_KEPT_CHARACTERS = 1_000
"""A target longer than that is not remembered from one call to the next."""


@dataclass(frozen=True)
class TokenLayout:
    """What stands around two segments: the ids before, between and after them, and the type of each part.

    ``types`` are those of before, first segment, between, second segment, after; None where the model takes none.
    ``pad`` is the id that fills up a row.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[int, ...] | None
    pad: int

    @property
    def special(self) -> int:
        """How many special tokens a pair has."""
        return len(self.before) + len(self.between) + len(self.after)

    def as_dict(self) -> dict[str, object]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def of_texts(cls, tokenizer: Tokenizer, pad: int, typed: bool) -> TokenLayout:
        """Return the layout that a tokenizer gives to single texts: the second segment is to be empty.

        Raises:
            ValueError: the tokenizer does not keep a text whole.
        """
        alone = tokenizer.encode("a", add_special_tokens=False).ids
        whole = tokenizer.encode("a")
        begin = [bool(flag) for flag in whole.special_tokens_mask].index(False)
        end = begin + len(alone)
        if whole.ids[begin:end] != alone:
            raise ValueError("the tokenizer does not keep a text as it is")
        types = None
        if typed:
            before, text, after = (whole.type_ids[part] for part in (slice(begin), slice(begin, end), slice(end, None)))
            types = (next(iter(before), 0), text[0], 0, 0, next(iter(after), 0))
        return cls(tuple(whole.ids[:begin]), (), tuple(whole.ids[end:]), types, pad)

    @classmethod
    def of(cls, tokenizer: Tokenizer, pad: int, typed: bool) -> TokenLayout:
        """Return the layout that a tokenizer gives to pairs.

        Raises:
            ValueError: the tokenizer does not keep both segments whole and in order.
        """
        first, second = (tokenizer.encode(text, add_special_tokens=False).ids for text in ("a", "b"))
        whole = tokenizer.encode("a", "b")
        special = [bool(flag) for flag in whole.special_tokens_mask]
        begin = special.index(False)
        end = begin + len(first)
        follow = next((i for i in range(end, len(special)) if not special[i]), len(special))
        stop = follow + len(second)
        if whole.ids[begin:end] != first or whole.ids[follow:stop] != second:
            raise ValueError("the tokenizer does not keep both segments of a pair as they are")
        types = None
        if typed:
            parts = (slice(0, begin), slice(begin, end), slice(end, follow), slice(follow, stop), slice(stop, None))
            types = tuple(next(iter(whole.type_ids[part]), 0) for part in parts)
        ids = whole.ids
        return cls(tuple(ids[:begin]), tuple(ids[end:follow]), tuple(ids[stop:]), types, pad)


@dataclass(frozen=True)
class TokenizedPairs:
    """Two segments of ids for every pair, and what could not be tokenised.

    Attributes:
        firsts, seconds: the ids of both segments, cut to fit, without special tokens; int32, one array per pair.
        lengths: of the whole inputs with special tokens, shape (pairs,); 0 for a refused pair.
        truncated: whether the first segment was cut, shape (pairs,).
        errors: why a pair was refused, by its place.
    """

    firsts: Sequence[NDArray[np.int32]]
    seconds: Sequence[NDArray[np.int32]]
    lengths: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    errors: Mapping[int, str]


class _SegmentTokenizer:
    """What tokenises segments that have to fit together into ``longest`` tokens; safe to share between threads."""

    def __init__(self, tokenizer: Tokenizer, layout: TokenLayout, longest: int) -> None:
        """Take a tokenizer, which is changed: it must not pad or cut by itself."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self.layout = layout
        self.longest = longest

    @property
    def room(self) -> int:
        """How many tokens the segments may have together."""
        return self.longest - self.layout.special

    def write(self, path: Path) -> None:
        """Write the tokenizer as ``tokenizers`` reads it."""
        self._tokenizer.save(str(path))


class TextTokenizer(_SegmentTokenizer):
    """Tokenises single texts."""

    def tokenize(self, texts: Sequence[str]) -> TokenizedPairs:
        """Return the token ids of every text as first segments, cut to fit, beside empty second ones."""
        room = self.room
        encoded: list[Any] = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        whole = [np.array(one.ids, dtype=np.int32) for one in encoded]
        cut = [ids[:room] for ids in whole]
        lengths = np.array([len(ids) + self.layout.special for ids in cut], dtype=np.int64)
        truncated = np.array([len(ids) > room for ids in whole], dtype=bool)
        return TokenizedPairs(cut, [np.zeros(0, dtype=np.int32)] * len(cut), lengths, truncated, {})


class PairTokenizer(_SegmentTokenizer):
    """Writes pairs out by a template and tokenises them."""

    def __init__(self, tokenizer: Tokenizer, layout: TokenLayout, template: InputConfig) -> None:
        """Take a tokenizer, which is changed: it must not pad or cut by itself."""
        super().__init__(tokenizer, layout, template.max_length)
        self._template = template
        self._targets: dict[str, NDArray[np.int32]] = {}

    def tokenize(self, pairs: Sequence[Pair]) -> TokenizedPairs:
        """Return the token ids of every pair; equal segments share one array.

        Only the statement's segment is cut; a target that leaves no room for it is refused, alone.
        """
        segments = [render(pair, self._template) for pair in pairs]
        targets = self._target_ids([second for _, second in segments])
        room = self.room
        firsts = self._ids(list(dict.fromkeys(first for first, _ in segments)), room * _CHARACTERS_PER_TOKEN)
        lengths = np.zeros(len(pairs), dtype=np.int64)
        truncated = np.zeros(len(pairs), dtype=bool)
        errors: dict[int, str] = {}
        left, right = [], []
        for i, (first, second) in enumerate(segments):
            ids, target = firsts[first], targets[second]
            free = room - len(target)
            if free <= 0:
                errors[i] = refused_target(pairs[i].target, len(target), room)
            else:
                truncated[i] = len(ids) > free
                ids = ids[:free]
                lengths[i] = len(ids) + len(target) + self.layout.special
            left.append(ids)
            right.append(target)
        return TokenizedPairs(left, right, lengths, truncated, errors)

    def _target_ids(self, texts: Sequence[str]) -> dict[str, NDArray[np.int32]]:
        known = self._targets
        if new := list(dict.fromkeys(text for text in texts if text not in known)):
            found = self._ids(new, _TARGET_CHARACTERS)
            kept = {text: ids for text, ids in found.items() if len(text) <= _KEPT_CHARACTERS}
            # New dictionaries: another thread may be reading the old one.
            self._targets = {**known, **kept} if len(known) + len(kept) <= _KEPT_TARGETS else kept
            known = {**known, **found}
        return known

    def _ids(self, texts: Sequence[str], limit: int) -> dict[str, NDArray[np.int32]]:
        """Return the ids of every text; of one beyond ``limit`` characters maybe not all, but more than have room."""
        short = [text for text in texts if len(text) <= limit]
        encoded: list[Any] = self._tokenizer.encode_batch_fast(short, add_special_tokens=False)
        found = {text: np.array(one.ids, dtype=np.int32) for text, one in zip(short, encoded, strict=True)}
        return found | {text: self._beginning(text, limit) for text in texts if len(text) > limit}

    def _beginning(self, text: str, limit: int) -> NDArray[np.int32]:
        """Return the ids of what stands in a text before ``limit`` characters, or of all of it if these are too few."""
        cut = self._tokenizer.encode(text[:limit], add_special_tokens=False)
        words = cut.word_ids
        # A cut through a word, or a special token, says nothing of what the whole of it comes to.
        certain = words.index(words[-1]) - _CUT_TOKENS if words else 0
        if certain <= self.room:
            return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int32)
        return np.array(cut.ids[:certain], dtype=np.int32)
