"""A model of natural language inference used as it is: does a statement entail or contradict that its target is backed?

Stance as entailment, without a row of training data (Yin, Hay & Roth, 2019).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import yaml

from stancekit.config.compose import config_dir
from stancekit.config.schema import EncoderConfig, FolderEncoder, HubEncoder, ZeroShotConfig
from stancekit.encoders.loading import load_encoder, quiet_transformers
from stancekit.errors import UserError
from stancekit.labels import NLI_STANCES, OUTCOMES, NliLabel
from stancekit.models.base import Prediction
from stancekit.models.inputs import encode
from stancekit.models.saved import MANIFEST
from stancekit.pairs.model import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SPELLINGS: dict[str, NliLabel] = {
    "entailment": "entailment",
    "entail": "entailment",
    "contradiction": "contradiction",
    "contradict": "contradiction",
    "contradictory": "contradiction",
    "neutral": "neutral",
}
_COLUMNS = [OUTCOMES.index(stance) for stance in NLI_STANCES.values()]
_HUB = "hub:"
_SHIPPED = "model/nli_zero_shot.yaml"
_TEMPLATES = ("premise", "hypothesis", "unknown_holder", "max_length")


class ZeroShotNli:
    """An NLI classifier with its tokenizer and the templates for premise and hypothesis."""

    def __init__(self, network: Any, tokenizer: Any, config: ZeroShotConfig) -> None:
        """Put the three together; ``network`` is a transformers model with one logit per NLI label.

        Raises:
            UserError: the names of the network's labels do not say which logit is which.
        """
        import torch

        self._order = nli_order(network.config.id2label, f"model {config.name}: '{network.name_or_path}'")
        self._network = network.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self._tokenizer = tokenizer
        self._config = config

    @classmethod
    def from_encoder(cls, config: ZeroShotConfig) -> Self:
        """Return the NLI model that the configuration names, with its own head and labels.

        Raises:
            UserError: the model cannot be found, its hash is wrong, or its labels are not those of NLI.
        """
        from transformers import AutoModelForSequenceClassification

        network, tokenizer = load_encoder(AutoModelForSequenceClassification, config.encoder)
        return cls(network, tokenizer, config)

    @classmethod
    def read(cls, folder: Path, config: ZeroShotConfig) -> Self:
        """Return the model that ``write`` left in a folder; nothing in the folder is executed.

        Raises:
            UserError: its labels are not those of NLI.
        """
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        quiet_transformers()
        network = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        return cls(network, tokenizer, config)

    def write(self, folder: Path) -> None:
        """Write safetensors, configuration (the label names in it) and tokenizer."""
        self._network.save_pretrained(folder)
        self._tokenizer.save_pretrained(folder)

    def predict(self, pairs: Sequence[Pair], batch_size: int) -> Prediction:
        """Return the outcome probabilities of every pair, that of ``no_stance`` always 0.

        Batches are grouped by length, the order is restored. Only the statement is ever cut.

        Raises:
            UserError: a target alone is longer than the input.
        """
        import torch

        rows = np.zeros((len(pairs), len(OUTCOMES)))
        if not pairs:
            return Prediction(rows, np.zeros(0, dtype=bool))
        inputs, truncated = self._encode(pairs)
        by_length = sorted(range(len(pairs)), key=lambda i: len(inputs[i]["input_ids"]))
        with torch.inference_mode():
            for first in range(0, len(by_length), batch_size):
                chosen = by_length[first : first + batch_size]
                batch = self._tokenizer.pad([inputs[i] for i in chosen], return_tensors="pt")
                logits = self._network(**batch.to(self._network.device)).logits[:, self._order]
                # In double precision, so that confident rows keep probabilities that add up to one.
                rows[np.ix_(chosen, _COLUMNS)] = torch.softmax(logits.double(), dim=-1).cpu().numpy()
        return Prediction(rows, truncated)

    def _encode(self, pairs: Sequence[Pair]) -> tuple[list[dict[str, list[int]]], NDArray[np.bool_]]:
        segments = [premise_and_hypothesis(pair, self._config) for pair in pairs]

        def refusal(at: int, tokens: int, room: int) -> str:
            return (
                f"the hypothesis {segments[at][1][:60]!r}… has {tokens} tokens, but the input has room for {room} "
                "in all; expected a target that is a short noun phrase"
            )

        return encode(self._tokenizer, segments, self._config.max_length, refusal)


def premise_and_hypothesis(pair: Pair, config: ZeroShotConfig) -> tuple[str, str]:
    """Return the two segments that an NLI model reads: the statement, and what is asked about the target."""
    holder = pair.holder or config.unknown_holder
    # One pass over each template: braces in the news text are text, not fields.
    return (
        config.premise.format(statement=pair.statement, holder=holder),
        config.hypothesis.format(target=pair.target, holder=holder),
    )


def nli_order(id2label: Mapping[int, str], where: str) -> list[int]:
    """Return the indices of the logits for entailment, contradiction and neutral, found by the names of the labels.

    Case does not matter, and a few other spellings are known (entail, contradict, contradictory).

    Args:
        id2label: the name of every logit, as in a transformers configuration.
        where: the beginning of an error's message.

    Raises:
        UserError: the labels say nothing (``LABEL_0``), or are not these three, each once.
    """
    names = [str(id2label[index]) for index in sorted(id2label)]
    listed = ", ".join(names)
    expected = f"expected {', '.join(NLI_STANCES)} in config.json (id2label)"
    if any(re.fullmatch(r"label_\d+", name, re.IGNORECASE) for name in names):
        raise UserError(f"{where}: its labels are {listed}, which do not say what they mean; {expected}")
    if len(names) == 2:
        raise UserError(
            f"{where}: it has two labels alone, {listed}, too few to tell {', '.join(NLI_STANCES.values())} apart; "
            f"{expected}"
        )
    found = [_SPELLINGS.get(name.strip().lower()) for name in names]
    problems = [f"{label} is there twice" for label in NLI_STANCES if found.count(label) > 1]
    problems += [f"{label} is missing" for label in NLI_STANCES if label not in found]
    if len(names) > len(NLI_STANCES):
        problems.append(f"there are {len(names)}, not {len(NLI_STANCES)}")
    if not problems and (numbers := sorted(id2label)) != [0, 1, 2]:
        problems.append(f"they are numbered {', '.join(map(str, numbers))}, not 0, 1, 2")
    if problems:
        raise UserError(f"{where}: its labels are {listed}: {' and '.join(problems)}; {expected}")
    return [found.index(label) for label in NLI_STANCES]


def zero_shot_config(name: str) -> ZeroShotConfig | None:
    """Return the configuration of the NLI model that ``model=`` names, or None where it names something else.

    ``hub:OWNER/NAME@COMMIT`` is a model on the hub; a folder with a ``config.json``, but without our manifest, is one
    as transformers writes it. The templates are those of ``configs/model/nli_zero_shot.yaml``.

    Raises:
        UserError: a model on the hub is not pinned to a commit, or its id is none.
    """
    encoder: EncoderConfig
    if name.startswith(_HUB):
        encoder = _hub_encoder(name)
        last = encoder.name.rpartition("/")[2]
    else:
        folder = Path(name).expanduser()
        if not (folder / "config.json").is_file() or (folder / MANIFEST).exists():
            return None
        last = folder.resolve().name
        encoder = FolderEncoder(source="folder", path=name, name=last)
    shipped = yaml.safe_load((config_dir() / _SHIPPED).read_text(encoding="utf-8"))
    return ZeroShotConfig(kind="zero_shot", name=last, encoder=encoder, **{key: shipped[key] for key in _TEMPLATES})


def _hub_encoder(name: str) -> HubEncoder:
    repository, _, commit = name.removeprefix(_HUB).partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise UserError(f"model: '{name}': '{repository}' is no id on the hub; expected hub:OWNER/NAME@COMMIT")
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        found = f"'{commit}' is not one" if commit else "none is given"
        raise UserError(f"model: '{name}': pin it to a commit: hub:{repository}@… (40 hex digits; {found})")
    return HubEncoder(source="hub", name=repository, revision=commit)
