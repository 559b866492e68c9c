"""The command that repeats a training, worked out from its configuration alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from hydra.core.override_parser.types import Quote, QuotedString

from stancekit.config.base import flat
from stancekit.config.compose import config_dir, groups, load_config
from stancekit.config.schema import NOT_REPEATED, TrainConfig
from stancekit.errors import UserError

_PLAIN = re.compile(r"(?!(?i:null|true|false|nan|inf)$)[A-Za-z_/][\w./-]*")
_LEFT_OPEN = "???"


def command(config: TrainConfig) -> str | None:
    """Return the command that trains this configuration: choices of groups, and what differs from them.

    Returns:
        None where no command of overrides composes to it, as with choices from a folder of the user's own.
    """
    from stancekit.tracking.logging import config_hash

    try:
        words = _words(config)
        again = load_config("train", words)
    except UserError:
        return None
    assert isinstance(again, TrainConfig)
    return shlex.join(["stancekit", "train", *words]) if config_hash(again) == config_hash(config) else None


def _words(config: TrainConfig) -> list[str]:
    usual = load_config("train", [])
    # A stage is written as its words, which bring the rest of it along.
    apart = {*NOT_REPEATED, "stages"}
    own = flat(config.model_dump(mode="json", exclude=apart))
    choices = {group: _choice(group, own, getattr(usual, group).name) for group in ("data", "model")}
    chosen = [f"{group}={name}" for group, name in choices.items() if name != getattr(usual, group).name]
    needed = [key for group, name in choices.items() for key in _left_open(group, name)]
    # A source of a mix brings the whole configuration of its corpus along.
    needed += [f"data.mix.{name}.{key}" for name in config.data.mix for key in ("weight", "cap", "path")]
    given = [*chosen, *(f"{key}={_written(own[key])}" for key in needed if own.get(key) is not None)]
    base = flat(load_config("train", given).model_dump(mode="json", exclude=apart))
    changed = [f"{key}={_written(value)}" for key, value in own.items() if value != {} and base.get(key, {}) != value]
    gone = [f"~{key}" for key, value in base.items() if value != {} and key not in own]
    stages = ",".join(f"{name}:{_written(list(stage.overrides))}" for name, stage in config.stages.items())
    return [*given, *gone, *changed, *([f"stages={{{stages}}}"] if stages else [])]


def _choice(group: str, own: Mapping[str, Any], usual: str) -> str:
    """Return the choice of a group that a configuration comes from, or the one that is most like it."""
    known = groups("train")[group]
    name = str(own[f"{group}.name"])
    # The models of the baselines are called after the one that they belong to.
    if derived := [one for one in known if name == one or name.startswith(f"{one}_")]:
        return max(derived, key=len)

    def alike(choice: str) -> int:
        return sum(
            value in (_LEFT_OPEN, own.get(key)) for key, value in _yaml(group, choice) if not key.endswith(".name")
        )

    return max([usual, *known], key=alike)


def _left_open(group: str, choice: str) -> list[str]:
    return [key for key, value in _yaml(group, choice) if value == _LEFT_OPEN]


def _yaml(group: str, choice: str) -> Iterator[tuple[str, Any]]:
    """Yield what stands in the YAML of a choice itself, by dotted key."""
    values = yaml.safe_load((config_dir() / group / f"{choice}.yaml").read_text(encoding="utf-8"))
    yield from flat({key: value for key, value in values.items() if key != "defaults"}, f"{group}.").items()


def _written(value: Any) -> str:
    """Return a value such that Hydra's grammar reads it as itself."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(_written(one) for one in value) + "]"
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return str(QuotedString(value, Quote.single).with_quotes())
    return str(value)
