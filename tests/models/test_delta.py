from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BertConfig, BertModel

from stancekit.config.schema import CrossEncoderConfig, HubEncoder, LoraConfig
from stancekit.data.trace import Trace
from stancekit.errors import UserError
from stancekit.files import sha256_of
from stancekit.models.adapting import choose_trained, merge_adapters
from stancekit.models.calibration import Calibration
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.delta import DeltaConfig, DeltaSize, read_delta, write_delta
from stancekit.models.saved import load_model, save_model
from stancekit.pairs.model import pair_from_row
from tests.conftest import labelled_rows
from tests.models.helpers import config, in_folder

INT8 = DeltaConfig(None)
REVISION = "0123456789abcdef0123456789abcdef01234567"
ROWS = labelled_rows(40)
PAIRS = [pair_from_row(row) for row in ROWS]
CALIBRATION = Calibration(temperature=2.5, threshold=0.7, level=0.9, rows=30)


def drawn_state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    shapes = {"layer.weight": (16, 24), "layer.bias": (16,), "table.weight": (40, 8), "head.weight": (4, 16)}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def changed_by(base: dict[str, Tensor], **differences: Tensor) -> dict[str, Tensor]:
    """Return a copy of a state dict with something added; ``layer_weight`` stands for ``layer.weight``."""
    given = {name.replace("_", "."): difference for name, difference in differences.items()}
    return {name: tensor + given.get(name, 0) for name, tensor in base.items()}


def keys_in(path: Path) -> set[str]:
    with safe_open(path, framework="pt") as file:
        return set(file.keys())


def diagonal(*values: float, shape: tuple[int, int] = (16, 24)) -> Tensor:
    """Return a matrix of those singular values, whose singular vectors are not those of the axes."""
    torch.manual_seed(5)
    left, _ = torch.linalg.qr(torch.randn(shape[0], len(values)))
    right, _ = torch.linalg.qr(torch.randn(shape[1], len(values)))
    found: Tensor = left @ torch.diag(torch.tensor(values)) @ right.T
    return found


def test_when_only_some_tensors_differ_then_the_others_are_left_out_and_come_back_as_they_were(tmp_path: Path) -> None:
    base = drawn_state()
    tuned = changed_by(base, layer_bias=torch.full((16,), 0.25)) | {"head.weight": torch.randn(4, 16)}
    write_delta(base, tuned, tmp_path / "d", DeltaConfig(2), {"head.weight"})
    assert keys_in(tmp_path / "d") == {"layer.bias/difference", "head.weight/whole"}
    # Where the head's values in the base are others, as they are whenever it is drawn, that changes nothing.
    found = read_delta(tmp_path / "d", base | {"head.weight": torch.zeros(4, 16)}, {"head.weight"})
    assert found["layer.weight"] is base["layer.weight"] and torch.equal(found["head.weight"], tuned["head.weight"])
    torch.testing.assert_close(found["layer.bias"], tuned["layer.bias"], rtol=0, atol=1e-6)


def test_when_nothing_differs_then_the_delta_is_empty_and_loses_nothing(tmp_path: Path) -> None:
    base = drawn_state()
    assert write_delta(base, dict(base), tmp_path / "d", INT8, ()).error == 0 and keys_in(tmp_path / "d") == set()
    assert read_delta(tmp_path / "d", base, ()) == base


def test_when_the_rank_is_that_of_the_difference_then_nothing_but_rounding_is_lost(tmp_path: Path) -> None:
    base = drawn_state()
    tuned = changed_by(base, layer_weight=diagonal(4.0, 3.0))
    size = write_delta(base, tuned, tmp_path / "d", DeltaConfig(2), ())
    assert size == DeltaSize((tmp_path / "d").stat().st_size, size.error) and 0 < size.error < 1e-3
    stored = load_file(tmp_path / "d")
    assert {name: (part.dtype, list(part.shape)) for name, part in stored.items()} == {
        "layer.weight/left": (torch.float16, [16, 2]),
        "layer.weight/right": (torch.float16, [2, 24]),
    }
    # Half of the singular values 4 and 3 on either side: columns of the lengths 2 and the root of 3.
    for factor in (stored["layer.weight/left"].T, stored["layer.weight/right"]):
        np.testing.assert_allclose(factor.float().norm(dim=1).numpy(), [2, 3**0.5], rtol=1e-3)
    found = read_delta(tmp_path / "d", base, ())["layer.weight"]
    torch.testing.assert_close(found, tuned["layer.weight"], rtol=0, atol=4e-3)


