"""The corpora of others as benchmarks: given by a path, scored as their papers do, also where only the test part is."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, f1_score

from stancekit.cli import main
from stancekit.config.compose import expand_variants, load_config
from stancekit.config.schema import TrainConfig
from stancekit.repeats.experiment import command_of, read, readme_table, stale, words_of
from tests.conftest import CliRunner, write_jsonl
from tests.repeats.conftest import Homes, use_experiments

BENCHMARKS = ("emergent", "vast", "commitmentbank")
QUICK = ("evaluation.behaviour=null", "evaluation.mistakes=0", "evaluation.draws=100", "evaluation.least_rows=1")
EMERGENT_TRAIN = "url-versions-2015-06-14-clean-train.csv"
EMERGENT_TEST = "url-versions-2015-06-14-clean-test.csv"

# What a statement with the word means to the model of these tests, and what its row is labelled: six right of nine.
WORDS = ("backs", "backs", "backs", "rejects", "rejects", "rejects", "considers", "considers", "considers")
GOLD = ("for", "for", "observing", "against", "for", "against", "observing", "against", "observing")
SAID = {"backs": "for", "rejects": "against", "considers": "observing"}


@pytest.fixture(scope="module")
def _trained(homes: Homes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose latest model has counted the words of statements whose verb is their label, of all four outcomes."""
    verbs = {"backs": "supports", "rejects": "rules_out", "considers": "leaves_open", "visits": "no_stance"}
    rows = [
        {"statement": f"she {verb} it {number}", "target": "the toll", "label": label, "split": split}
        for split, first in (("train", 0), ("dev", 50))
        for number in range(first, first + 10)
        for verb, label in verbs.items()
    ]
    path = write_jsonl(tmp_path_factory.mktemp("verbs") / "verbs.jsonl", rows)
    words = ["data=file", f"data.path={path}", "data.overlap=remove", "model=tfidf", "model.min_count=1"]
    home = homes.new()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STANCEKIT_HOME", str(home))
        assert main(["train", *words, "tracking.promote=never", *QUICK]) == 0
    return home


@pytest.fixture
def model(_trained: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STANCEKIT_HOME", str(_trained))
    return "latest"


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def emergent_rows(words: tuple[str, ...], gold: tuple[str, ...], claims: int) -> list[dict[str, Any]]:
    return [
        {
            "": number,
            "claimHeadline": f"The toll of town {number % claims} is doubled",
            "articleHeadline": f"Mayor {word} it, says paper {number}",
            "articleHeadlineStance": label,
            "articleId": f"a{number}",
            "claimId": f"c{number % claims}",
        }
        for number, (word, label) in enumerate(zip(words, gold, strict=True))
    ]


def official(gold: tuple[str, ...], words: tuple[str, ...]) -> tuple[float, float]:
    """Return macro-F1 and accuracy as scikit-learn computes them from the corpus's own labels."""
    said = [SAID[word] for word in words]
    return f1_score(gold, said, average="macro"), accuracy_score(gold, said)


def scores_in(path: Path) -> tuple[float, float]:
    scores = json.loads(path.read_text(encoding="utf-8"))["scores"]
    return scores["macro_f1"]["value"], scores["accuracy"]["value"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_when_the_path_of_a_corpus_is_not_given_then_it_is_asked_for(cli: CliRunner, name: str) -> None:
    assert "data.path: a value is needed; give data.path=…" in cli("train", f"experiment={name}", code=2)
    assert f"data.path: no file or folder '/no/{name}'" in cli(
        "train", f"experiment={name}", f"data.path=/no/{name}", code=2
    )
    assert command_of(name) == f"stancekit train experiment={name} data.path=FOLDER"


@pytest.mark.parametrize("name", BENCHMARKS)
def test_when_another_encoder_is_chosen_then_the_baselines_stay_what_they_are(name: str) -> None:
    chosen: dict[str, list[tuple[str, int]]] = {}
    for words in (words_of(name), [*words_of(name), "model=mpnet"]):
        for variant, given in expand_variants("train", words).items():
            config = load_config("train", given)
            assert isinstance(config, TrainConfig)
            assert config.data.name == name and config.threads == 1 and not config.tracking.models
            chosen.setdefault(variant, []).append((config.model.name, config.seeds))
    assert chosen["transformer"] == [("minilm", 3), ("mpnet", 3)]
    assert chosen["majority"] == [("majority", 1)] * 2 and chosen["tfidf"][0] == chosen["tfidf"][1]


def test_when_the_folder_holds_the_test_file_of_emergent_alone_then_it_is_scored_as_published(
    cli: CliRunner, model: str, tmp_path: Path
) -> None:
    write_csv(tmp_path / "emergent" / EMERGENT_TEST, emergent_rows(WORDS, GOLD, claims=3))
    words = [f"model={model}", "data=emergent", f"data.path={tmp_path / 'emergent'}", f"output={tmp_path / 'e.json'}"]
    cli("evaluate", *words, "split=test", *QUICK)
    assert scores_in(tmp_path / "e.json") == pytest.approx(official(GOLD, WORDS))
    assert scores_in(tmp_path / "e.json")[1] == pytest.approx(6 / 9)


def test_when_the_folder_holds_the_test_file_of_vast_alone_then_its_two_parts_are_scored_as_published(
    cli: CliRunner, model: str, tmp_path: Path
) -> None:
    names = {"for": "FAVOR", "against": "AGAINST", "observing": "NONE"}
    # The first four pairs are zero-shot.
    rows = [
        {"Tweet": f"Mayor {word} it {i}", "Target 1": f"toll {i}", "Stance 1": names[label], "seen?": str(int(i > 3))}
        for i, (word, label) in enumerate(zip(WORDS, GOLD, strict=True))
    ]
    (tmp_path / "vast").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "vast" / "test.parquet")
    words = [f"model={model}", "data=vast", f"data.path={tmp_path / 'vast'}", f"output={tmp_path / 'v.json'}"]
    cli("evaluate", *words, "split=test", "evaluation.slices=[seen]", *QUICK)
    assert scores_in(tmp_path / "v.json") == pytest.approx(official(GOLD, WORDS))
    found = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))["slices"]
    parts = {one["value"]: one["macro_f1"] for one in found if one["name"] == "seen"}
    # Over the labels that occur, which are all three in both parts.
    assert parts == pytest.approx({"0": official(GOLD[:4], WORDS[:4])[0], "1": official(GOLD[4:], WORDS[4:])[0]})
    cli("evaluate", *words, "data.split_column.column=seen", "data.split_column.values.1=test", *QUICK)
    assert scores_in(tmp_path / "v.json") == pytest.approx(official(GOLD[4:], WORDS[4:]))


