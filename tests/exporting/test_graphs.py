from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch

from stancekit.exporting.graphs import BUILDERS, Graphs, quiet_quantisers, write_plain
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.prediction.batches import token_batches
from stancekit.prediction.engines.torch import pair_tokenizer
from tests.prediction.conftest import PAIRS, tiny_config


@pytest.fixture(scope="module")
def graphs(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    torch.manual_seed(4)
    model = CrossEncoder.from_encoder(tiny_config(tiny_encoder, pooling="mean"))
    # As training leaves it: dropout must not get into a graph.
    model.network.train()
    tokenizer = pair_tokenizer(model)
    assert tokenizer is not None
    rows = list(token_batches(tokenizer.tokenize(PAIRS[:20]), tokenizer.layout, 1, tokenizer.longest))
    found = Graphs(tmp_path_factory.mktemp("graphs"), rows)
    write_plain(model, tokenizer.layout, found)
    return found


def test_when_the_plain_graph_is_written_then_it_takes_any_rows_of_any_length(graphs: Graphs) -> None:
    graph = onnx.load(graphs.plain)
    onnx.checker.check_model(graph)
    assert [(one.domain, one.version) for one in graph.opset_import] == [("", 17)]
    shapes = {
        value.name: [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    }
    free = ["rows", "length"]
    assert shapes == {"input_ids": free, "attention_mask": free, "token_type_ids": free, "logits": ["rows", 4]}
    session = onnxruntime.InferenceSession(graphs.plain, providers=["CPUExecutionProvider"])
    for rows, length in ((1, 4), (5, 64), (3, 17)):
        ids = np.full((rows, length), 7, dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        first, again = (session.run(None, inputs)[0] for _ in range(2))
        assert first.shape == (rows, 4)
        np.testing.assert_array_equal(first, again)
        np.testing.assert_allclose(first, np.repeat(first[:1], rows, axis=0), atol=1e-6)


def test_when_a_row_is_padded_then_its_logits_stay(graphs: Graphs) -> None:
    session = onnxruntime.InferenceSession(graphs.plain, providers=["CPUExecutionProvider"])
    ids = np.array([[2, 8, 9, 3, 10, 3]])
    found = []
    for padding in (0, 30):
        padded = np.pad(ids, ((0, 0), (0, padding)))
        mask = np.pad(np.ones_like(ids), ((0, 0), (0, padding)))
        found.append(
            session.run(None, {"input_ids": padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)})[0]
        )
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_when_every_variant_is_built_then_its_file_is_of_its_kind_and_the_8_bit_ones_hold_8_bit_weights(
    graphs: Graphs,
) -> None:
    built = {}
    with quiet_quantisers():
        for (engine, precision), build in BUILDERS.items():
            built[engine, precision] = build(graphs)
    assert len({path.name for path in built.values()}) == len(built) - 1
    assert built["openvino", "bf16"] == built["openvino", "fp32"]
    for (engine, precision), path in built.items():
        assert path.parent == graphs.folder and path.suffix == {"onnx": ".onnx", "openvino": ".xml"}[engine]
        if engine == "openvino":
            weights = path.with_suffix(".bin")
            assert weights.is_file()
            kinds = {node.get_element_type() for node in openvino.Core().read_model(path).get_ops()}
            assert (openvino.Type.i8 in kinds) == precision.startswith("int8"), precision
        else:
            kinds = {value.data_type for value in onnx.load(path).graph.initializer}
            assert (onnx.TensorProto.INT8 in kinds) == precision.startswith("int8"), precision


def test_when_quantisers_are_kept_quiet_then_all_is_as_loud_as_before_afterwards(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyError), quiet_quantisers():
        print("noise")
        print("noise", file=sys.stderr)
        logging.getLogger("nncf").warning("noise")
        warnings.warn("noise", stacklevel=1)
        raise KeyError
    assert capsys.readouterr() == ("", "") and caplog.records == []
    print("said")
    logging.getLogger("nncf").warning("logged")
    assert capsys.readouterr().out == "said\n" and [record.message for record in caplog.records] == ["logged"]
