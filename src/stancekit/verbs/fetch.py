"""``stancekit fetch``: bring the encoder that a shipped model needs into the cache."""

from __future__ import annotations

import json
import time
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from stancekit.config.compose import config_dir
from stancekit.config.schema import EncoderConfig, FetchConfig, FetchedEncoder
from stancekit.encoders.fetch import fetch
from stancekit.encoders.fetched import find_fetched
from stancekit.encoders.locate import locate
from stancekit.encoders.progress import bytes_in
from stancekit.errors import UserError, nearest
from stancekit.models.saved import MANIFEST
from stancekit.models.shipped import DEFAULT, SIZES, shipped_models


def run(config: FetchConfig) -> None:
    """Fetch the encoder unless it is there, and print where it is.

    Raises:
        UserError: no such model ships, or its encoder cannot be had.
    """
    encoder = _encoder_of(config.model)
    if not isinstance(encoder, FetchedEncoder):
        print(f"{config.model} needs no fetch: its encoder {encoder.name} is in {locate(encoder).location}")
        return
    if folder := find_fetched(encoder, refuse_wrong=False):
        print(f"{encoder.name} is there already ({_megabytes(folder)}): {folder}")
        return
    begun = time.monotonic()
    folder = fetch(encoder, config.source)
    print(f"{encoder.name} fetched in {time.monotonic() - begun:.0f} s ({_megabytes(folder)}): {folder}")


def _encoder_of(name: str) -> EncoderConfig:
    """Return the encoder of a shipped model, or of that name under ``configs/encoder``."""
    models = {name: folder / MANIFEST for name, folder in shipped_models().items()}
    encoders = {path.stem: path for path in (config_dir() / "encoder").glob("*.yaml")}
    path = models.get(SIZES[0] if name == DEFAULT else name) or encoders.get(name)
    if path is None:
        known = [*models, *encoders]
        raise UserError(
            f"model={name}: no such model ships{nearest(name, [*known, DEFAULT])}\n  expected: {', '.join(known)}"
        )
    text = path.read_text(encoding="utf-8")
    try:
        values = json.loads(text)["model"]["encoder"] if path.name == MANIFEST else yaml.safe_load(text)
        encoder: EncoderConfig = TypeAdapter(EncoderConfig).validate_python(values)
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"model={name}: '{path}' names no encoder; expected one as in configs/encoder") from error
    return encoder


def _megabytes(folder: Path) -> str:
    return f"{bytes_in(folder) / 1e6:.0f} MB"