def test_when_the_rank_is_too_small_then_the_error_is_the_share_of_the_singular_values_that_is_lost(
    tmp_path: Path,
) -> None:
    base = drawn_state()
    tuned = changed_by(base, layer_weight=diagonal(4.0, 3.0))
    # The root of 3 squared over 4 squared and 3 squared.
    assert write_delta(base, tuned, tmp_path / "d", DeltaConfig(1), ()).error == pytest.approx(0.6, abs=1e-3)
    # A vector of length 12, which is kept: 3 of 13 are lost in all.
    tuned = changed_by(base, layer_weight=diagonal(4.0, 3.0), layer_bias=torch.full((16,), 3.0))
    assert write_delta(base, tuned, tmp_path / "d", DeltaConfig(1), ()).error == pytest.approx(3 / 13, abs=1e-3)


def test_when_matrices_are_stored_as_integers_then_every_row_has_its_own_scale(tmp_path: Path) -> None:
    base = {"w": torch.zeros(2, 3)}
    tuned = {"w": torch.tensor([[127.0, -64.2, 0.4], [0.0, 0.02, -0.0127 * 2]])}
    size = write_delta(base, tuned, tmp_path / "d", INT8, ())
    stored = load_file(tmp_path / "d")
    assert stored["w/int8"].tolist() == [[127, -64, 0], [0, 100, -127]]
    np.testing.assert_allclose(stored["w/scale"].numpy(), [1, 0.0002], rtol=1e-5)
    assert size.error == pytest.approx((0.2**2 + 0.4**2) ** 0.5 / (127**2 + 64.2**2 + 0.4**2) ** 0.5, rel=1e-3)
    np.testing.assert_allclose(read_delta(tmp_path / "d", base, ())["w"].numpy()[0], [127, -64, 0], rtol=1e-6)


@pytest.mark.parametrize("rank", [None, 1])
def test_when_few_rows_of_a_table_changed_then_only_these_are_stored(tmp_path: Path, rank: int | None) -> None:
    base, difference = drawn_state(), torch.zeros(40, 8)
    difference[[3, 17, 30]] = torch.tensor([[1.0], [-2.0], [4.0]])
    tuned = changed_by(base, table_weight=difference)
    assert write_delta(base, tuned, tmp_path / "d", DeltaConfig(rank), ()).error < 1e-2
    stored = load_file(tmp_path / "d")
    assert stored["table.weight/rows"].tolist() == [3, 17, 30]
    assert all(part.numel() <= 24 for part in stored.values())
    found = read_delta(tmp_path / "d", base, ())["table.weight"]
    untouched = [row for row in range(40) if row not in (3, 17, 30)]
    assert torch.equal(found[untouched], base["table.weight"][untouched])
    torch.testing.assert_close(found, tuned["table.weight"], rtol=0, atol=2e-2)


