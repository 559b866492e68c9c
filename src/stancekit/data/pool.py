"""Unlabelled pairs made of labelled ones, for a teacher to label: each statement under the targets of its topic."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stancekit.config.schema import PoolSettings
from stancekit.data.dataset import Dataset
from stancekit.data.perturb import perturbations
from stancekit.errors import UserError, nearest
from stancekit.pairs.model import Pair

TOPIC_COLUMNS = ("topic", "group")
"""The column that says which statements share their targets: the first of these that the training rows have."""
PERTURBATION = "perturbation"
"""The column that says how a target differs from those of its topic; empty where it is one of them."""
OTHER_TOPIC = "other_topic"
OTHER_TOPIC_SHARE = 0.05
"""Of the pairs whose target is not perturbed, how many have one of another topic, so that some have no stance."""

Key = tuple[str, str, str]


@dataclass(frozen=True)
class _Topics:
    """What the training rows hold, in a fixed order: per topic its statements with their holders, and its targets."""

    holders: Mapping[str, Mapping[str, Sequence[str | None]]]
    targets: Mapping[str, Sequence[str]]

    def pairs(self) -> Iterator[tuple[str, str, str | None, str]]:
        """Yield every topic, statement, holder of it and target of the topic."""
        for topic, statements in self.holders.items():
            for statement, holders in statements.items():
                for holder in holders:
                    for target in self.targets[topic]:
                        yield topic, statement, holder, target


def make_pool(dataset: Dataset, settings: PoolSettings) -> list[Pair]:
    """Return unlabelled pairs of the training rows, without the labelled ones, in an order that hashes decide.

    Every statement comes with each of its holders under every target of its topic. To these are added pairs without
    the holder, with a perturbed target and with a target of another topic, each as many as make its share, or all that
    there are. The same rows and seed give the same pairs on every machine; fewer ``rows`` give the first of them. No
    target is one that dev or test alone has.

    Raises:
        UserError: no training row has a column that says which statements share their targets.
    """
    topics = _topics(dataset.train)
    trained = {_normal(pair.target) for pair in dataset.train}
    evaluated = [pair for pairs in (dataset.dev, *dataset.tests.values()) for pair in pairs]
    unseen = {_normal(pair.target) for pair in evaluated} - trained
    # What has a gold label needs no teacher's.
    taken = {_key(pair) for pair in dataset.train}
    kinds = {
        _plain: (1 - settings.perturbed) * (1 - OTHER_TOPIC_SHARE),
        _perturbed: settings.perturbed,
        _of_another_topic: (1 - settings.perturbed) * OTHER_TOPIC_SHARE,
    }
    total = 0.0
    pool: list[Pair] = []
    for kind, share in kinds.items():
        for without_holder in (False, True):
            part = share * (settings.without_holder if without_holder else 1 - settings.without_holder)
            if not part:
                continue
            found = _unlike(taken, unseen, kind(topics, without_holder, settings.seed))
            # What comes first is there in full, the rest in proportion to it.
            total = total or len(found) / part
            found.sort(key=lambda pair: _draw("take", settings.seed, pair.id))
            pool.extend(found[: round(part * total)])
    assert not {pair.statement for pair in pool} & {pair.statement for pair in evaluated}, "a statement leaks"
    # Another draw than the one above, or the kinds would not be mixed evenly.
    return sorted(pool, key=lambda pair: _draw("order", settings.seed, pair.id))[: settings.rows]


def kind_counts(pairs: Iterable[Pair]) -> dict[str, int]:
    """Return how many pairs there are of each kind, and of all kinds how many without a holder."""
    rows = list(pairs)
    counts = Counter(pair.column(PERTURBATION) or "plain" for pair in rows)
    return dict(sorted(counts.items(), key=lambda item: -item[1])) | {"no holder": sum(p.holder is None for p in rows)}


def _topics(train: Sequence[Pair]) -> _Topics:
    column = next((name for name in TOPIC_COLUMNS if any(p.column(name) is not None for p in train)), None)
    if column is None:
        columns = sorted({*train[0].row()})
        close = next(filter(None, (nearest(name, columns) for name in TOPIC_COLUMNS)), "")
        raise UserError(
            f"data: no training row has the column 'topic' (or 'group'), which says which statements share their "
            f"targets{close}\n  found: {', '.join(columns)}"
        )
    holders: dict[str, dict[str, dict[str | None, None]]] = {}
    targets: dict[str, dict[str, None]] = {}
    for pair in train:
        if (topic := pair.column(column)) is not None:
            holders.setdefault(str(topic), {}).setdefault(pair.statement, {})[pair.holder] = None
            targets.setdefault(str(topic), {})[pair.target] = None
    # Sorted, so that the order of the rows counts for nothing.
    return _Topics(
        {
            topic: {text: sorted(names, key=lambda name: name or "") for text, names in sorted(of.items())}
            for topic, of in sorted(holders.items())
        },
        {topic: sorted(names) for topic, names in sorted(targets.items())},
    )


def _plain(topics: _Topics, without_holder: bool, seed: int) -> Iterator[Pair]:
    for topic, statement, holder, target in topics.pairs():
        if not without_holder or holder is not None:
            yield _pair(statement, None if without_holder else holder, target, topic, None)


def _perturbed(topics: _Topics, without_holder: bool, seed: int) -> Iterator[Pair]:
    known = {target: perturbations(target) for targets in topics.targets.values() for target in targets}
    for topic, statement, holder, target in topics.pairs():
        found = known[target]
        if not found or (without_holder and holder is None):
            continue
        draw = _draw("perturb", seed, statement, holder, target, without_holder)
        kinds = sorted({one.kind for one in found})
        forms = [one for one in found if one.kind == kinds[draw % len(kinds)]]
        one = forms[draw // len(kinds) % len(forms)]
        yield _pair(statement, None if without_holder else holder, one.target, topic, one.kind)


def _of_another_topic(topics: _Topics, without_holder: bool, seed: int) -> Iterator[Pair]:
    names = sorted(topics.targets)
    for topic, statement, holder, target in topics.pairs():
        if len(names) < 2 or (without_holder and holder is None):
            continue
        draw = _draw("topic", seed, statement, holder, target, without_holder)
        place = names.index(topic) + 1 + draw % (len(names) - 1)
        others = topics.targets[names[place % len(names)]]
        drawn = others[draw // len(names) % len(others)]
        yield _pair(statement, None if without_holder else holder, drawn, topic, OTHER_TOPIC)


def _unlike(taken: set[Key], unseen: set[str], pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs that are not ``taken`` yet, and take them; none whose target is ``unseen``."""
    kept = []
    for pair in pairs:
        if (key := _key(pair)) not in taken and key[2] not in unseen:
            taken.add(key)
            kept.append(pair)
    return kept


def _pair(statement: str, holder: str | None, target: str, topic: str, perturbation: str | None) -> Pair:
    text = json.dumps([statement, holder, target])
    identity = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Pair(statement, target, holder, id=identity, extra={"topic": topic, PERTURBATION: perturbation})


def _key(pair: Pair) -> Key:
    return _normal(pair.statement), _normal(pair.holder or ""), _normal(pair.target)


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


def _draw(*what: object) -> int:
    """Return a number below 2⁶⁴ that depends on the values alone."""
    return int.from_bytes(hashlib.sha256(json.dumps(what).encode()).digest()[:8], "big")
