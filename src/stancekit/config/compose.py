"""Hydra composes, pydantic validates: from the words on the command line to a frozen, checked configuration.

Names are checked against the schema before Hydra sees them and values after it has composed, so that one message can
list every mistake. Nothing here imports torch.
"""

from __future__ import annotations

import itertools
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from stancekit.config.base import Schema
from stancekit.config.data import CorpusConfig
from stancekit.config.schema import VERB_SCHEMAS
from stancekit.errors import UserError, nearest
from stancekit.paths import shipped_root

EXPERIMENT = "experiment"

_OF_A_STAGE = ("data", "model", "training")
"""What a stage has of its own: groups and keys alike."""


def config_dir() -> Path:
    """Return the absolute folder of the Hydra configuration."""
    return (shipped_root() / "configs").resolve()


def experiments_dir() -> Path:
    """Return the absolute folder of the experiments, one YAML each."""
    return (shipped_root() / "experiments").resolve()


def groups(verb: str, own: Path | None = None) -> dict[str, list[str]]:
    """Return the config groups that ``verb`` is composed of, each with the names that can be chosen.

    Args:
        own: a further folder in the layout of ``configs/``, with a user's own choices.
    """
    found: dict[str, list[str]] = {}
    # The primary config is read as plain YAML: composing it just to list its groups would be slow and can fail.
    for entry in yaml.safe_load((config_dir() / f"{verb}.yaml").read_text(encoding="utf-8")).get("defaults", []):
        if isinstance(entry, dict):
            group = next(iter(entry))
            folders = [experiments_dir() if group == EXPERIMENT else config_dir() / group]
            folders += [own / group] if own else []
            names = {path.stem for folder in folders for path in folder.glob("*.yaml")}
            found[group] = sorted(name for name in names if not name.startswith("_"))
    return found


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the plain types that an annotation is made of: through Annotated, Optional and unions."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _members(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _members(part)
    else:
        yield annotation


def known_keys(schema: type[BaseModel], prefix: str = "") -> dict[str, set[Any]]:
    """Return every dotted key that ``schema`` allows, with the types that it takes; ``*`` stands for any name."""
    keys: dict[str, set[Any]] = {}
    for name, field in schema.model_fields.items():
        members = set(_members(field.annotation))
        keys.setdefault(prefix + name, set()).update(members)
        for member in members:
            if isinstance(member, type) and issubclass(member, BaseModel):
                for key, types_ in known_keys(member, f"{prefix}{name}.").items():
                    keys.setdefault(key, set()).update(types_)
            elif typing.get_origin(member) is dict:
                value = typing.get_args(member)[1]
                keys.setdefault(f"{prefix}{name}.*", set()).update(_members(value))
                if isinstance(value, type) and issubclass(value, BaseModel):
                    keys.update(known_keys(value, f"{prefix}{name}.*."))
    return keys


def _known(key: str, keys: dict[str, set[Any]]) -> str:
    """Return the known key that ``key`` is an instance of, with ``*`` for a free name, or ``key`` itself."""
    parts = key.split(".")
    for i in range(len(parts)):
        general = ".".join([*parts[:i], "*", *parts[i + 1 :]])
        if key not in keys and general in keys:
            return general
    return key


def _key_types(key: str, keys: dict[str, set[Any]]) -> set[Any] | None:
    return keys.get(_known(key, keys))


def _quoted(words: str, keys: dict[str, set[Any]], multirun: bool) -> str:
    """Quote a value that is plain text, so that paths and names need not follow Hydra's grammar."""
    key, equals, value = words.partition("=")
    if key.lstrip("+") in ("stages", "variants"):
        return f"{key}={_words_quoted(value)}"
    types_ = _key_types(key.lstrip("+"), keys) or set()
    plain = value and value != "null" and value[0] not in "'\"[{" and "${" not in value
    if not equals or str not in types_ or not plain or (multirun and "," in value):
        return words
    return f"{key}={_in_quotes(value)}"


def _in_quotes(text: str) -> str:
    return QuotedString(text, Quote.single).with_quotes()


def _words_quoted(value: str) -> str:
    """Quote the words in a value such as ``{name: [key=value]}``: Hydra's grammar knows no ``=`` within a list."""
    try:
        named = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    if not isinstance(named, dict) or not all(
        isinstance(words, list) and all(isinstance(word, str) for word in words) for words in named.values()
    ):
        return value
    quoted = (f"{name}:[{','.join(map(_in_quotes, words))}]" for name, words in named.items())
    return "{" + ",".join(quoted) + "}"


