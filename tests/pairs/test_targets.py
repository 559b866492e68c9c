from __future__ import annotations

from pathlib import Path

import pytest

from stancekit.errors import UserError
from stancekit.pairs.targets import Target, alias_pattern, load_targets


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_when_a_list_of_ones_own_is_given_then_it_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.yaml", "targets: [{name: toll, phrase: a toll on the bridge, aliases: [bridge toll]}]"
    )
    assert load_targets(path).targets == (Target(name="toll", phrase="a toll on the bridge", aliases=("bridge toll",)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "targets:\n- {name: a, phrase: one thing}\n- {name: b, phrase: other}\n- {name: a, phrase: third}",
            "the name 'a' stands twice, at 1 and 3",
        ),
        ("targets:\n- {name: a, phrase: one}\n- {name: b, phrase: one}", "the phrase 'one' stands twice, at 1 and 2"),
        ("targets: [{name: a}]", "targets.0.phrase: a value is needed"),
        ("targets: [{name: a, phrase: one, alias: [x]}]", "targets.0.alias: unknown key; did you mean 'aliases'?"),
        ("targets: []", "lists no target; expected at least one"),
        ("target: [{name: a, phrase: one}]", "has no 'targets'; expected targets:"),
        ("targets: [", "is not valid YAML"),
        ("targets: [{name: a, phrase: one, aliases: [' ']}]", "targets.0.aliases.0: String should match pattern"),
    ],
)
def test_when_a_list_is_wrong_then_the_error_says_where(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(UserError) as error:
        load_targets(write(tmp_path / "mine.yaml", text))
    assert expected in str(error.value) and "mine.yaml" in str(error.value)


def test_when_a_list_does_not_exist_then_the_nearest_is_named() -> None:
    with pytest.raises(UserError, match=r"targets: no list 'ukraine_2024'; did you mean 'ukraine_2025'\?"):
        load_targets("ukraine_2024")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("He wants U.S. troops there.", True),
        ("He wants u.s.\n troops there.", True),
        ("Behind Ukraine’s back, he said.", True),
        ("The BUS troops sang.", False),
        ("Sending troops", False),
        ("sending the troops", True),
    ],
)
def test_when_an_alias_is_looked_for_then_whole_words_count_in_any_case_and_apostrophe(text: str, found: bool) -> None:
    target = Target(name="t", phrase="sending the troops", aliases=("U.S. troops", "behind Ukraine's back"))
    assert (alias_pattern(target).search(text) is not None) == found
