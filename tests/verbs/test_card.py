from __future__ import annotations

from pathlib import Path

import pytest

from stancekit.cards.render import stale
from tests.cards.conftest import NAME, ship, use_checkout
from tests.conftest import CliRunner


@pytest.fixture
def checkout(trained: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that ships one model, which was never evaluated."""
    ship(trained, tmp_path / "models")
    use_checkout(monkeypatch, tmp_path)
    return tmp_path


def test_when_the_card_is_written_then_it_is_not_stale_and_what_is_missing_is_said(
    cli: CliRunner, checkout: Path
) -> None:
    output = checkout / "new" / "MODEL.md"
    said = cli("card", f"models=[{NAME}]", f"output={output}").splitlines()
    assert said[-1] == f"written: {output}" and not stale(output, [NAME])
    assert said[0] == (
        f"not measured: {NAME} on dev: stancekit evaluate model={NAME} data=stancebank split=dev "
        f"output=models/results/{NAME}/dev.json"
    )
    assert len(said) == 7, "four parts, cost, spread, and the file"


def test_when_a_model_does_not_ship_then_nothing_is_written_and_the_nearest_is_named(
    cli: CliRunner, checkout: Path
) -> None:
    said = cli("card", f"models=[{NAME},tinny]", f"output={checkout / 'MODEL.md'}", code=2)
    assert f"models: 'tinny' does not ship; did you mean '{NAME}'? (what ships: {NAME})" in said
    assert not (checkout / "MODEL.md").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["models=[]"], "models: "),
        (["output=models"], "output: 'models' is a folder; expected a file name"),
        (["ouput=x.md"], "ouput: unknown key; did you mean 'output'?"),
    ],
)
def test_when_something_is_wrong_then_the_message_says_what(
    cli: CliRunner, checkout: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: str
) -> None:
    monkeypatch.chdir(checkout)
    given = words if words[0].startswith("models") else [f"models=[{NAME}]", *words]
    assert expected in cli("card", *given, code=2)