def _parse(verb: str, words: list[str], own: Path | None, multirun: bool = False) -> tuple[list[Override], list[str]]:
    """Return the overrides whose names the schema and the config groups know, and what is wrong with the others."""
    keys = known_keys(VERB_SCHEMAS[verb])
    choices = groups(verb, own)
    parser = OverridesParser.create()
    parsed: list[Override] = []
    problems: list[str] = []
    for word in words:
        if "=" not in word and not word.startswith("~"):
            close = nearest(word, [*keys, *choices])
            problems.append(f"'{word}': expected key=value{close}")
            continue
        try:
            override = parser.parse_override(_quoted(word, keys, multirun))
        except HydraException as error:
            problems.append(f"'{word}': not understood ({str(error).splitlines()[0]}); quote values with special signs")
            continue
        if wrong := _wrong_name(override, keys, choices):
            problems.extend(wrong)
        elif override.is_sweep_override() and not multirun:
            problems.append(f"{word}: several values need --multirun (-m)")
        else:
            parsed.append(override)
    return parsed, problems


def _wrong_name(override: Override, keys: dict[str, set[Any]], choices: dict[str, list[str]]) -> list[str]:
    name = override.key_or_group
    if name not in choices:
        return [] if _key_types(name, keys) else [f"{name}: unknown key{nearest(name, [*keys, *choices])}"]
    wanted = override.sweep_iterator() if override.is_sweep_override() else [override.value()]
    return [
        f"{name}={choice}: no such choice{nearest(str(choice), choices[name])} (valid: {', '.join(choices[name])})"
        for choice in wanted
        if choice is not None and str(choice) not in choices[name]
    ]


def expand_multirun(verb: str, words: list[str], own: Path | None = None) -> dict[str, list[str]]:
    """Return the override words of every job, the product of every ``key=a,b,c``, by what sets the job apart."""
    parsed, problems = _parse(verb, words, own, multirun=True)
    if problems:
        raise _refused(verb, problems)
    axes = []
    for override in parsed:
        if override.is_sweep_override():
            key = override.get_key_element()
            axes.append([(f"{key}={value}", True) for value in override.sweep_string_iterator()])
        else:
            axes.append([(str(override.input_line), False)])
    jobs = {}
    for job in itertools.product(*axes):
        apart = " ".join(word for word, varies in job if varies)
        jobs[apart] = [word for word, _ in job]
    return jobs


def expand_variants(verb: str, words: list[str], own: Path | None = None) -> dict[str, list[str]]:
    """Return the override words of every variant that the configuration names, or of the one job under no name."""
    if "variants" not in VERB_SCHEMAS[verb].model_fields:
        return {"": words}
    variants = getattr(load_config(verb, words, own), "variants", {})
    # A resumed run brings the variants that it was begun with.
    return {name: [*words, *further] for name, further in variants.items()} or {"": words}


def _refused(verb: str, problems: list[str]) -> UserError:
    listed = "\n".join(f"  - {problem}" for problem in dict.fromkeys(problems))
    return UserError(f"the configuration of `stancekit {verb}` is not valid:\n{listed}")


def _register_experiments() -> None:
    store = ConfigStore.instance()
    for path in sorted(experiments_dir().glob("*.yaml")):
        store.store(
            group=EXPERIMENT, name=path.stem, node=OmegaConf.load(path), package="_global_", provider="experiments"
        )


