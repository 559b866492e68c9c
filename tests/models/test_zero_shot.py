from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from stancekit.config.compose import config_dir
from stancekit.config.schema import FolderEncoder, HubEncoder, ZeroShotConfig
from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.models.saved import load_model, save_model
from stancekit.models.zero_shot import ZeroShotNli, nli_order, premise_and_hypothesis, zero_shot_config
from stancekit.pairs.model import Pair, pair_from_row
from tests.conftest import labelled_rows

NLI = ("entailment", "contradiction", "neutral")
REVISION = "0123456789abcdef0123456789abcdef01234567"
PAIRS = [pair_from_row(row) for row in labelled_rows(24)]


def nli_folder(folder: Path, tiny_encoder: Path, labels: Sequence[str]) -> Path:
    """Write an NLI model whose logit for each of ``NLI`` is the same whatever the order of its ``labels``."""
    network = AutoModelForSequenceClassification.from_pretrained(
        tiny_encoder, id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)}
    )
    head = torch.randn(3, network.config.hidden_size, generator=torch.Generator().manual_seed(1))
    for index, label in enumerate(labels):
        if label.lower() in NLI:
            network.classifier.weight.data[index] = head[NLI.index(label.lower())]
    network.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(folder)
    return folder


def config(path: Path, max_length: int = 64) -> ZeroShotConfig:
    return ZeroShotConfig(
        kind="zero_shot",
        name="nli",
        encoder=FolderEncoder(source="folder", path=str(path), name="nli"),
        premise="{holder}: {statement}",
        hypothesis="{holder} supports {target}.",
        unknown_holder="Somebody",
        max_length=max_length,
    )


