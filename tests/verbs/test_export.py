from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from stancekit.config.schema import MajorityConfig
from stancekit.exporting.graphs import BUILDERS, Graphs, write_plain
from stancekit.labels import OUTCOMES
from stancekit.models.baselines import Baseline
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.saved import load_model, save_model
from stancekit.pairs.model import Pair, pair_from_row
from stancekit.prediction.engines.torch import pair_tokenizer
from stancekit.tracking.logging import log_model
from stancekit.tracking.registry import find_model
from stancekit.tracking.runs import tracked_run
from tests.conftest import CliRunner, labelled_rows, write_jsonl
from tests.models.test_shipped import TRACKING
from tests.verbs.tiny_export import gate_on

ROWS = labelled_rows(40, seed=7)
PAIRS = [pair_from_row(row) for row in ROWS]

Builder = Callable[[Graphs], Path]


@pytest.fixture
def model(trained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the model of the session's trained run."""
    run_id, home = trained
    with monkeypatch.context() as patch:
        patch.setenv("STANCEKIT_HOME", str(home))
        found = find_model(run_id, TRACKING)
    yield found


def scores(folder: Path) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = load_model(folder).model.predict(PAIRS, 8).probabilities
    return found


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "stancekit.json").read_text())
    return found


def number(pattern: str, said: str) -> float:
    found = re.search(pattern + r" ([-\d.e,]+)", said)
    assert found is not None, said
    return float(found[1].replace(",", "").rstrip("."))


def test_when_a_model_is_exported_as_a_delta_and_that_one_whole_then_it_stays_nearly_the_same(
    cli: CliRunner, model: Path, tmp_path: Path
) -> None:
    said = cli("export", f"model={model}", f"output={tmp_path}/delta", "format=delta")
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "delta").iterdir()}
    assert set(sizes) == {"config.yaml", "delta.safetensors", "stancekit.json", "trace.npz"}
    assert said.startswith(f"{tmp_path}/delta: {sum(sizes.values()):,} bytes\n")
    assert f"  delta on folder: {sizes['delta.safetensors']:,} bytes, relative error " in said
    assert 0 < number("relative error", said) < 0.01
    assert 0 < number("over 32 example pairs:", said) < 0.02 and "that is much" not in said

    said = cli("export", f"model={tmp_path}/delta", f"output={tmp_path}/whole")
    assert number("over 32 example pairs:", said) == 0 and "delta" not in said.replace(str(tmp_path), "")
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= {p.name for p in (tmp_path / "whole").iterdir()}
    assert 0 < np.abs(scores(tmp_path / "delta") - scores(model)).max() < 0.02
    np.testing.assert_array_equal(scores(tmp_path / "whole"), scores(tmp_path / "delta"))
    before, after = manifest_of(model), manifest_of(tmp_path / "whole")
    for key in ("labels", "model", "calibration", "data", "base"):
        assert after[key] == before[key] and (key == "base" or after[key])
    assert manifest_of(tmp_path / "delta")["base"]["name"] == "folder"
    for file in ("config.yaml", "trace.npz"):
        assert after["sha256"][file] == before["sha256"][file]
    assert not list(tmp_path.glob(".*"))