def _compose(verb: str, overrides: list[Override], own: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Return the composed values, and what is wrong with the names in them."""
    for_hydra, after = [], []
    chosen_from = groups(verb, own)
    if own:
        for_hydra.append(f"hydra.searchpath=['file://{own}']")
    for override in overrides:
        key = override.key_or_group
        if key in chosen_from or override.is_delete():
            for_hydra.append(str(override.input_line))
        elif key == EXPERIMENT or (config_dir() / key).is_dir():
            # Hydra would take `predict model=FOLDER` for a choice from the group that only `train` uses.
            after.append(override)
        else:
            # Forced, so that a key which this choice of groups lacks is refused by the schema, in our words.
            for_hydra.append("++" + str(override.input_line).lstrip("+"))
    _register_experiments()
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(config_dir()), version_base="1.3"):
        composed = compose(config_name=verb, overrides=for_hydra)
    for override in after:
        OmegaConf.update(composed, override.key_or_group, override.value())
    missing = OmegaConf.missing_keys(composed)
    for key in missing:
        OmegaConf.update(composed, key, None)
    values: Any = OmegaConf.to_container(composed, resolve=True)
    for key in missing:
        *parents, last = key.split(".")
        holder: Any = values
        for parent in parents:
            holder = holder[parent]
        # The schema may have a default for it, which is not meant where the YAML asks for a value.
        del holder[last]
    problems = [f"{key}: a value is needed; give {key}=…" for key in missing]
    if isinstance(values.get("data"), dict):
        problems += _with_corpora(values["data"].get("mix") or {}, own)
    if isinstance(values.get("stages"), dict):
        problems += _with_stages(verb, values["stages"], overrides, own)
    return values, problems


def _with_stages(verb: str, stages: dict[str, Any], overrides: list[Override], own: Path | None) -> list[str]:
    """Put what its words come to into every stage, beside the words; return what is wrong with them.

    So a recorded configuration says all of a stage, too.
    """
    problems = []
    for name, words in stages.items():
        if not isinstance(words, list):
            continue
        parsed, wrong = _parse(verb, [str(word) for word in words], own)
        wrong += [
            f"{override.input_line}: a stage has {', '.join(_OF_A_STAGE)} of its own; all else is that of the whole"
            for override in parsed
            if override.key_or_group.partition(".")[0] not in _OF_A_STAGE
        ]
        kept = [
            override for override in overrides if override.key_or_group.partition(".")[0] not in ("stages", "variants")
        ]
        without = OverridesParser.create().parse_overrides(["~stages", "~variants"])
        values, also = _compose(verb, [*kept, *parsed, *without], own)
        problems += [f"stages.{name}: {problem}" for problem in (*wrong, *also)]
        stages[name] = {"overrides": words} | {key: values.get(key) for key in _OF_A_STAGE}
    return problems


def _with_corpora(mix: Any, own: Path | None) -> list[str]:
    """Put the configuration of its corpus into every source of a mix; return what is wrong with the names.

    So a recorded configuration says all, and does not change with a YAML that it once named.
    """
    folders = [folder / "data" for folder in (own, config_dir()) if folder]
    names = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    problems = []
    for name, source in mix.items() if isinstance(mix, dict) else ():
        if isinstance(source, dict) and source.get("corpus") is not None:
            continue
        if name not in names:
            problems.append(f"data.mix.{name}: no such corpus{nearest(name, names)} (valid: {', '.join(names)})")
        elif isinstance(source, dict):
            file = next(path for folder in folders if (path := folder / f"{name}.yaml").is_file())
            corpus = yaml.safe_load(file.read_text(encoding="utf-8"))
            # What belongs to a corpus when it is trained on by itself.
            kept = {key: value for key, value in corpus.items() if key in CorpusConfig.model_fields}
            source["corpus"] = kept | ({"path": source["path"]} if source.get("path") else {})
            if source["corpus"].get("path") == "???":
                problems.append(f"data.mix.{name}.path: a value is needed; give data.mix.{name}.path=…")
    return problems


def load_config(verb: str, words: list[str], own: Path | None = None) -> Schema:
    """Compose the configuration of ``verb`` with the overrides and validate it.

    Args:
        own: a further folder in the layout of ``configs/``, with a user's own choices.

    Returns:
        The frozen configuration, an instance of ``VERB_SCHEMAS[verb]``.

    Raises:
        UserError: lists every unknown name, missing value and value of the wrong kind.
    """
    if own is not None:
        own = own.expanduser().resolve()
        if not own.is_dir():
            raise UserError(f"--config-dir: no folder '{own}'; expected one in the layout of {config_dir()}")
    parsed, problems = _parse(verb, words, own)
    try:
        values, wrong = _compose(verb, parsed, own)
    except (HydraException, OmegaConfBaseException) as error:
        raise _refused(verb, [*problems, " ".join(str(error).split())]) from error
    return validate(verb, values, [*problems, *wrong])


def validate(verb: str, values: dict[str, Any], problems: Sequence[str] = ()) -> Schema:
    """Check composed values against the schema of ``verb``; ``problems`` are those already found.

    Raises:
        UserError: lists every mistake with its key, what was expected and what was found.
    """
    schema = VERB_SCHEMAS[verb]
    try:
        config = schema.model_validate(values)
    except ValidationError as error:
        keys = known_keys(schema)
        raise _refused(verb, [*problems, *(_said(e, keys) for e in error.errors())]) from error
    if problems:
        raise _refused(verb, list(problems))
    return config


def _said(error: Any, keys: dict[str, set[Any]]) -> str:
    if error["type"] == "value_error" and not error["loc"]:
        return str(error["ctx"]["error"])
    # Pydantic puts the tag of a union member into the location; users never wrote it.
    *parents, last = (str(part) for part in error["loc"])
    key = ""
    for parent in parents:
        longer = f"{key}.{parent}".lstrip(".")
        key = longer if _known(longer, keys) in keys else key
    key = f"{key}.{last}".lstrip(".")
    if error["type"] == "missing":
        return f"{key}: a value is needed; give {key}=…"
    if error["type"] == "extra_forbidden":
        elsewhere = f"{key}: not a key of the chosen {key.rpartition('.')[0]}"
        return elsewhere if _known(key, keys) in keys else f"{key}: unknown key{nearest(key, keys)}"
    found = repr(error["input"])
    return f"{key}: {error['msg']}, found {found if len(found) < 80 else found[:77] + '…'}"
