from __future__ import annotations

from pathlib import Path

import pytest

from stancekit.paths import shipped_root, shown_path, without_home


def test_when_a_path_is_shown_then_it_does_not_say_where_somebody_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(shipped_root() / "data/seeds/pairs.jsonl") == "data/seeds/pairs.jsonl"
    assert shown_path(tmp_path / "mine" / "rows.csv") == shown_path(Path("mine/rows.csv")) == "mine/rows.csv"
    assert shown_path(tmp_path.parent / "rows.csv") == "rows.csv"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("train data.path=/home/ann/a.csv model=/home/ann", "train data.path=~/a.csv model=~"),
        ("'/home/ann/a b.csv'", "'~/a b.csv'"),
        ("/home/anna/a.csv and /home/ann-2", "/home/anna/a.csv and /home/ann-2"),
    ],
)
def test_when_a_text_names_the_home_folder_then_others_read_a_tilde(
    monkeypatch: pytest.MonkeyPatch, text: str, shown: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert without_home(text) == shown


def test_when_the_home_folder_is_the_root_of_all_then_texts_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    assert without_home("data in /data / other") == "data in /data / other"
