"""The card's tables of what the models are: size, encoder, recipe, data and cost, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stancekit.cards.gather import Model
from stancekit.cards.tables import NONE, NOT_MEASURED, Table, plain, side_by_side
from stancekit.metric_names import shown_name

LICENCES: Mapping[str, str] = {
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db": "Apache-2.0",
    "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658": "Apache-2.0",
}
"""The licences of the encoders that were looked up, by the sha256 of their weights."""

_NOT_RECORDED = "not recorded"
_NO_STAGES = "none"


def sizes(models: Sequence[Model]) -> Table:
    """Return what the models are."""
    rows: list[tuple[str, Callable[[Model], str]]] = [
        ("parameters", _parameters),
        ("files", lambda model: f"{model.size / 1e6:.1f} MB: {_weights(model)}"),
        ("encoder", _source),
        ("sha256 of its weights", lambda model: _code(_encoder_hash(model))),
        ("its licence", _licence),
        ("layers of it", _layers),
        ("stancekit, torch, transformers", _versions),
    ]
    return side_by_side(models, rows)


def recipes(models: Sequence[Model]) -> Table:
    """Return how the models were trained."""
    rows: list[tuple[str, Callable[[Model], str]]] = [
        ("what is trained", _trained),
        ("it reads", _reads),
        ("training rows", _rows),
        ("teacher", _teacher),
        ("epochs at most", _key("training.epochs")),
        ("rows a step", _key("training.batch_size")),
        ("learning rate", _key("training.learning_rate")),
        ("weight decay", _key("training.weight_decay")),
        ("label smoothing", _key("training.label_smoothing")),
        ("epoch chosen by", lambda model: f"{plain(shown_name(model.recipe.get('training.metric', NONE)))} on dev"),
        ("earlier trainings", _stages),
        ("seed", _key("seed")),
    ]
    return side_by_side(models, rows)


def fingerprints(models: Sequence[Model]) -> Table:
    """Return the fingerprint of every part of the data that a model was made with or measured on, with its rows."""

    def cell(part: str) -> Callable[[Model], str]:
        def shown(model: Model) -> str:
            own, report = model.manifest["data"].get(part), model.results.get(part)
            if report is None:
                return f"`{own}`" if own else NONE
            scored = f"`{report.fingerprint}`, {report.rows:,} rows"
            # Data may be mended after a training: whoever compares scores must know.
            return scored if own in (None, report.fingerprint) else f"`{own}`; measured on {scored}"

        return shown

    parts = dict.fromkeys(part for model in models for part in (*model.manifest["data"], *model.results))
    return side_by_side(models, [(part, cell(part)) for part in parts])


def costs(models: Sequence[Model]) -> Table:
    """Return what training took."""
    rows: list[tuple[str, Callable[[Model], str]]] = [
        ("CPU hours (hours × threads)", _cpu_hours),
        ("hours", lambda model: _of_training(model, f"{model.training.seconds / 3600:.2f}" if model.training else "")),
        ("of them in earlier trainings", _stage_hours),
        ("hours of the repeats with other seeds", _repeat_hours),
        ("accelerator", _accelerator),
        ("machine", lambda model: _of_training(model, model.training.machine if model.training else None)),
        ("commit", _commit),
    ]
    return side_by_side(models, rows)


def _licence(model: Model) -> str:
    return LICENCES.get(_encoder_hash(model) or "", "unknown: look it up before you use the model")


def _teacher(model: Model) -> str:
    further = _mixed(model)
    rows = model.training.soft_rows if model.training else None
    if rows is None and (further or _stages(model) != _NO_STAGES):
        return f"{_NOT_RECORDED} whether rows have soft labels"
    if not rows:
        return "none"
    weight, temperature = (model.recipe.get(f"training.distillation.{key}", "?") for key in ("weight", "temperature"))
    return f"soft labels of {rows:,} rows, which count {weight}, at temperature {temperature}"


def _mixed(model: Model) -> dict[str, float]:
    """Return the weights of the further sources of a model's training rows, by name."""
    start, end = "data.mix.", ".weight"
    return {
        key.removeprefix(start).removesuffix(end): value
        for key, value in model.recipe.items()
        if key.startswith(start) and key.endswith(end) and key.count(".") == start.count(".") + end.count(".")
    }


