"""What a prediction follows from: with the same identity, the same output, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from stancekit import __version__
from stancekit.config.base import flat

_BESIDE = (
    *("model", "input"),  # what these hold counts, not what they are called
    *("output", "overwrite", "progress", "tracking"),
)
"""The keys of the configuration, with all below them, that change nothing in the output. Every other one counts, those
that are there for speed too: what is scored together, and by how many threads, can change the last digits."""

_STANDARD_INPUT = "standard input"


def identity_of(
    model: Mapping[str, str],
    engine: Mapping[str, str | int],
    config: Mapping[str, JsonValue],
    sources: Sequence[Mapping[str, JsonValue]],
) -> dict[str, JsonValue]:
    """Return all that the output of a prediction follows from, as JSON values.

    Args:
        model: its ``name`` and the ``sha256`` that stands for it.
        engine: the engine that was picked, with versions and whatever else decides how it computes.
        config: the resolved configuration of the verb.
        sources: the fingerprint of every file that is read, in order.
    """
    return {
        "stancekit": __version__,
        "model": dict(model),
        "engine": dict(engine),
        "config": {key: value for key, value in flat(config).items() if _counts(key)},
        "input": [dict(source) for source in sources],
    }


def _counts(key: str) -> bool:
    return not any(key == beside or key.startswith(f"{beside}.") for beside in _BESIDE)


def differences(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> list[str]:
    """Return a line for people about everything in which two identities differ; none where they are the same."""
    lines = []
    if old.get("model") != new.get("model"):
        lines.append(f"model: was {_model(old.get('model'))}, is now {_model(new.get('model'))}")
    was, now = ({k: v for k, v in flat(one).items() if k.split(".")[0] not in ("model", "input")} for one in (old, new))
    for key in dict.fromkeys([*was, *now]):
        before, after = (json.dumps(one[key], ensure_ascii=False) if key in one else "not set" for one in (was, now))
        if before != after:
            lines.append(f"{key.removeprefix('config.')}: was {before}, is now {after}")
    lines += _of_inputs(_by_name(old.get("input")), _by_name(new.get("input")))
    # The engine that was asked for and the one that was picked may both have changed from one to the other.
    return list(dict.fromkeys(lines))


def _model(model: JsonValue) -> str:
    """Return the name of a model, which others may have too, and the beginning of its hash."""
    if not isinstance(model, dict):
        return json.dumps(model)
    return f"{model.get('name')} (sha256 {str(model.get('sha256'))[:12]}…)"


def _by_name(sources: JsonValue) -> dict[str, JsonValue]:
    """Return the fingerprints by name; of several files of one name, the second is called ``name (2)``, and so on."""
    found: dict[str, JsonValue] = {}
    names: list[str] = []
    for source in sources if isinstance(sources, list) else []:
        name = str(source.get("name", _STANDARD_INPUT)) if isinstance(source, dict) else str(source)
        names.append(name)
        twins = names.count(name)
        found[name if twins == 1 else f"{name} ({twins})"] = source
    return found


def _of_inputs(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> list[str]:
    lines = [f"input {name}: is no longer there" for name in old if name not in new]
    lines += [f"input {name}: is new" for name in new if name not in old]
    lines += [
        f"input {name}: contents changed{_sizes(old[name], new[name])}"
        for name in old
        if old[name] != new.get(name, old[name])
    ]
    if not lines and list(old) != list(new):
        lines.append("input: the same files in another order")
    return lines


def _sizes(old: JsonValue, new: JsonValue) -> str:
    sizes = [one.get("size") if isinstance(one, dict) else None for one in (old, new)]
    if not all(isinstance(size, int) for size in sizes) or sizes[0] == sizes[1]:
        return ""
    return f": was {sizes[0]:,} bytes, is now {sizes[1]:,}"
