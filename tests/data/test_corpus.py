"""Public corpora: each YAML reads files of its corpus's shape, and the real ones where they lie beside the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stancekit.config.compose import load_config
from stancekit.config.data import CorpusConfig, DataConfig, HubSource
from stancekit.config.schema import EvaluateConfig
from stancekit.data.corpus import read_corpus
from stancekit.data.dataset import label_counts, split_rows
from stancekit.errors import UserError
from stancekit.paths import shipped_root
from tests.conftest import CliRunner, write_jsonl

SHARED = shipped_root().parent / "shared" / "data"

Counts = tuple[int, int, int]

# Supports, rules_out, leaves_open, counted from the files and equal to what their papers or repositories state.
REAL: dict[str, tuple[str, dict[str, Counts], int]] = {
    "cad_nli": ("cad_nli", {"train": (2770, 2782, 2778), "dev": (326, 349, 325)}, 0),
    "commitmentbank": ("commitmentbank", {"train": (253, 256, 259), "dev": (50, 59, 76), "test": (87, 71, 89)}, 0),
    "emergent": ("emergent", {"train": (934, 270, 694), "dev": (58, 34, 81)}, 0),
    "gwsd": ("gwsd", {"train": (578, 309, 657), "dev": (123, 52, 131)}, 250),
    "lingnli": ("lingnli", {"train": (14995, 14993, 14995), "dev": (2560, 2368, 2443)}, 0),
    "meantime": ("meantime", {"train": (921, 19, 72), "dev": (179, 5, 11)}, 0),
    "megaveridicality": ("megaveridicality", {"train": (878, 148, 2124), "dev": (104, 15, 275)}, 0),
    "mnli": ("mnli_dev", {"dev": (6998, 6532, 6117)}, 0),
    "snli": ("snli_dev", {"dev": (3325, 3275, 3231)}, 0),
    "uw_factuality": ("uw_factuality", {"train": (7860, 237, 1325), "dev": (2713, 97, 548)}, 0),
    "vast": ("vast", {"train": (5327, 5595, 2555), "dev": (681, 684, 697)}, 0),
}

# One row in the shape of each corpus, its file, and (statement, target, holder, label, split) as they must come out.
SHAPES: dict[str, tuple[str, dict[str, Any], tuple[str, str, str | None, str, str | None]]] = {
    "mnli": (
        "data/train-00000-of-00001.parquet",
        {"premise": "p", "hypothesis": "h", "label": 2, "genre": "fiction"},
        ("p", "h", None, "rules_out", "train"),
    ),
    "snli": (
        "plain_text/test-00000-of-00001.parquet",
        {"premise": "p", "hypothesis": "h", "label": 1},
        ("p", "h", None, "leaves_open", "test"),
    ),
    "anli": (
        "R2/dev.jsonl",
        {"context": "p", "hypothesis": "h", "label": "e", "reason": ""},
        ("p", "h", None, "supports", "dev"),
    ),
    "wanli": (
        "train.jsonl",
        {"id": 1, "premise": "p", "hypothesis": "h", "gold": "contradiction", "pairID": "9n"},
        ("p", "h", None, "rules_out", "train"),
    ),
    "vitaminc": (
        "dev.jsonl",
        {"unique_id": "a_1", "case_id": "a", "claim": "c", "evidence": "e", "label": "NOT ENOUGH INFO"},
        ("e", "c", None, "leaves_open", "dev"),
    ),
    "semeval2016_task6": (
        "train.tsv",
        {"ID": "1", "Target": "Atheism", "Tweet": 'he said "no', "Stance": "AGAINST"},
        ('he said "no', "Atheism", None, "rules_out", "train"),
    ),
    "tweeteval_stance": (
        "stance_hillary/test-00000-of-00001.parquet",
        {"text": "t", "label": 2},
        ("t", "electing Hillary Clinton", None, "supports", "test"),
    ),
    "pstance": (
        "raw_val_biden.csv",
        {"Tweet": "t", "Target": "Joe Biden", "Stance": "FAVOR"},
        ("t", "electing Joe Biden", None, "supports", "dev"),
    ),
    "wtwt": (
        "wtwt.jsonl",
        {"tweet_id": "1", "text": "t", "merger": "CVS_AET", "stance": "refute"},
        ("t", "CVS Health taking over Aetna", None, "rules_out", "train"),
    ),
    "fomc": (
        "test.csv",
        {"sentence": "s", "year": "2001", "label": "1"},
        ("s", "tightening monetary policy", "the Federal Reserve", "supports", "test"),
    ),
    "manifesto": (
        "manifesto.csv",
        {"text": "t", "cmp_code": "407", "party": "11110"},
        ("t", "protecting the home market", "11110", "rules_out", None),
    ),
}


def corpus_config(name: str, path: Path | str) -> DataConfig:
    config = load_config("evaluate", [f"data={name}", f"data.path={path}"])
    assert isinstance(config, EvaluateConfig)
    return config.data


def write(path: Path, row: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    elif path.suffix == ".jsonl":
        write_jsonl(path, [row])
    else:
        sign = "\t" if path.suffix == ".tsv" else ","
        path.write_text(f"{sign.join(row)}\n{sign.join(map(str, row.values()))}\n", encoding="utf-8")


def files_of_one_split(name: str, file: str) -> list[str]:
    """Return the files that stand beside ``file`` in its split, itself last."""
    config = corpus_config(name, "x")
    layouts = [config.files, config.hub.files if config.hub else {}]
    split = next(names for layout in layouts for names in layout.values() if file in names)
    return [*(other for other in split if other != file), file]


def test_when_a_public_corpus_ships_a_yaml_then_it_is_read_here_and_says_where_it_comes_from() -> None:
    own = {"stancebank", "stancebank_pool", "seeds", "file"}
    found = {path.stem for path in (shipped_root() / "configs/data").glob("*.yaml")} - own
    assert found == set(REAL) | set(SHAPES) and len(found) >= 18
    for name in found:
        about = corpus_config(name, "x").about
        hub = corpus_config(name, "x").hub
        assert hub is None or hub.revision, "a corpus on the hub is pinned"
        assert about is not None and about.traps and about.licence and about.citation and about.metric


@pytest.mark.parametrize(("name", "folder", "splits", "left_out"), [(n, *v) for n, v in REAL.items()])
def test_when_a_real_corpus_is_read_then_its_labels_are_counted_right(
    name: str, folder: str, splits: dict[str, Counts], left_out: int
) -> None:
    if not (SHARED / folder).is_dir():
        pytest.skip(f"no {SHARED / folder}: the corpus is not committed, only its configuration is")
    config = corpus_config(name, SHARED / folder)
    corpus = read_corpus(config)
    parts = split_rows(corpus.pairs, config.split, corpus.path)
    counted = {split: tuple(label_counts(pairs).values())[:3] for split, pairs in parts.items() if pairs}
    assert counted == splits and sum(corpus.left_out.values()) == left_out


@pytest.mark.parametrize(("name", "file", "row", "expected"), [(n, *v) for n, v in SHAPES.items()])
def test_when_a_file_has_the_shape_of_a_corpus_then_its_row_comes_out_as_a_pair(
    tmp_path: Path,
    name: str,
    file: str,
    row: dict[str, Any],
    expected: tuple[str, str, str | None, str, str | None],
) -> None:
    for wanted in files_of_one_split(name, file):
        write(tmp_path / "corpus" / wanted, row)
    config = corpus_config(name, tmp_path / "corpus")
    pair = read_corpus(config).pairs[-1]
    assert sum(map(len, split_rows([pair], config.split, tmp_path).values())) == 1
    assert (pair.statement, pair.target, pair.holder, pair.label, pair.column("split")) == expected


def test_when_a_row_has_no_majority_or_a_code_of_no_target_then_it_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"premise": "p", "hypothesis": "h", "label": label} for label in ("-", "neutral", "-")]
    corpus = read_corpus(corpus_config("snli", write_jsonl(tmp_path / "snli.jsonl", rows)))
    assert len(corpus.pairs) == 1 and corpus.left_out == {"without an outcome": 2}
    codes = [{"text": "t", "cmp_code": code, "party": "1"} for code in ("104", "000", "606")]
    corpus = read_corpus(corpus_config("manifesto", write_jsonl(tmp_path / "manifesto.jsonl", codes)))
    assert len(corpus.pairs) == 1 and corpus.left_out == {"with another cmp_code": 2}


def test_when_graded_labels_lie_on_a_bound_then_they_count_as_beyond_it(tmp_path: Path) -> None:
    rows = [{"uID": str(n), "Context": "c.", "Target": "t.", "Prompt": "p", "Mean": m} for n, m in enumerate([1, 0.99])]
    rows.append({"uID": "x", "Context": "c.", "Target": "t.", "Prompt": "p", "Mean": -1.0})
    pairs = read_corpus(corpus_config("commitmentbank", write_jsonl(tmp_path / "cb.jsonl", rows))).pairs
    assert [pair.label for pair in pairs] == ["supports", "leaves_open", "rules_out"]
    assert pairs[0].statement == "c. t."


@pytest.mark.parametrize(("mean", "label"), [("nan", None), ("", None), ("inf", "refused")])
def test_when_a_grade_is_no_number_then_it_is_no_label(tmp_path: Path, mean: str, label: str | None) -> None:
    rows = f"uID,Context,Target,Prompt,Mean\n1,c.,t.,p,2\n2,c.,t.,p,{mean}\n"
    (tmp_path / "cb.csv").write_text(rows)
    config = corpus_config("commitmentbank", tmp_path / "cb.csv")
    if label == "refused":
        with pytest.raises(UserError, match=r"row 2: expected a number in the column 'Mean', found 'inf'"):
            read_corpus(config)
    else:
        corpus = read_corpus(config)
        assert len(corpus.pairs) == 1 and corpus.left_out == {"without an outcome": 1}


def test_when_a_part_of_a_split_is_missing_then_it_is_named(tmp_path: Path) -> None:
    for name in ("bernie", "biden"):
        (tmp_path / f"raw_train_{name}.csv").write_text("Tweet,Target,Stance\nt,x,FAVOR\n")
    with pytest.raises(UserError, match=r"holds a part of pstance only; missing: raw_train_trump\.csv"):
        read_corpus(corpus_config("pstance", tmp_path))


def test_when_a_sentence_has_several_events_then_each_is_a_pair(tmp_path: Path) -> None:
    row = {"text": "s", "targets": [{"span_text": "left", "label": 3.0}, {"span_text": "stay", "label": -2}], "idx": 0}
    pairs = read_corpus(corpus_config("uw_factuality", write_jsonl(tmp_path / "train.jsonl", [row]))).pairs
    assert [(pair.target, pair.label) for pair in pairs] == [("left", "supports"), ("stay", "rules_out")]
    bad = write_jsonl(tmp_path / "bad.jsonl", [{"text": "s", "targets": "left"}])
    with pytest.raises(UserError, match=r"bad.jsonl, row 1: expected a list of objects in the column 'targets'"):
        read_corpus(corpus_config("uw_factuality", bad))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [{"premise": "p", "hypothesis": "h", "label": "netural"}],
            "row 1: unknown label 'netural'; did you mean 'neu",
        ),
        ([{"premise": "p", "hypothesi": "h", "label": "neutral"}], r"no column 'hypothesis'; did you mean 'hypothesi'"),
        ([{"premise": "p", "hypothesis": "h", "label": "-"}], r"no labelled rows \(1 without an outcome\)"),
    ],
)
def test_when_a_corpus_has_another_shape_then_the_row_is_named(
    tmp_path: Path, rows: list[dict[str, Any]], expected: str
) -> None:
    with pytest.raises(UserError, match=expected):
        read_corpus(corpus_config("snli", write_jsonl(tmp_path / "dev.jsonl", rows)))


def test_when_an_id_stands_twice_then_both_rows_are_named(tmp_path: Path) -> None:
    row = {"id": "a1", "statement": "s", "target": "t", "label": "supports"}
    path = write_jsonl(tmp_path / "rows.jsonl", [row, {**row, "id": "a2"}, {**row, "statement": "other"}])
    with pytest.raises(UserError, match=r"row 3: the id 'a1' stands in .*rows.jsonl, row 1 too"):
        read_corpus(corpus_config("file", path))


def test_when_the_folder_holds_other_files_then_those_wanted_and_those_found_are_told(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a\nb\n")
    with pytest.raises(
        UserError, match=r"none of the files of lingnli: train.parquet, val.parquet\n  found: train.csv"
    ):
        read_corpus(corpus_config("lingnli", tmp_path))


def test_when_the_hub_cannot_be_reached_then_the_way_around_is_told(cli: CliRunner) -> None:
    said = cli("evaluate", "data=anli", code=2)
    assert "cannot be had from the hub" in said and "give data.path=FOLDER" in said
    assert "hf download facebook/anli --repo-type dataset --revision 8e4813d81f46d313dac7892e1c28076917cfcdf9" in said


def test_when_the_hub_has_the_file_at_hand_then_it_is_read_from_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "datasets--someone--rows" / "snapshots" / revision
    write(snapshot / "train.jsonl", {"statement": "s", "target": "t", "label": "supports"})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    hub = HubSource(id="someone/rows", revision=revision, files={"train": ("train.jsonl",)})
    [pair] = read_corpus(CorpusConfig(name="rows", hub=hub)).pairs
    assert pair.statement == "s" and pair.column("split") == "train"


def test_when_no_commit_is_pinned_then_the_hub_is_not_asked() -> None:
    with pytest.raises(UserError, match=r"data.hub.revision: pin someone/rows to a commit of 40 hexadecimal digits"):
        read_corpus(CorpusConfig(name="rows", hub=HubSource(id="someone/rows", revision=None)))