def test_when_factors_would_take_more_room_than_the_matrix_then_it_is_stored_itself(tmp_path: Path) -> None:
    base, difference = {"w": torch.zeros(4, 6)}, torch.randn(4, 6)
    # 3 * (4 + 6) numbers instead of 24.
    write_delta(base, {"w": difference}, tmp_path / "d", DeltaConfig(3), ())
    assert keys_in(tmp_path / "d") == {"w/difference"}
    torch.testing.assert_close(read_delta(tmp_path / "d", base, ())["w"], difference, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("rank", [None, 1])
def test_when_a_difference_is_tiny_or_of_many_dimensions_then_it_comes_back_finite(
    tmp_path: Path, rank: int | None
) -> None:
    base = {"w": torch.zeros(3, 5, 7), "v": torch.zeros(12, 12)}
    tuned = {"w": torch.ones(3, 5, 7), "v": torch.full((12, 12), 1e-44)}
    write_delta(base, tuned, tmp_path / "d", DeltaConfig(rank), ())
    found = read_delta(tmp_path / "d", base, ())
    torch.testing.assert_close(found["w"], tuned["w"], rtol=0, atol=2e-3)
    torch.testing.assert_close(found["v"], tuned["v"], rtol=0, atol=1e-6)


def test_when_a_delta_is_written_again_then_it_is_the_same_bytes_and_its_header_says_what_it_is(tmp_path: Path) -> None:
    base = drawn_state()
    tuned = changed_by(base, layer_weight=torch.randn(16, 24), layer_bias=torch.randn(16))
    for number in range(8):
        write_delta(base, tuned, tmp_path / str(number), DeltaConfig(3), {"head.weight"})
    assert len({(tmp_path / str(number)).read_bytes() for number in range(8)}) == 1
    for given, matrices in ((DeltaConfig(3), "rank 3"), (INT8, "int8")):
        write_delta(base, tuned, tmp_path / "d", given, ())
        with safe_open(tmp_path / "d", framework="pt") as file:
            assert json.loads(file.metadata()["stancekit.delta"]) == {"format": 1, "matrices": matrices}


@pytest.mark.parametrize("name", ["layer.weight", "head.weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_when_the_model_is_not_finite_then_no_delta_is_written(tmp_path: Path, name: str, value: float) -> None:
    base = drawn_state()
    tuned = {key: tensor.clone() for key, tensor in base.items()}
    tuned[name][0, 0] = value
    with pytest.raises(UserError, match=f"'{name}' holds values that are no finite numbers"):
        write_delta(base, tuned, tmp_path / "d", INT8, {"head.weight"})
    assert not (tmp_path / "d").exists()


def test_when_the_model_is_of_another_network_then_the_first_tensor_that_differs_is_named(tmp_path: Path) -> None:
    base = drawn_state()
    for tuned, expected in (
        (
            base | {"layer.weight": torch.zeros(24, 16)},
            r"'layer.weight' has the shape \[24, 16\] in the model and \[16",
        ),
        (base | {"more": torch.zeros(2)}, r"'more' has the shape \[2\] in the model and none in the network"),
        (
            {k: v for k, v in base.items() if k != "layer.bias"},
            r"'layer.bias' has the shape none in the model and \[16",
        ),
    ):
        with pytest.raises(UserError, match=expected):
            write_delta(base, tuned, tmp_path / "d", INT8, ())


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    base = drawn_state()
    tuned = changed_by(base, layer_weight=diagonal(4.0, 3.0), layer_bias=torch.ones(16))
    write_delta(base, tuned, tmp_path / "delta.safetensors", DeltaConfig(2), {"head.weight"})
    return tmp_path / "delta.safetensors"


def rewrite(path: Path, header: dict[str, str] | None = None, **parts: Tensor | None) -> None:
    """Change parts of a stored delta; None takes one out, ``__`` stands for ``/`` and ``_`` for a dot."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    given = {name.replace("__", "/").replace("_", "."): part for name, part in parts.items()}
    kept = {name: part for name, part in (load_file(path) | given).items() if part is not None}
    save_file(kept, path, metadata=metadata if header is None else header)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"layr_bias__difference": torch.ones(16)}, r"changes 'layr.bias', .* did you mean 'layer.bias'\?"),
        ({"layer_bias__difference": torch.ones(15)}, r"'layer.bias' does not fit .*shape \[15\], expected \[16\]"),
        ({"layer_weight__left": torch.ones(8, 2).half()}, r"shape \[8, 24\], expected \[16, 24\]"),
        ({"layer_weight__left": torch.ones(16, 3).half()}, "'layer.weight' does not fit the base, it is a delta for"),
        ({"layer_weight__left": None}, "its parts are right"),
        ({"table_weight__rows": torch.tensor([40]), "table_weight__difference": torch.ones(1, 8)}, "'table.weight'"),
        ({"head_weight__whole": None}, "lacks 'head.weight', which the base has no values for; it is not whole"),
        ({"head_weight__whole": torch.ones(3, 16)}, r"'head.weight' .* shape \[3, 16\], expected \[4, 16\]"),
        ({"head_weight__whole": torch.full((4, 16), torch.nan)}, "'head.weight' holds values that are no finite"),
        ({"layer_bias__difference": torch.full((16,), torch.inf)}, "'layer.bias' holds values that are no finite"),
        ({"header": {}}, "is a delta of format None; this version reads 1"),
        ({"header": {"stancekit.delta": '{"format": 2}'}}, "is a delta of format 2; this version reads 1"),
        ({"header": {"stancekit.delta": "x"}}, "cannot be read as a delta: Expecting value"),
    ],
)
def test_when_a_delta_is_broken_or_for_another_base_then_the_error_says_where(
    delta: Path, parts: dict[str, Any], expected: str
) -> None:
    rewrite(delta, **parts)
    with pytest.raises(UserError, match=rf"model: '{delta}'.*{expected}"):
        read_delta(delta, drawn_state(), {"head.weight"})


def test_when_the_base_is_of_the_same_size_but_turned_then_the_delta_is_refused(delta: Path) -> None:
    with pytest.raises(UserError, match=r"shape \[16, 24\], expected \[24, 16\]"):
        read_delta(delta, drawn_state() | {"layer.weight": torch.zeros(24, 16)}, {"head.weight"})


def test_when_the_file_is_no_delta_then_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("delta")
    for name in ("text", "nothing"):
        with pytest.raises(UserError, match=rf"'.*{name}' cannot be read as a delta"):
            read_delta(tmp_path / name, drawn_state(), ())


# A saved model as a delta on its encoder.


@pytest.fixture(scope="module")
def deep_encoder(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """The tiny encoder with three layers."""
    folder = Path(shutil.copytree(tiny_encoder, tmp_path_factory.mktemp("deep") / "encoder"))
    torch.manual_seed(0)
    BertModel(BertConfig.from_pretrained(folder, num_hidden_layers=3)).save_pretrained(folder)
    return folder


def tuned(settings: CrossEncoderConfig) -> CrossEncoder:
    """Return a cross-encoder in which all but the word embeddings is a little other than in its encoder."""
    torch.manual_seed(3)
    model = CrossEncoder.from_encoder(settings)
    frozen = model.network.get_input_embeddings().weight
    with torch.no_grad():
        for weight in model.network.parameters():
            if weight is not frozen:
                weight += 0.05 * torch.randn_like(weight)
    model.network.eval()
    return model


def save(model: CrossEncoder, folder: Path, settings: CrossEncoderConfig, rank: int | None = None, **more: Any) -> Path:
    size = save_model(model, folder, settings, {"seed": 1}, {"train": "abc"}, delta=DeltaConfig(rank), **more)
    assert size is not None and size.bytes == (folder / "delta.safetensors").stat().st_size
    return folder


def scores(model: Any, batch_size: int = 8) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = model.predict(PAIRS, batch_size).probabilities
    return found


@pytest.mark.parametrize("layers", [None, (0, 2)])
@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_when_a_model_is_saved_as_a_delta_then_it_is_small_and_what_is_loaded_predicts_nearly_the_same(
    deep_encoder: Path, tmp_path: Path, pooling: Literal["own", "mean"], layers: tuple[int, ...] | None
) -> None:
    settings = config(in_folder(deep_encoder), pooling, layers=layers)
    model = tuned(settings)
    folder = save(model, tmp_path / "saved", settings, calibration=CALIBRATION, trace=Trace.of(PAIRS))
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml",
        "delta.safetensors",
        "stancekit.json",
        "trace.npz",
    }
    torch.manual_seed(99)
    loaded = load_model(folder, calibrated=False)
    change = np.abs(scores(loaded.model) - scores(model)).max()
    assert 0 < change < 0.02
    untuned = CrossEncoder.from_encoder(settings)
    untuned.network.load_state_dict(
        untuned.network.state_dict() | {k: v for k, v in model.network.state_dict().items() if k in model._drawn()}
    )
    assert np.abs(scores(untuned) - scores(model)).max() > 10 * change
    assert loaded.manifest["format"] == 3 and loaded.manifest["data"] == {"train": "abc"}
    assert loaded.manifest["base"] == {"name": "tiny", "sha256": sha256_of(deep_encoder / "model.safetensors")}
    assert loaded.calibration == CALIBRATION and loaded.trace is not None
    calibrated = load_model(folder).model
    assert np.abs(scores(calibrated) - scores(loaded.model)).max() > 0.01


def test_when_adapters_were_trained_then_a_delta_of_their_rank_loses_nothing_but_rounding(
    deep_encoder: Path, tmp_path: Path
) -> None:
    settings = config(in_folder(deep_encoder), "mean", freeze_layers=1, lora=LoraConfig(rank=2, alpha=4))
    model = CrossEncoder.from_encoder(settings)
    choose_trained(model.network, settings)
    torch.manual_seed(4)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if "lora_" in name:
                weight.copy_(0.1 * torch.randn_like(weight))
    merge_adapters(model.network)
    model.network.eval()
    size = save_model(model, tmp_path / "saved", settings, {}, {}, delta=DeltaConfig(2))
    assert size is not None and 0 < size.error < 1e-3
    # Six matrices in each of the two layers above the frozen one, and the head.
    assert len(keys_in(tmp_path / "saved" / "delta.safetensors")) == 2 * 6 * 2 + 2
    np.testing.assert_allclose(scores(load_model(tmp_path / "saved").model), scores(model), atol=1e-3)


def test_when_the_encoder_was_saved_without_its_pooler_then_that_is_the_tuned_one_however_it_is_drawn(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))
    weights = load_file(encoder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "pooler" not in name}
    assert len(kept) == len(weights) - 2
    save_file(kept, encoder / "model.safetensors", metadata={"format": "pt"})
    settings = config(in_folder(encoder), "own")
    model = tuned(settings)
    folder = save(model, tmp_path / "saved", settings)
    for seed in (1, 2):
        torch.manual_seed(seed)
        assert np.abs(scores(load_model(folder).model) - scores(model)).max() < 0.02


def test_when_the_encoder_has_other_weights_then_its_delta_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))
    before = sha256_of(encoder / "model.safetensors")
    for name, sha256 in (("free", None), ("pinned", before)):
        settings = config(in_folder(encoder, sha256), "mean")
        save(tuned(settings), tmp_path / name, settings)
    weights = load_file(encoder / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, encoder / "model.safetensors", {"format": "pt"})
    after = sha256_of(encoder / "model.safetensors")
    told = rf"'.*free' is a delta on tiny with other weights .*\n +expected sha256 {before}\n +found +sha256 {after}"
    with pytest.raises(UserError, match=told):
        load_model(tmp_path / "free")
    with pytest.raises(UserError, match=r"encoder tiny: the hash of '.*' is wrong; these are not the expected weights"):
        load_model(tmp_path / "pinned")


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ({"name": "other", "sha256": "0" * 64}, r"is a delta on other with other weights than those of encoder tiny"),
        (None, r"stancekit.json': base: expected name and sha256 of the encoder's weights"),
        ({"name": "tiny"}, r"stancekit.json': base: expected name and sha256"),
        ("tiny", r"stancekit.json': base: expected name and sha256"),
    ],
)
def test_when_the_manifest_names_another_base_or_none_then_the_delta_is_refused(
    tiny_encoder: Path, tmp_path: Path, base: object, expected: str
) -> None:
    settings = config(in_folder(tiny_encoder, sha256_of(tiny_encoder / "model.safetensors")), "mean")
    folder = save(tuned(settings), tmp_path / "saved", settings)
    manifest = json.loads((folder / "stancekit.json").read_text())
    (folder / "stancekit.json").write_text(json.dumps(manifest | {"base": base}))
    with pytest.raises(UserError, match=expected):
        load_model(folder)


def test_when_the_encoder_is_on_the_hub_then_its_delta_carries_the_hash_of_the_cached_weights(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    shutil.copytree(tiny_encoder, tmp_path / "models--somebody--tiny" / "snapshots" / REVISION)
    settings = config(HubEncoder(source="hub", name="somebody/tiny", revision=REVISION), "mean")
    model = tuned(settings)
    loaded = load_model(save(model, tmp_path / "saved", settings))
    assert loaded.manifest["base"]["sha256"] == sha256_of(tiny_encoder / "model.safetensors")
    assert np.abs(scores(loaded.model) - scores(model)).max() < 0.02
    shutil.rmtree(tmp_path / "models--somebody--tiny")
    with pytest.raises(UserError, match=r"encoder somebody/tiny: model.safetensors at revision 0123.* cannot be had"):
        load_model(tmp_path / "saved")


def test_when_a_model_was_saved_whole_in_format_2_then_it_is_still_read(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = config(in_folder(tiny_encoder), "mean")
    model = tuned(settings)
    assert save_model(model, tmp_path / "saved", settings, {}, {}) is None
    path = tmp_path / "saved" / "stancekit.json"
    manifest = json.loads(path.read_text())
    assert manifest.pop("base") is None
    path.write_text(json.dumps(manifest | {"format": 2}))
    np.testing.assert_array_equal(scores(load_model(tmp_path / "saved").model), scores(model))
