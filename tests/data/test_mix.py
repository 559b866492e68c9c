from __future__ import annotations

from pathlib import Path

import pytest

from stancekit.config.compose import load_config
from stancekit.config.data import DataConfig
from stancekit.config.schema import TrainConfig
from stancekit.data.dataset import load_dataset
from stancekit.data.mix import MixCount
from tests.conftest import CliRunner, labelled_rows, write_jsonl

COPIED = "the cabinet said late on Sunday that it would hand the old harbour back to the city before the year is out"


def mixed_config(data: Path, mix: str) -> DataConfig:
    config = load_config("train", ["data=file", f"data.path={data}", f"data.mix={mix}"])
    assert isinstance(config, TrainConfig)
    return config.data


@pytest.fixture
def nli_file(tmp_path: Path) -> Path:
    """200 rows in the columns of LingNLI, one of them a near-copy of a test row."""
    rows = [{"premise": f"premise {n} of many", "hypothesis": f"h{n}", "label": "neutral"} for n in range(199)]
    rows.append({"premise": COPIED.replace("year is out", "year is over"), "hypothesis": "h", "label": "entailment"})
    return write_jsonl(tmp_path / "lingnli.jsonl", rows)


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    rows = labelled_rows(120)
    next(row for row in rows if row["split"] == "test")["statement"] = COPIED
    return write_jsonl(tmp_path / "own.jsonl", rows)


def test_when_a_source_is_mixed_in_then_weight_and_cap_say_how_many_rows_it_gives(
    own_file: Path, nli_file: Path
) -> None:
    own = len(load_dataset(mixed_config(own_file, "{}")).train)
    half = load_dataset(mixed_config(own_file, f"{{lingnli: {{weight: 0.5, path: {nli_file}}}}}"))
    assert half.mixed["lingnli"].taken == round(own / 2) and len(half.train) == own + round(own / 2)
    assert {pair.column("source") for pair in half.train[own:]} == {"lingnli"}
    capped = load_dataset(mixed_config(own_file, f"{{lingnli: {{weight: 0.5, cap: 7, path: {nli_file}}}}}"))
    assert capped.mixed["lingnli"].taken == 7
    assert capped.train[own:] == half.train[own : own + 7], "the first rows stay the first when more are wanted"


def test_when_a_source_holds_a_near_copy_of_a_test_row_then_it_is_removed_and_counted(
    own_file: Path, nli_file: Path
) -> None:
    dataset = load_dataset(mixed_config(own_file, f"{{lingnli: {{weight: 9, path: {nli_file}}}}}"))
    assert dataset.mixed == {"lingnli": MixCount(taken=199, removed=1, available=200)}
    assert not any(pair.statement.startswith("the cabinet") for pair in dataset.train)


def test_when_a_mix_names_an_unknown_source_then_the_nearest_is_said(cli: CliRunner, own_file: Path) -> None:
    said = cli("train", "data=file", f"data.path={own_file}", "data.mix={lingni: {weight: 1}}", code=2)
    assert "data.mix.lingni: no such corpus; did you mean 'lingnli'? (valid: anli, cad_nli" in said
    said = cli("train", "data=file", f"data.path={own_file}", "data.mix={lingnli: {wieght: 1}}", code=2)
    assert "data.mix.lingnli.weight: a value is needed" in said and "wieght: unknown key" in said


def test_when_official_splits_overlap_then_the_training_rows_are_removed_and_counted(
    tmp_path: Path, nli_file: Path, cli: CliRunner
) -> None:
    rows = [{"premise": COPIED, "hypothesis": "h", "label": "neutral", "split": "dev"}]
    rows += [{"premise": f"p {n}", "hypothesis": "h", "label": "entailment", "split": "train"} for n in range(9)]
    rows += [{"premise": COPIED, "hypothesis": "other", "label": "contradiction", "split": "train"}]
    rows += [{"premise": "x", "hypothesis": "h", "label": "neutral", "split": "train"}]
    path = write_jsonl(tmp_path / "official.jsonl", rows)
    said = cli("train", "data=lingnli", f"data.path={path}", "model=majority", "evaluation.labels=present")
    assert "removed from train, because dev or test holds them too: 1" in said
    assert "train         10 pairs (supports 9, rules_out 0, leaves_open 1" in said


def soft_file(tmp_path: Path, **soft: object) -> Path:
    """50 rows in our own columns, the last of them with soft labels."""
    rows: list[dict[str, object]] = [
        {"statement": f"they meet {n} times", "target": "the port", "label": "supports"} for n in range(50)
    ]
    rows[-1] |= soft
    return write_jsonl(tmp_path / "pool.jsonl", rows)


GIVEN = {"p_supports": 0.7, "p_rules_out": "0.2", "p_leaves_open": 0.1, "p_no_stance": 0}


def test_when_rows_with_soft_labels_are_mixed_in_then_they_keep_these_and_nothing_else(
    own_file: Path, tmp_path: Path
) -> None:
    path = soft_file(tmp_path, id="p7", split="train", topic="x", **GIVEN)
    own = load_dataset(mixed_config(own_file, "{}")).train
    # The only row of the split: without the others, which belong to none.
    (mixed,) = load_dataset(mixed_config(own_file, f"{{file: {{weight: 1, path: {path}}}}}")).train[len(own) :]
    assert mixed.id is None and dict(mixed.extra) == {"source": "file", **GIVEN, "p_rules_out": 0.2}
    assert (mixed.statement, mixed.target, mixed.label) == ("they meet 49 times", "the port", "supports")


@pytest.mark.parametrize(
    ("soft", "expected"),
    [
        ({**GIVEN, "p_supports": 0.1}, "p_no_stance add up to 0.40, expected 1"),
        ({"p_favor": 0.5, "p_against": 0.5}, "no value in 'p_supports' (found: p_against, p_favor;"),
    ],
)
def test_when_a_source_has_broken_soft_labels_then_it_and_the_row_are_named(
    cli: CliRunner, own_file: Path, tmp_path: Path, soft: dict[str, object], expected: str
) -> None:
    path = soft_file(tmp_path, **soft)
    said = cli("train", "data=file", f"data.path={own_file}", f"data.mix={{file: {{weight: 9, path: {path}}}}}", code=2)
    assert "data.mix.file: the row of 'they meet 49 times'…: soft labels: " in said and expected in said


def test_when_the_training_rows_themselves_have_broken_soft_labels_then_nothing_is_begun(
    cli: CliRunner, tmp_path: Path
) -> None:
    rows = labelled_rows(120)
    rows[0] |= {"p_favor": 0.4, "p_against": 0.6}
    path = write_jsonl(tmp_path / "own.jsonl", rows)
    said = cli("train", "data=file", f"data.path={path}", code=2)
    assert f"data: the row of {rows[0]['statement'][:60]!r}…: soft labels: no value in 'p_supports'" in said
    assert not (tmp_path / "home").exists()