def test_when_the_original_test_file_of_vast_is_given_then_synthetic_neutrals_can_be_left_out(
    cli: CliRunner, model: str, tmp_path: Path
) -> None:
    labels = {"for": 1, "against": 0, "observing": 2}
    types = (1, 2, 4, 3, 1, 2, 4, 3, 1)
    rows = [
        {"post": f"Mayor {word} it {i}", "new_topic": "x", "topic_str": f"toll {i}", "label": labels[label]}
        | {"type_idx": kind, "seen?": 0}
        for i, (word, label, kind) in enumerate(zip(WORDS, GOLD, types, strict=True))
    ]
    path = write_csv(tmp_path / "vast_test.csv", rows)
    words = [f"model={model}", "data=vast", f"data.path={path}", f"output={tmp_path / 'v.json'}", *QUICK]
    cli("evaluate", *words)
    assert scores_in(tmp_path / "v.json") == pytest.approx(official(GOLD, WORDS))
    cli("evaluate", *words, "data.split_column.column=type_idx", *(f"data.split_column.values.{i}=test" for i in "123"))
    written = [i for i, kind in enumerate(types) if kind != 4]
    kept = tuple(GOLD[i] for i in written), tuple(WORDS[i] for i in written)
    assert len(written) == 7 and scores_in(tmp_path / "v.json") == pytest.approx(official(*kept))


def test_when_superglues_part_of_the_commitmentbank_is_given_then_it_is_scored_as_published(
    cli: CliRunner, model: str, tmp_path: Path
) -> None:
    names = {"for": "entailment", "against": "contradiction", "observing": "neutral"}
    rows = [
        {"premise": f"Mayor {word} it {i}", "hypothesis": f"toll {i}", "label": names[label], "idx": i}
        for i, (word, label) in enumerate(zip(WORDS, GOLD, strict=True))
    ]
    path = write_jsonl(tmp_path / "val.jsonl", rows)
    words = ["data=file", f"data.path={path}", "data.columns.statement=premise", "data.columns.target=hypothesis"]
    words += ["data.columns.id=idx", *(f"data.labels.{name}={name}" for name in names.values())]
    cli("evaluate", f"model={model}", *words, f"output={tmp_path / 'c.json'}", *QUICK)
    assert scores_in(tmp_path / "c.json") == pytest.approx(official(GOLD, WORDS))


def test_when_a_benchmark_is_reported_then_it_is_found_wherever_the_corpus_lies_and_says_nowhere_where(
    cli: CliRunner, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkout" / "experiments"
    folder.mkdir(parents=True)
    (folder / "bench.yaml").write_text(
        "# @package _global_\n# How well?\n#   stancekit train experiment=bench data.path=FOLDER\n"
        "defaults: [override /data: emergent, override /model: tfidf]\n"
        "data:\n  path: ???\nevaluation: {behaviour: null, mistakes: 0, draws: 100}\n"
        "variants: {words: [], majority: [model=majority]}\ntracking: {experiment: bench, models: false}\n",
        encoding="utf-8",
    )
    use_experiments(monkeypatch, folder)
    words, gold = (part * 12 for part in (WORDS, GOLD))
    write_csv(tmp_path / "mine" / EMERGENT_TRAIN, emergent_rows(words, gold, claims=20))
    cli("train", "experiment=bench", f"data.path={tmp_path / 'mine'}")
    shutil.move(tmp_path / "mine", tmp_path / "elsewhere")
    cli("report", "experiment=bench", "learned=Little.")
    measured = read("bench")
    assert measured is not None and measured.command == "stancekit train experiment=bench data.path=FOLDER"
    assert stale(measured) == [] and set(measured.table) == {"words", "majority"}
    texts = [(folder / name).read_text(encoding="utf-8") for name in ("bench.json", "bench.md")]
    assert not any(str(tmp_path) in text for text in texts)
    # The corpus has no fourth outcome, but an accuracy; without its test part, dev is what there is.
    assert "\nAccuracy:\n" in texts[1] and "four outcomes" not in texts[1]
    assert "| | runs | dev |" in readme_table() and "dev/target_hidden/macro_f1" in texts[1]
