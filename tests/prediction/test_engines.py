from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from stancekit.exporting.graphs import BUILDERS, Graphs, quiet_quantisers, write_plain
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.pairs.model import Pair
from stancekit.prediction.batches import TokenBatch, token_batches
from stancekit.prediction.choosing import _BF16_FLAGS, _processor_flags, graph_engine
from stancekit.prediction.engines.base import Engine
from stancekit.prediction.engines.torch import TorchEngine, devices, pair_tokenizer
from stancekit.prediction.exported import GraphEngine, GraphPrecision
from stancekit.prediction.scoring import TokenScorer
from stancekit.prediction.tokens import PairTokenizer
from tests.conftest import labelled_rows
from tests.prediction.conftest import PAIRS, tiny_config

CPU = torch.device("cpu")
LONGER = [
    Pair(f"{row['statement']} " * (1 + i % 4), f"{row['target']}{' by the sea' * (i % 3)}", row["holder"])
    for i, row in enumerate(labelled_rows(24, seed=8))
]
"""Rows of up to the most tokens that the tiny networks take, some of them cut."""

_SIZES: dict[str, Any] = {
    **{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    **{"max_position_embeddings": 140, "initializer_range": 0.3, "pad_token_id": 0},
}
_DISENTANGLED: dict[str, Any] = {
    **{"relative_attention": True, "position_buckets": 16, "max_relative_positions": -1, "share_att_key": True},
    **{"pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm", "position_biased_input": False},
    "type_vocab_size": 0,
}
FAMILIES: dict[str, Callable[[int], Any]] = {
    "bert": lambda n: transformers.BertModel(transformers.BertConfig(vocab_size=n, **_SIZES)),
    "roberta": lambda n: transformers.RobertaModel(
        transformers.RobertaConfig(vocab_size=n, type_vocab_size=1, **_SIZES)
    ),
    "mpnet": lambda n: transformers.MPNetModel(transformers.MPNetConfig(vocab_size=n, **_SIZES)),
    "deberta": lambda n: transformers.DebertaV2Model(
        transformers.DebertaV2Config(vocab_size=n, **_SIZES, **_DISENTANGLED)
    ),
}
"""Untrained encoders; DeBERTa-v3 has no types, though its tokenizer gives them."""
TYPED = ("bert", "deberta")


def write_encoder(family: str, folder: Path) -> None:
    """Write an untrained encoder with a tokenizer that knows letters."""
    special = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
    letters = [mark + chr(c) for mark in ("", "##") for c in range(97, 123)]
    vocabulary = {word: i for i, word in enumerate([*special, "the", "minister", "closing", "port", *letters, *":,."])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    typed = family in TYPED
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1" if typed else "<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 2), ("</s>", 3)],
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        **dict(zip(names, special, strict=True)),
        model_input_names=["input_ids", "attention_mask", *(["token_type_ids"] if typed else [])],
    ).save_pretrained(folder)
    torch.manual_seed(0)
    FAMILIES[family](len(vocabulary)).save_pretrained(folder)


@dataclass(frozen=True)
class Tiny:
    """A cross-encoder with its graphs, and its own probabilities for ``LONGER``."""

    model: CrossEncoder
    tokenizer: PairTokenizer
    graphs: Graphs
    probabilities: NDArray[np.float64]

    def engine(self, name: str) -> Engine:
        """Return an engine of that name, in fp32, with two threads."""
        if name == "torch":
            return TorchEngine(self.model.network, False, [CPU], 1)
        return self.graph_engine("onnx" if name == "onnx" else "openvino", "fp32")

    def graph_engine(self, engine: GraphEngine, precision: GraphPrecision) -> Engine:
        """Return a variant, built now."""
        with quiet_quantisers():
            path = BUILDERS[engine, precision](self.graphs)
        return graph_engine(engine, path, precision, 2)

    def score(self, engine: Engine, tokens: int = 512, pairs: list[Pair] = LONGER) -> NDArray[np.float64]:
        """Return what an engine makes of pairs, so many tokens at once."""
        scorer = TokenScorer(self.tokenizer, engine, None, tokens)
        return scorer.score(scorer.prepare(pairs)).probabilities