@pytest.fixture(scope="module")
def nli(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nli_folder(tmp_path_factory.mktemp("nli"), tiny_encoder, ("contradiction", "entailment", "neutral"))


@pytest.fixture(scope="module")
def model(nli: Path) -> ZeroShotNli:
    return ZeroShotNli.from_encoder(config(nli))


@pytest.mark.parametrize("statement", ["wants the port", "wants {the} port {target}"])
def test_when_a_pair_is_scored_then_each_nli_probability_goes_to_its_stance_and_none_to_no_stance(
    statement: str, nli: Path, model: ZeroShotNli
) -> None:
    network = AutoModelForSequenceClassification.from_pretrained(nli).eval()
    tokenizer = AutoTokenizer.from_pretrained(nli)
    pair = Pair(statement, "closing the port", "Ann")
    with torch.inference_mode():
        inputs = tokenizer(f"Ann: {statement}", "Ann supports closing the port.", return_tensors="pt")
        contradiction, entailment, neutral = network(**inputs).logits[0].double().softmax(0).tolist()
    assert len({round(value, 3) for value in (contradiction, entailment, neutral)}) == 3
    found = dict(zip(OUTCOMES, model.predict([pair], 1).probabilities[0], strict=True))
    assert found == pytest.approx(
        {"supports": entailment, "rules_out": contradiction, "leaves_open": neutral, "no_stance": 0.0}, abs=1e-6
    )
    assert found["no_stance"] == 0.0


def test_when_two_models_name_the_same_logits_in_another_order_then_the_stances_are_the_same(
    tiny_encoder: Path, tmp_path: Path, model: ZeroShotNli
) -> None:
    other = ZeroShotNli.from_encoder(
        config(nli_folder(tmp_path, tiny_encoder, ("NEUTRAL", "ENTAILMENT", "CONTRADICTION")))
    )
    one, two = model.predict(PAIRS, 8), other.predict(PAIRS, 8)
    np.testing.assert_allclose(one.probabilities, two.probabilities, atol=1e-6)
    assert one.outcomes() == two.outcomes()
    # Columns that were alike would hide a wrong order.
    assert np.diff(np.sort(one.probabilities[:, :3], axis=1), axis=1).min() > 1e-3


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("entailment", "neutral", "contradiction"), [0, 2, 1]),
        (("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), [2, 0, 1]),
        (("Neutral", "contradictory", "entail"), [2, 1, 0]),
        (("contradict", "entailment", "neutral"), [1, 0, 2]),
    ],
)
def test_when_the_labels_are_named_then_the_order_follows_the_names(
    labels: tuple[str, ...], expected: list[int]
) -> None:
    assert nli_order(dict(enumerate(labels)), "m") == expected
    assert nli_order(dict(reversed(list(enumerate(labels)))), "m") == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"},
            "m: its labels are LABEL_0, LABEL_1, LABEL_2, which do not say what they mean; "
            "expected entailment, contradiction, neutral in config.json (id2label)",
        ),
        ({0: "LABEL_0", 1: "LABEL_1"}, "m: its labels are LABEL_0, LABEL_1, which do not say what they mean; expected"),
        (
            {0: "entailment", 1: "not_entailment"},
            "m: it has two labels alone, entailment, not_entailment, too few to tell supports, rules_out, leaves_open "
            "apart; expected entailment, contradiction, neutral",
        ),
        (
            {0: "entailment", 1: "entail", 2: "neutral"},
            "m: its labels are entailment, entail, neutral: entailment is there twice and contradiction is missing; "
            "expected entailment, contradiction, neutral",
        ),
        ({0: "negative", 1: "neutral", 2: "positive"}, "entailment is missing and contradiction is missing; expected"),
        ({0: "entailment", 1: "neutral", 2: "contradiction", 3: "-"}, "contradiction, -: there are 4, not 3; expected"),
        ({1: "entailment", 2: "neutral", 3: "contradiction"}, "they are numbered 1, 2, 3, not 0, 1, 2; expected"),
    ],
)
def test_when_the_labels_are_not_those_of_nli_then_the_model_is_refused(labels: dict[int, str], expected: str) -> None:
    with pytest.raises(UserError, match=re.escape(expected)):
        nli_order(labels, "m")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            ("LABEL_0", "LABEL_1", "LABEL_2"),
            "its labels are LABEL_0, LABEL_1, LABEL_2, which do not say what they mean",
        ),
        (("entailment", "not_entailment"), "it has two labels alone, entailment, not_entailment"),
    ],
)
def test_when_a_checkpoint_does_not_say_which_label_is_which_then_the_error_names_it(
    labels: tuple[str, ...], expected: str, tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = nli_folder(tmp_path, tiny_encoder, labels)
    with pytest.raises(UserError, match=re.escape(f"model nli: '{folder}': {expected}")):
        ZeroShotNli.from_encoder(config(folder))


def test_when_pairs_of_many_lengths_are_scored_then_the_order_and_the_batch_size_do_not_matter(
    model: ZeroShotNli,
) -> None:
    pairs = [Pair("wants the port " * (1 + i * 7 % 5), f"opening {'the mine ' * (i % 3)}", "Ann") for i in range(23)]
    together = model.predict(pairs, 8).probabilities
    single = np.vstack([model.predict([pair], 1).probabilities for pair in pairs])
    np.testing.assert_allclose(together, single, atol=1e-6)
    np.testing.assert_allclose(model.predict(pairs[::-1], 5).probabilities[::-1], single, atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-12)
    assert len(np.unique(together.round(9), axis=0)) > 10


def test_when_there_are_no_pairs_then_the_prediction_is_empty(model: ZeroShotNli) -> None:
    prediction = model.predict([], 8)
    assert prediction.probabilities.shape == (0, 4) and prediction.truncated.shape == (0,)


def test_when_a_statement_is_one_token_too_long_then_it_is_cut_and_said_and_the_hypothesis_is_whole(nli: Path) -> None:
    # The hypothesis, longer than what is left for the statement, has 22 tokens: a, s-u-p-p-o-r-t-s, 12 words, a stop.
    target = " ".join(["port"] * 12)
    full = 32 - len(["[CLS]", "[SEP]", "[SEP]"]) - 22 - len(["a", ":"])
    model = ZeroShotNli.from_encoder(config(nli, max_length=32))
    pairs = [Pair(" ".join(["port"] * words), target, "a") for words in (full, full + 1, full + 50)]
    prediction = model.predict(pairs, 2)
    assert prediction.truncated.tolist() == [False, True, True]
    # All that is cut is the end of the statement, so what the three read is the same.
    np.testing.assert_allclose(prediction.probabilities, prediction.probabilities[[0, 0, 0]], atol=1e-6)


def test_when_a_target_leaves_no_room_then_it_is_refused_by_name(nli: Path) -> None:
    model = ZeroShotNli.from_encoder(config(nli, max_length=32))
    with pytest.raises(UserError, match=r"the hypothesis 'a supports port port .* has 50 tokens, .* has room for 29"):
        model.predict([Pair("a", "t", "a"), Pair("a", "port " * 40, "a")], 2)


def test_when_the_text_has_braces_then_they_are_text_and_an_unknown_holder_has_a_name(tmp_path: Path) -> None:
    assert premise_and_hypothesis(Pair("we {go} {target}", "{holder} {0}", "{statement}"), config(tmp_path)) == (
        "{statement}: we {go} {target}",
        "{statement} supports {holder} {0}.",
    )
    assert premise_and_hypothesis(Pair("we go", "it"), config(tmp_path)) == ("Somebody: we go", "Somebody supports it.")


def test_when_a_model_is_saved_and_loaded_then_its_predictions_are_the_same_bits(
    nli: Path, model: ZeroShotNli, tmp_path: Path
) -> None:
    save_model(model, tmp_path / "saved", config(nli), {"seed": 1}, {"test": "abc"})
    loaded = load_model(tmp_path / "saved")
    assert isinstance(loaded.model, ZeroShotNli) and loaded.config == config(nli)
    np.testing.assert_array_equal(loaded.model.predict(PAIRS, 8).probabilities, model.predict(PAIRS, 8).probabilities)


def test_when_a_hub_model_is_pinned_then_it_is_configured_as_the_shipped_one() -> None:
    found = zero_shot_config(f"hub:some-body/nli_v1.0@{REVISION}")
    shipped = yaml.safe_load((config_dir() / "model/nli_zero_shot.yaml").read_text(encoding="utf-8"))
    assert found is not None and found.name == "nli_v1.0"
    assert found.encoder == HubEncoder(source="hub", name="some-body/nli_v1.0", revision=REVISION)
    written = found.model_dump(exclude={"name", "encoder"})
    assert written == {key: value for key, value in shipped.items() if key not in ("name", "encoder")}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hub:a/nli", "model: 'hub:a/nli': pin it to a commit: hub:a/nli@… (40 hex digits; none is given)"),
        ("hub:a/nli@", "pin it to a commit: hub:a/nli@… (40 hex digits; none is given)"),
        ("hub:a/nli@main", "pin it to a commit: hub:a/nli@… (40 hex digits; 'main' is not one)"),
        (f"hub:a/nli@{REVISION}0", "pin it to a commit: hub:a/nli@…"),
        (f"hub:nli@{REVISION}", "'nli' is no id on the hub; expected hub:OWNER/NAME@COMMIT"),
    ],
)
def test_when_a_hub_model_is_not_pinned_then_it_is_refused(name: str, expected: str) -> None:
    with pytest.raises(UserError, match=re.escape(expected)):
        zero_shot_config(name)


def test_when_a_folder_is_of_transformers_then_it_is_zero_shot_and_with_a_manifest_it_is_not(
    nli: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(nli, tmp_path / "my_nli"))
    found = zero_shot_config(str(folder))
    assert found is not None and found.name == "my_nli"
    assert found.encoder == FolderEncoder(source="folder", path=str(folder), name="my_nli")
    monkeypatch.chdir(folder)
    here = zero_shot_config(".")
    assert here is not None and here.name == "my_nli"
    (folder / "stancekit.json").write_text("{}")
    assert zero_shot_config(str(folder)) is None


def test_when_a_name_is_no_nli_model_then_it_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in (
        "default",
        "champion",
        "latest",
        "0" * 32,
        "models:/stance@champion",
        str(tmp_path / "empty"),
        str(tmp_path / "no"),
    ):
        assert zero_shot_config(name) is None
