"""Tiny real parts: a transformer of 32 dimensions with a real tokenizer, small labelled files, a store of its own."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from stancekit.cli import main

# Before huggingface_hub is imported, which reads it once: a test that names a hub model must not look for the network.
os.environ["HF_HUB_OFFLINE"] = "1"

CliRunner = Callable[..., str]

_TARGETS = ("closing the port", "raising the tax", "sending the troops", "opening the mine", "selling the bank")
_VERBS = {
    "supports": ("backs", "orders", "wants"),
    "rules_out": ("rejects", "forbids", "excludes"),
    "leaves_open": ("considers", "reviews", "postpones"),
    "no_stance": ("describes", "mentions", "recalls"),
}


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCEKIT_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def _own_threads() -> Iterator[None]:
    """Give every test the threads that torch began with: the last digits of a training hang on their number."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    yield
    if before is not None:
        sys.modules["torch"].set_num_threads(before)


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """fsspec's files in memory, none at the start."""
    files = MemoryFileSystem()
    files.store.clear()
    yield files
    files.store.clear()


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 32 dimensions and one layer, in a folder, as any encoder is kept."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny_encoder")
    words = sorted({w for t in _TARGETS for w in t.split()} | {w for vs in _VERBS.values() for w in vs})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(c) for c in range(97, 123)] + ["##" + chr(c) for c in range(97, 123)] + list(":,.?!0123456789")
    vocabulary = {word: i for i, word in enumerate([*special, *words, *letters])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.2,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def labelled_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return rows whose label the verb decides, with a topic column for the split."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        label = list(_VERBS)[number % 4]
        target = draw.choice(_TARGETS)
        words = " ".join("".join(draw.choices("abcdefghij", k=4)) for _ in range(draw.randint(2, 9)))
        statement = f"the minister {draw.choice(_VERBS[label])} {target} {words}"
        topic = f"topic {number // 4 % 10}"
        split = "test" if number // 4 % 10 == 9 else "dev" if number // 4 % 10 > 6 else "train"
        rows.append(
            {
                "id": f"r{number}",
                "statement": statement,
                "holder": "the minister",
                "target": target,
                "label": label,
                "topic": topic,
                "split": split,
            }
        )
    return rows


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def labelled_file(tmp_path: Path) -> Path:
    """120 labelled rows, split by topic."""
    return write_jsonl(tmp_path / "labelled.jsonl", labelled_rows(120))


@pytest.fixture
def tiny_overrides(tiny_encoder: Path, labelled_file: Path) -> list[str]:
    """The words after `stancekit train` that train the tiny transformer on the labelled rows."""
    return [
        "data=file",
        f"data.path={labelled_file}",
        "data.disjoint=[topic]",
        "model=folder",
        f"model.encoder.path={tiny_encoder}",
        "model.input.max_length=64",
        "training.epochs=3",
        "training.learning_rate=0.01",
        "training.precision=fp32",
    ]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Iterator[CliRunner]:
    """Run the command line in this process; return what it printed and assert its exit code."""

    def run(*words: str, code: int = 0) -> str:
        capfd.readouterr()
        found = main(list(words))
        out, err = capfd.readouterr()
        assert found == code, f"exit code {found}, expected {code}:\n{out}\n{err}"
        assert "Traceback" not in err
        return out + err

    yield run


def spawn(words: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start the command line as a process of its own, for signals."""
    return subprocess.Popen(
        [sys.executable, "-m", "stancekit", *words],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Iterator[tuple[str, Path]]:
    """One run of the tiny transformer for all tests that only read: its run id and the home of its store."""
    base = tmp_path_factory.mktemp("trained")
    data = write_jsonl(base / "labelled.jsonl", labelled_rows(120))
    words = [
        *("train", "name=shared", "data=file", f"data.path={data}", "data.disjoint=[topic]", "model=folder"),
        *(f"model.encoder.path={tiny_encoder}", "model.input.max_length=64", "training.epochs=2"),
        *("training.learning_rate=0.01", "training.precision=fp32"),
    ]
    process = spawn(words, STANCEKIT_HOME=str(base / "home"))
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    yield run_id_in(output), base / "home"


def run_id_in(output: str) -> str:
    """Return the run id that `stancekit train` printed."""
    line = next(line for line in output.splitlines() if line.startswith("run "))
    return line.split()[1]