def tiny(family: str, pooling: Literal["own", "mean"], base: Path) -> Tiny:
    write_encoder(family, base / "encoder")
    torch.manual_seed(3)
    model = CrossEncoder.from_encoder(tiny_config(base / "encoder", 96, pooling))
    model.network.eval()
    # Outcomes that lie apart: engines that mix rows or tokens up cannot hide.
    head = model.network.head if pooling == "mean" else None
    if head is not None:
        head.weight.data *= 6
    tokenizer = pair_tokenizer(model)
    assert tokenizer is not None
    calibration = list(token_batches(tokenizer.tokenize(PAIRS), tokenizer.layout, 1, 96))
    (base / "graphs").mkdir()
    graphs = Graphs(base / "graphs", calibration)
    write_plain(model, tokenizer.layout, graphs)
    return Tiny(model, tokenizer, graphs, model.predict(LONGER, 5).probabilities)


@pytest.fixture(
    scope="session",
    params=[("bert", "own"), ("bert", "mean"), ("roberta", "own"), ("mpnet", "mean"), ("deberta", "mean")],
    ids="-".join,
)
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    family, pooling = request.param
    return tiny(family, pooling, tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return tiny("bert", "mean", tmp_path_factory.mktemp("bert"))


ENGINES = ("torch", "onnx", "openvino")


def test_when_a_pair_is_scored_by_each_engine_then_it_has_the_probabilities_of_the_model(network: Tiny) -> None:
    lengths = network.tokenizer.tokenize(LONGER).lengths
    assert lengths.min() < 50 and lengths.max() == 96
    # Rows are told apart, or the comparison would say nothing.
    assert network.probabilities.std(axis=0).max() > 0.03
    for name in ENGINES:
        np.testing.assert_allclose(network.score(network.engine(name)), network.probabilities, atol=1e-4, err_msg=name)


def test_when_other_rows_share_its_batch_then_a_row_has_the_same_probabilities(network: Tiny) -> None:
    for name in ENGINES:
        engine = network.engine(name)
        together, single = network.score(engine, 100_000), network.score(engine, 1)
        np.testing.assert_allclose(together, single, atol=1e-4, err_msg=name)
        turned = network.score(engine, 300, LONGER[::-1])[::-1]
        np.testing.assert_allclose(turned, single, atol=1e-4, err_msg=name)


def test_when_weights_are_8_bit_then_probabilities_are_near_and_whatever_shares_the_batch_as_far_as_is_said(
    bert: Tiny,
) -> None:
    for engine, precision, near in (
        ("onnx", "int8_dynamic", 0.15),
        ("onnx", "int8_static", 0.15),
        ("openvino", "int8_dynamic", 0.15),
        ("openvino", "int8_static", 0.15),
    ):
        runs = bert.graph_engine(engine, precision)  # type: ignore[arg-type]
        found = bert.score(runs)
        change = np.abs(found - bert.probabilities).max()
        assert 0 < change < near, (engine, precision)
        if (engine, precision) != ("onnx", "int8_dynamic"):
            # That one quantises activations with one scale for a whole batch. What OpenVINO does not quantise, it
            # computes in bf16 where the processor can, and in which order it adds up depends on the shape.
            atol = 1e-4 if engine == "onnx" else 1e-2
            np.testing.assert_allclose(bert.score(runs, 1), found, atol=atol, err_msg=f"{engine} {precision}")


@pytest.mark.skipif(not _processor_flags() & _BF16_FLAGS, reason="the processor does not compute in bf16")
def test_when_the_processor_computes_in_bf16_then_probabilities_are_near(bert: Tiny) -> None:
    of_torch = bert.score(TorchEngine(bert.model.network, True, [CPU], 1))
    of_openvino = bert.score(bert.graph_engine("openvino", "bf16"))
    for found in (of_torch, of_openvino):
        assert 1e-6 < np.abs(found - bert.probabilities).max() < 0.05


def test_when_torch_computes_in_bf16_then_it_is_autocast_whatever_the_processor(bert: Tiny) -> None:
    engine = TorchEngine(bert.model.network, True, [CPU], 1)
    assert engine.description == "torch bf16, 1 threads"
    assert 1e-6 < np.abs(bert.score(engine, pairs=LONGER[:6]) - bert.probabilities[:6]).max() < 0.05


def test_when_torch_has_two_devices_then_both_work_and_the_result_is_that_of_one(bert: Tiny) -> None:
    engine = TorchEngine(bert.model.network, False, [CPU, CPU], 1)
    both = threading.Barrier(2, timeout=30)
    used: set[int] = set()
    run = engine._run

    def together(place: int, batch: TokenBatch) -> Any:
        if place not in used:
            # Neither goes on before the other has a batch too.
            both.wait()
            used.add(place)
        return run(place, batch)

    engine._run = together  # type: ignore[method-assign]
    found = bert.score(engine, 128)
    assert used == {0, 1} and engine._networks[0] is not engine._networks[1]
    np.testing.assert_array_equal(found, bert.score(bert.engine("torch"), 128))


def test_when_there_is_no_gpu_then_torch_runs_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert devices() == [CPU]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices() == [torch.device("cuda", 0), torch.device("cuda", 1)]


def every_engine(bert: Tiny) -> Iterator[Engine]:
    yield from (bert.engine(name) for name in ENGINES)
    yield TorchEngine(bert.model.network, False, [CPU, CPU], 1)


def test_when_there_are_no_batches_then_there_are_no_logits(bert: Tiny) -> None:
    for engine in every_engine(bert):
        assert list(engine.logits(iter([]))) == []


def test_when_four_threads_share_an_engine_then_each_gets_what_it_would_get_alone(bert: Tiny) -> None:
    parts = [LONGER[k::4] for k in range(4)]
    for engine in every_engine(bert):
        found: dict[int, list[NDArray[np.float64]]] = {}
        begin = threading.Barrier(4)

        def work(k: int, engine: Engine = engine, begin: threading.Barrier = begin, found: Any = found) -> None:
            begin.wait()
            found[k] = [bert.score(engine, 200, parts[k]) for _ in range(5)]

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for k in range(4):
            for probabilities in found[k]:
                np.testing.assert_allclose(
                    probabilities, bert.probabilities[k::4], atol=1e-4, err_msg=engine.description
                )


def test_when_the_batches_break_off_or_are_not_wanted_then_that_is_said_and_the_engine_goes_on(bert: Tiny) -> None:
    tokenized = bert.tokenizer.tokenize(LONGER)

    def batches(good: int) -> Iterator[TokenBatch]:
        for number, batch in enumerate(token_batches(tokenized, bert.tokenizer.layout, 100, 96)):
            if number == good:
                raise KeyError("the reader")
            yield batch

    for engine in every_engine(bert):
        for _ in range(3):
            with pytest.raises(KeyError, match="the reader"):
                list(engine.logits(batches(6)))
            logits = engine.logits(batches(100))
            next(logits)
            logits.close()
            np.testing.assert_allclose(bert.score(engine), bert.probabilities, atol=1e-4, err_msg=engine.description)


def test_when_engines_are_asked_what_they_are_then_they_say_precision_and_threads(bert: Tiny) -> None:
    assert [engine.description for engine in every_engine(bert)] == [
        *("torch fp32, 1 threads", "onnx fp32, 2 threads", "openvino fp32, 2 threads", "torch fp32, 1 threads")
    ]


SIGNALLED = """
import signal, sys
from pathlib import Path
from stancekit.prediction.engines.openvino import OpenVinoEngine

signal.signal(signal.SIGTERM, lambda *_: print("handled"))
first, second = (OpenVinoEngine(Path(sys.argv[1]), "fp32", 1) for _ in range(2))
del first
del second
signal.raise_signal(signal.SIGTERM)
"""


def test_when_two_openvino_models_are_given_up_in_their_order_then_signals_are_still_handled(bert: Tiny) -> None:
    graph = str(bert.graphs.openvino_fp32())
    done = subprocess.run([sys.executable, "-c", SIGNALLED, graph], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


WHERE_THREADS_RUN = """
import contextlib, os, sys, threading
from pathlib import Path
import numpy as np
from stancekit.prediction.batches import TokenBatch
from stancekit.prediction.choosing import graph_engine

ids = np.ones((16, 64), dtype=np.int64)
own, seen = os.sched_getaffinity(0), set()
for name, graph in zip(("onnx", "openvino"), sys.argv[1:]):
    engine = graph_engine(name, Path(graph), "fp32", 1)
    # A thread may be tied for as long as it computes alone: they are looked at meanwhile.
    work = threading.Thread(target=lambda: list(engine.logits([TokenBatch(np.arange(16), ids, ids, ids)] * 400)))
    work.start()
    while work.is_alive():
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(ProcessLookupError):
                seen.add(frozenset(os.sched_getaffinity(int(thread))))
print(seen == {frozenset(own)})
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux says where a thread may run")
def test_when_graphs_run_then_their_threads_are_tied_to_no_core_that_another_process_would_have_too(bert: Tiny) -> None:
    graphs = [str(bert.graphs.onnx_fp32()), str(bert.graphs.openvino_fp32())]
    done = subprocess.run([sys.executable, "-c", WHERE_THREADS_RUN, *graphs], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