def _key(name: str) -> Callable[[Model], str]:
    return lambda model: NONE if (value := model.recipe.get(name)) is None else plain(f"{value}")


def _code(text: str | None) -> str:
    return f"`{text}`" if text else _NOT_RECORDED


def _encoder(model: Model) -> Mapping[str, Any]:
    return model.manifest["model"].get("encoder") or {}


def _source(model: Model) -> str:
    encoder = _encoder(model)
    name = plain(str(encoder.get("hub") or encoder.get("name") or NONE))
    revision = encoder.get("revision")
    return f"{name}, commit `{revision[:12]}`" if revision else name


def _encoder_hash(model: Model) -> str | None:
    base = model.manifest.get("base") or {}
    return base.get("sha256") or _encoder(model).get("sha256")


def _parameters(model: Model) -> str:
    count = model.training.parameters if model.training else None
    return f"{count:,}" if count else _NOT_RECORDED


def _weights(model: Model) -> str:
    if model.manifest.get("base"):
        return "what differs from the encoder, which is needed beside it"
    return "all weights"


def _layers(model: Model) -> str:
    kept = model.manifest["model"].get("layers")
    return f"{len(kept)}: {', '.join(map(str, kept))}" if kept else "all"


def _versions(model: Model) -> str:
    versions = model.manifest["versions"]
    return ", ".join(str(versions.get(name, "?")) for name in ("stancekit", "torch", "transformers"))


def _trained(model: Model) -> str:
    values = model.manifest["model"]
    lora = values.get("lora")
    said = f"adapters (LoRA) of rank {lora['rank']}, alpha {lora['alpha']:g}" if lora else "the layers themselves"
    frozen = ["word embeddings"] if values.get("freeze_word_embeddings") else []
    frozen += [f"the lowest {lowest} of the layers"] if (lowest := values.get("freeze_layers")) else []
    return f"{said}; frozen: {' and '.join(frozen)}" if frozen else said


def _reads(model: Model) -> str:
    values = model.manifest["model"].get("input") or {}
    if not values:
        return NONE
    return f"`{values['statement']}` and `{values['target']}`, {values['max_length']} tokens at most"


def _rows(model: Model) -> str:
    rows = f"{model.training.rows:,}" if model.training and model.training.rows is not None else _NOT_RECORDED
    own = plain(str(model.recipe.get("data.name", "?")))
    further = [f"{plain(name)} ({weight:g} for each of these)" for name, weight in _mixed(model).items()]
    return f"{rows}: {', '.join([own, *further])}"


def _stages(model: Model) -> str:
    names = dict.fromkeys(key.split(".")[1] for key in model.recipe if key.startswith("stages."))
    return ", ".join(map(plain, names)) or _NO_STAGES


def _of_training(model: Model, value: str | None) -> str:
    if model.training is None:
        return NOT_MEASURED
    return value or _NOT_RECORDED


def _cpu_hours(model: Model) -> str:
    training = model.training
    if training is None or training.cpu_hours is None:
        return NOT_MEASURED
    return f"{'more than ' if training.interrupted else ''}{training.cpu_hours:.1f} ({training.threads} threads)"


def _stage_hours(model: Model) -> str:
    stages = model.training.stages if model.training else ()
    said = ", ".join(f"{plain(stage.name)} {stage.seconds / 3600:.2f}" for stage in stages)
    return _of_training(model, said or (_NOT_RECORDED if _stages(model) != _NO_STAGES else NONE))


def _repeat_hours(model: Model) -> str:
    return f"{model.measured.seconds / 3600:.2f}" if model.measured else NOT_MEASURED


def _accelerator(model: Model) -> str:
    return _of_training(model, "none" if model.training and model.training.without_accelerator else None)


def _commit(model: Model) -> str:
    training = model.training
    if training is None:
        return NOT_MEASURED
    return f"`{training.commit[:12]}`{', changed since' if training.changed_since else ''}"
