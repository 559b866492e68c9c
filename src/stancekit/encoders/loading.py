"""The only place that loads an encoder: safetensors alone, no remote code, one clear error."""

from __future__ import annotations

from typing import Any

from safetensors import SafetensorError

from stancekit.config.schema import EncoderConfig
from stancekit.encoders.locate import locate
from stancekit.errors import UserError


def load_encoder(auto_class: Any, config: EncoderConfig, **settings: Any) -> tuple[Any, Any]:
    """Return the model and the tokenizer of an encoder, local weights checked against their hash.

    Args:
        auto_class: transformers' class to load the model with (``AutoModel``, ``AutoModelForSequenceClassification``).
        settings: changes to the model's own configuration, by name; those that it does not know are left out.

    Raises:
        UserError: the encoder cannot be found, its hash is wrong, a file of it is missing or broken, or its weights are
            of another architecture.
    """
    from transformers import AutoConfig, AutoTokenizer

    quiet_transformers()
    files = locate(config)
    where = {"revision": files.revision or "main", "trust_remote_code": False}
    try:
        own = AutoConfig.from_pretrained(files.location, **where)
        for name, value in settings.items():
            if hasattr(own, name):
                setattr(own, name, value)
        # A head with other labels, as of an NLI model, is replaced; the encoder below it is kept.
        model, found = auto_class.from_pretrained(
            files.location,
            config=own,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **where,
        )
        tokenizer = AutoTokenizer.from_pretrained(files.location, **where)
    except (OSError, ValueError, SafetensorError) as error:
        at = f" at revision {files.revision}" if files.revision else ""
        raise UserError(
            f"encoder {config.name}: cannot be loaded from '{files.location}'{at}: {str(error).splitlines()[0]}\n"
            "  expected: config.json, tokenizer files and model.safetensors, in a folder or on a reachable hub"
        ) from error
    # Missing weights are drawn at random without a word: right for a new head, and a disaster for all of them.
    if all(name in found["missing_keys"] for name, _ in model.named_parameters()):
        raise UserError(
            f"encoder {config.name}: no weight in '{files.location}' is one of a {own.model_type} model, as its "
            "config.json calls it\n  expected: an encoder or classifier as transformers saves it; not a model that was "
            "trained here with model.pooling=mean"
        )
    return model.float(), tokenizer


def load_tokenizer(config: EncoderConfig) -> Any:
    """Return the tokenizer of an encoder alone.

    Raises:
        UserError: the encoder cannot be found, its hash is wrong, or a file of it is missing or broken.
    """
    from transformers import AutoTokenizer

    quiet_transformers()
    files = locate(config)
    try:
        return AutoTokenizer.from_pretrained(files.location, revision=files.revision or "main", trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"encoder {config.name}: its tokenizer cannot be loaded from '{files.location}': "
            f"{str(error).splitlines()[0]}"
        ) from error


def quiet_transformers() -> None:
    """Keep transformers' progress bars and load reports off the terminal; its warnings of real trouble stay."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