def test_when_a_whole_model_is_exported_whole_then_its_weights_are_the_same_bits(
    cli: CliRunner, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    cli("export", f"model={model}", f"output={tmp_path}/empty", "format=whole")
    before, after = (load_file(folder / "model.safetensors") for folder in (model, tmp_path / "empty"))
    assert before.keys() == after.keys() and all((before[name] == after[name]).all() for name in before)


def test_when_the_rank_is_too_small_then_the_user_sees_it(cli: CliRunner, model: Path, tmp_path: Path) -> None:
    errors = []
    for rank in (1, 8):
        said = cli("export", f"model={model}", f"output={tmp_path}/{rank}", "format=delta", f"rank={rank}")
        errors.append(number("relative error", said))
        assert ("that is much: a greater rank" in said) == (errors[-1] > 0.1)
    assert errors[0] > 0.1 and errors[1] < errors[0]


def test_when_a_delta_is_logged_then_mlflow_loads_it(model: Path, cli: CliRunner, tmp_path: Path) -> None:
    cli("export", f"model={model}", f"output={tmp_path}/delta", "format=delta")
    with tracked_run(TRACKING, "delta", {}):
        info = log_model(tmp_path / "delta", PAIRS[:2])
    table = mlflow.pyfunc.load_model(info.model_uri).predict(pd.DataFrame(ROWS)[["statement", "target", "holder"]])
    np.testing.assert_allclose(table["p_supports"], scores(tmp_path / "delta")[:, 0], atol=1e-6)


def test_when_the_output_is_bad_then_nothing_is_touched(cli: CliRunner, model: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    for output, expected in (
        (full, f"output: '{full}' is not empty; expected a new or an empty folder"),
        (full / "mine.txt", f"output: '{full}/mine.txt' is a file; expected a new or an empty folder"),
        (full / "mine.txt" / "below", f"output: '{full}/mine.txt/below' cannot be written: "),
        (model, f"output: '{model}' lies in the folder of the model itself"),
        (model / "delta", f"output: '{model}/delta' lies in the folder of the model itself"),
    ):
        assert expected in cli("export", f"model={model}", f"output={output}", code=2)
    assert [path.name for path in full.iterdir()] == ["mine.txt"] and (full / "mine.txt").read_text() == "mine"
    load_model(model)


def test_when_there_is_no_encoder_to_differ_from_or_no_use_for_a_rank_then_that_is_said(
    cli: CliRunner, model: Path, tmp_path: Path
) -> None:
    config = MajorityConfig(kind="majority", name="m")
    baseline = Baseline.fit(config, [Pair("a", "b", label="supports")], True, 1)
    save_model(baseline, tmp_path / "baseline", config, {}, {})
    for form in ("whole", "delta", "engines"):
        said = cli("export", f"model={tmp_path}/baseline", f"output={tmp_path}/new", f"format={form}", code=2)
        assert "it is a model of the kind 'majority'; expected a cross-encoder" in said
    for form in ("whole", "engines"):
        said = cli("export", f"model={model}", f"output={tmp_path}/new", "rank=8", f"format={form}", code=2)
        assert f"rank: format={form} has none; leave it out, or give format=delta" in said
    assert not (tmp_path / "new").exists()


def test_when_the_export_fails_half_way_then_nothing_is_left_behind(
    cli: CliRunner, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stancekit.data.trace.Trace.write", full)
    said = cli("export", f"model={model}", f"output={tmp_path}/out/new", "format=delta", code=2)
    assert f"output: '{tmp_path}/out/new' cannot be written: No space left on device; nothing was kept" in said
    assert list((tmp_path / "out").iterdir()) == []


def only(monkeypatch: pytest.MonkeyPatch, *variants: tuple[str, str], **builders: Builder) -> None:
    """Let only these variants be built, and those of further engines by functions of our own."""
    found: dict[Any, Any] = {one: build for one, build in BUILDERS.items() if one in variants}
    found |= {(engine, "fp32"): build for engine, build in builders.items()}
    monkeypatch.setattr("stancekit.exporting.engines.BUILDERS", found)


FP32 = (("onnx", "fp32"), ("openvino", "fp32"))


@pytest.fixture
def engines(model: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that export a model's engines on the 24 dev rows of a small file; the cache is an empty one."""
    monkeypatch.setenv("STANCEKIT_CACHE", str(tmp_path / "cache"))
    data = write_jsonl(tmp_path / "labelled.jsonl", labelled_rows(120))
    only(monkeypatch, *FP32)
    return ["export", f"model={model}", "format=engines", "data=file", f"data.path={data}", *gate_on(tiny_encoder)]


def left_in(cache: Path) -> list[Path]:
    """Return what lies in the cache's folder of engines."""
    return sorted((cache / "engines").glob("*"))


def test_when_engines_are_exported_then_predict_finds_them_and_says_so(
    cli: CliRunner, model: Path, engines: list[str], tmp_path: Path
) -> None:
    rows = write_jsonl(tmp_path / "in.jsonl", ROWS)
    words = ["predict", f"model={model}", f"input={rows}", "engine.threads=1"]
    command = f"stancekit export format=engines model={model}"
    said = cli(*words, f"output={tmp_path}/torch.jsonl")
    assert re.search(r"^engine: torch \w+, 1 threads \(not exported; ", said, re.M) and command in said
    said = cli(*words, f"output={tmp_path}/none.jsonl", "engine=onnx", code=2)
    assert "engine=onnx, engine.precision=auto: not exported" in said and command in said

    said = cli(*engines)
    (folder,) = left_in(tmp_path / "cache")
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert f"{folder}: {size:,} bytes" in said and "16 rows" in said
    assert f"used from now on by: stancekit predict model={model} input=… output=…" in said
    assert {path.name for path in folder.iterdir()} == {
        *("engines.json", "tokenizer.json", "fp32.onnx", "openvino_fp32.xml", "openvino_fp32.bin")
    }
    probabilities = {}
    for engine in ("onnx", "openvino", "auto", "torch"):
        output = tmp_path / f"{engine}.jsonl"
        said = cli(*words, f"output={output}", f"engine={engine}", "engine.precision=fp32", "overwrite=true")
        taken = r"(onnx|openvino)" if engine == "auto" else engine
        why = r"[\d.]+ times torch fp32 when exported" if engine == "auto" else "as asked"
        assert re.search(rf"^engine: {taken} fp32, 1 threads \({why}\)$", said, re.M), said
        found = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        probabilities[engine] = np.array([[row[f"p_{outcome}"] for outcome in OUTCOMES] for row in found])
    for engine, of_engine in probabilities.items():
        np.testing.assert_allclose(of_engine, scores(model), atol=1e-4, err_msg=engine)


def test_when_engines_are_there_already_then_they_are_replaced_only_if_asked(
    cli: CliRunner, model: Path, engines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli(*engines)
    (folder,) = left_in(tmp_path / "cache")
    said = cli(*engines, code=2)
    assert f"model={model}: exported already, to '{folder}'; overwrite=true does it again" in said
    only(monkeypatch, ("onnx", "fp32"))
    cli(*engines, "overwrite=true")
    assert left_in(tmp_path / "cache") == [folder]
    assert sorted(path.name for path in folder.iterdir()) == ["engines.json", "fp32.onnx", "tokenizer.json"]


def test_when_engines_are_exported_then_so_is_the_encoder_of_the_gate_once(
    cli: CliRunner, engines: list[str], tmp_path: Path
) -> None:
    said = cli(*engines)
    (folder,) = (tmp_path / "cache" / "embedders").iterdir()
    assert re.search(rf"^{folder}: gate, for articles; cosines within \de-\d+ of torch's$", said, re.M), said
    (made,) = (path.stat().st_mtime_ns for path in folder.glob("*.json") if path.name == "encoder.json")
    assert "for articles" not in cli(*engines, f"output={tmp_path}/mine")
    assert (folder / "encoder.json").stat().st_mtime_ns == made
    shutil.rmtree(folder)
    said = cli(*engines)
    assert "for articles" in said and "rows/s" not in said and (folder / "encoder.json").is_file()
    assert "exported already" in cli(*engines, code=2)


def test_when_engines_are_exported_to_a_folder_then_it_is_a_model_of_its_own(
    cli: CliRunner, model: Path, engines: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "mine"
    said = cli(*engines, f"output={output}")
    assert f"used from now on by: stancekit predict model={output} input=… output=…" in said
    assert left_in(tmp_path / "cache") == []
    rows = write_jsonl(tmp_path / "in.jsonl", ROWS)
    said = cli("predict", f"model={output}", f"input={rows}", f"output={tmp_path}/out.csv")
    assert re.search(r"^engine: (onnx|openvino) fp32", said, re.M)
    for words in ([f"output={output}"], [f"output={output}", "overwrite=true"]):
        assert f"output: '{output}' is not empty; expected a new or an empty folder" in cli(*engines, *words, code=2)
    said = cli("export", f"model={output}", "format=engines", code=2)
    assert f"'{output}' is exported already; give the model that it was made of" in said
    assert f"output: '{model}/below' lies in the folder of the model" in cli(*engines, f"output={model}/below", code=2)


def test_when_a_graph_says_something_else_then_it_is_refused_and_predict_says_why(
    cli: CliRunner, model: Path, engines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(graphs: Graphs) -> Path:
        network = load_model(model, calibrated=False).model
        assert isinstance(network, CrossEncoder)
        # Supports and rules_out change places.
        for values in (network.network.head.weight.data, network.network.head.bias.data):
            values[[0, 1]] = values[[1, 0]].clone()
        tokenizer = pair_tokenizer(network)
        assert tokenizer is not None
        turned = Graphs(tmp_path / "turned", [])
        turned.folder.mkdir()
        write_plain(network, tokenizer.layout, turned)
        path = turned.openvino_fp32()
        for file in (path, path.with_suffix(".bin")):
            shutil.copy(file, graphs.folder / f"turned{file.suffix}")
        return graphs.folder / "turned.xml"

    only(monkeypatch, ("onnx", "fp32"), openvino=other)
    said = cli(*engines)
    assert "openvino fp32 is refused: it gives the same label to " in said
    (folder,) = left_in(tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == ["engines.json", "fp32.onnx", "tokenizer.json"]
    rows = write_jsonl(tmp_path / "in.jsonl", ROWS)
    words = ["predict", f"model={model}", f"input={rows}", f"output={tmp_path}/out.jsonl"]
    said = cli(*words, "engine=openvino", "engine.precision=fp32", code=2)
    assert "openvino fp32 was refused when the model was exported: gives the same label to " in said
    assert "usable: onnx fp32" in said
    assert "engine: onnx fp32" in cli(*words)


@pytest.mark.parametrize(
    ("ends", "code", "expected"),
    [
        (OSError(28, "No space left on device"), 2, "cannot be written: No space left on device; nothing was kept"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
    ],
    ids=["disk full", "Ctrl-C", "SIGTERM"],
)
def test_when_an_export_of_engines_ends_half_way_then_nothing_is_left_and_an_older_one_stays(
    cli: CliRunner,
    engines: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ends: BaseException | signal.Signals,
    code: int,
    expected: str,
) -> None:
    def half_way(graphs: Graphs) -> Path:
        assert graphs.plain.is_file()
        if isinstance(ends, BaseException):
            raise ends
        signal.raise_signal(ends)
        return graphs.plain

    only(monkeypatch, ("onnx", "fp32"), openvino=half_way)
    assert expected in cli(*engines, code=code)
    assert left_in(tmp_path / "cache") == []
    only(monkeypatch, *FP32)
    cli(*engines)
    (folder,) = left_in(tmp_path / "cache")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    only(monkeypatch, ("onnx", "fp32"), openvino=half_way)
    assert expected in cli(*engines, "overwrite=true", code=code)
    assert left_in(tmp_path / "cache") == [folder]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_when_the_rows_do_not_suffice_or_a_package_is_missing_then_nothing_is_left(
    cli: CliRunner, engines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = write_jsonl(tmp_path / "few.jsonl", labelled_rows(2))
    said = cli(*engines, f"data.path={few}", "split=all", code=2)
    assert "data: 2 rows are too few to find scales on and to measure with" in said
    assert "split=dve: no such rows in " in cli(*engines, "split=dve", code=2)
    monkeypatch.setattr("stancekit.exporting.engines.find_spec", lambda name: None)
    said = cli(*engines, code=2)
    assert "needs onnx, onnxruntime, openvino, nncf; install with: pip install 'stancekit[export]'" in said
    assert left_in(tmp_path / "cache") == []
