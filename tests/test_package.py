"""What a user installs: the wheel, the lock and the image's recipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.conftest import labelled_rows, write_jsonl

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def locked() -> dict[NormalizedName, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==") for line in lines if line and not line.startswith("#")]
    assert all(equals for _, equals, _ in pins), "every line of the lock pins one exact version"
    return {canonicalize_name(name): version for name, _, version in pins}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def test_when_the_wheel_is_built_then_it_carries_configs_data_and_experiments_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("configs", "data", "experiments", "models", "seeds"):
        here = {p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*") if p.is_file()}
        assert {f"stancekit/shipped/{name}" for name in here} <= names
    assert all(name.startswith(("stancekit/", "stancekit-")) for name in names)
    assert not [name for name in names if "tests/" in name or name.endswith((".pyc", ".db"))]


def test_when_the_wheel_is_used_in_an_empty_folder_then_it_trains_and_predicts(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site), "STANCEKIT_HOME": str(tmp_path / "home")}
    write_jsonl(empty / "rows.jsonl", labelled_rows(4))

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "stancekit", *words]
        done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert f"data: {site}" in run("train", "model=tfidf")
    assert "4 rows" in run("predict", "model=latest", "input=rows.jsonl", "output=out.csv")
    assert sorted(p.name for p in empty.iterdir()) == ["out.csv", "out.csv.manifest.json", "rows.jsonl"]


def test_when_a_requirement_is_declared_then_it_has_a_lower_bound_and_the_lock_meets_it() -> None:
    pins = locked()
    extras = PROJECT["optional-dependencies"]
    assert set(extras) == {"deberta", "dev", "export", "fast", "html", "ray", "s3"}
    for line in [*PROJECT["dependencies"], *(line for lines in extras.values() for line in lines)]:
        requirement = Requirement(line)
        assert any(spec.operator in (">=", "==") for spec in requirement.specifier), f"{line}: no lower bound"
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(pins[name]), f"{line}: the lock has {pins[name]}"
    assert pins[canonicalize_name("torch")] == "2.13.0"


@pytest.mark.skipif("CI" not in os.environ, reason="a developer may try other versions")
def test_when_ci_runs_then_what_is_installed_is_what_the_lock_says() -> None:
    pins = locked()
    # Searched for by name, as an import is: setuptools puts the copies that it brings along at the path's end.
    installed = {name: version(name) for name in {canonicalize_name(d.metadata["Name"]) for d in distributions()}}
    ours = {name: found.partition("+")[0] for name, found in installed.items() if name in pins}
    assert ours[canonicalize_name("torch")] == "2.13.0" and ours == {name: pins[name] for name in ours}


def test_when_the_image_is_built_then_every_file_that_it_copies_exists() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources), line
    assert re.search(r"^USER 10001$", text, re.MULTILINE) and 'ENTRYPOINT ["stancekit"]' in text
