"""Fine-tuning a cross-encoder with transformers' Trainer, such that a killed run continues to the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import datasets
import numpy as np
import torch
from safetensors.torch import load_model
from sklearn.utils.class_weight import compute_class_weight
from torch.utils.data import Sampler
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_pt_utils import get_length_grouped_indices

from stancekit.config.schema import CrossEncoderConfig, TrainingConfig
from stancekit.data.soft import COLUMNS, soft_labels
from stancekit.encoders.locate import WEIGHTS
from stancekit.errors import UserError
from stancekit.files import row_writer
from stancekit.labels import OUTCOMES
from stancekit.metric_names import shown_name
from stancekit.models.adapting import choose_trained, merge_adapters
from stancekit.models.base import label_indices
from stancekit.models.cross_encoder import CrossEncoder
from stancekit.models.precision import use_bf16
from stancekit.pairs.model import Pair
from stancekit.training.losses import StanceLoss

if TYPE_CHECKING:
    from numpy.typing import NDArray

BAD_BATCH = "bad_batch.jsonl"
"""The file beside the checkpoints with the rows at which the loss was no number any more."""

_WHOLE = "whole"
_LENGTH_POOL = 50

Score = Callable[["NDArray[np.int64]", "NDArray[np.float64]"], Mapping[str, float]]
"""Gold indices of shape (rows,) and probabilities of shape (rows, 4) to named scores."""

Log = Callable[[Mapping[str, float], int], None]
"""Takes named values and the optimizer step that they belong to."""


@dataclass(frozen=True)
class Fitted:
    """The best model on dev and how training went."""

    model: CrossEncoder
    best_dev: float
    best_step: int
    steps: int
    bf16: bool


class EpochLengthSampler(Sampler[int]):
    """Shuffles rows such that batches hold rows of like length; the order depends on seed and epoch alone.

    A sampler that draws from torch's global generator would order a resumed epoch differently.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        """Keep the length of every row, the batch size and the seed."""
        self._lengths = list(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Yield every row's index once."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        pool = min(_LENGTH_POOL, max(1, len(self) // (self._batch_size * 4)))
        order: list[int] = get_length_grouped_indices(  # type: ignore[no-untyped-call]
            self._lengths, self._batch_size, pool, generator=generator
        )
        return iter(order)


class _StanceTrainer(Trainer):
    """Trainer with our row order, and checkpoints that say when they are whole."""

    def __init__(
        self, *args: Any, lengths: Sequence[int], loss: StanceLoss, train: Sequence[Pair], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lengths = lengths
        self._loss = loss
        self._train = train

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return EpochLengthSampler(self._lengths, self.args.train_batch_size, self.args.seed)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        labels, soft, rows = (inputs.pop(name) for name in ("labels", "soft", "row"))
        outputs = model(**inputs)
        loss = self._loss(outputs.logits, labels, soft)
        if model.training and not torch.isfinite(loss):
            self._refuse_batch([self._train[i] for i in rows.tolist()], loss.item())
        return (loss, outputs) if return_outputs else loss

    def _refuse_batch(self, pairs: Sequence[Pair], loss: float) -> NoReturn:
        """Stop before the weights are spoilt, and leave what was being learned from for inspection."""
        folder = Path(str(self.args.output_dir))
        file = folder / BAD_BATCH
        with row_writer(file) as write:
            for pair in pairs:
                write(pair.row())
        kept = last_whole_checkpoint(folder)
        raise UserError(
            f"training: the loss became {loss} at step {self.state.global_step + 1}; expected a finite number\n"
            f"  the batch: {file}\n"
            f"  the last good checkpoint: {kept or 'none was written yet'}\n"
            f"  lower training.learning_rate (now {self.args.learning_rate:g}), or try training.precision=fp32"
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        mark = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}" / _WHOLE
        mark.unlink(missing_ok=True)
        super()._save_checkpoint(model, trial)
        mark.touch()


class _SaveWithinEpochs(TrainerCallback):
    """Asks for a checkpoint every few steps.

    Never at an epoch's last step: a run continued from there would go on with the next epoch and miss the evaluation.
    """

    def __init__(self, every: int, steps_per_epoch: int) -> None:
        self._every = every
        self._steps_per_epoch = steps_per_epoch

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self._every == 0 and state.global_step % self._steps_per_epoch:
            control.should_save = True


class _Reporter(TrainerCallback):
    """Hands curves to ``log`` and one line an epoch to ``say``."""

    def __init__(self, metric: str, log: Log, say: Callable[[str], None]) -> None:
        self._metric = metric
        self._log = log
        self._say = say
        self._loss = float("nan")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        logs = logs or {}
        if "loss" in logs:
            self._loss = logs["loss"]
            self._log({"train/loss": logs["loss"], "train/learning_rate": logs["learning_rate"]}, state.global_step)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        curves = {name.replace("eval_", "dev/", 1): value for name, value in metrics.items() if name != "epoch"}
        speed = ("dev/runtime", "dev/samples_per_second", "dev/steps_per_second")
        self._log({name: value for name, value in curves.items() if name not in speed}, state.global_step)
        reached = f"dev {shown_name(self._metric)} {metrics['eval_' + self._metric]:.3f}"
        self._say(
            f"epoch {state.epoch:.0f}/{args.num_train_epochs:.0f} · train loss {self._loss:.3f} · "
            f"dev loss {metrics['eval_loss']:.3f} · {reached}"
        )


def last_whole_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end, or None."""
    found = [path.parent for path in folder.glob(f"checkpoint-*/{_WHOLE}")]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def fit_cross_encoder(
    config: CrossEncoderConfig,
    training: TrainingConfig,
    train: Sequence[Pair],
    dev: Sequence[Pair],
    *,
    eval_batch_size: int,
    seed: int,
    folder: Path,
    score: Score,
    log: Log,
    say: Callable[[str], None],
    start: Path | None = None,
) -> Fitted:
    """Fine-tune until the metric on dev has not risen for ``patience`` epochs, and return the best epoch's model.

    The same arguments give the same weights on the same machine. ``folder`` takes the checkpoints; whole ones that a
    killed run left there are continued from. ``start`` has the weights to begin with, of the same network, instead of
    the encoder's own.

    Raises:
        UserError: the encoder cannot be used as configured, a row has broken soft labels, or the loss is no finite
            number any more.
    """
    set_seed(seed)
    model = CrossEncoder.from_encoder(config)
    if start is not None:
        load_model(model.network, start)
    choose_trained(model.network, config)
    train_rows, lengths = _rows(model, train)
    dev_rows, _ = _rows(model, dev)
    bf16 = use_bf16(training.precision)
    steps_per_epoch = -(-len(train) // training.batch_size)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=training.epochs,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=eval_batch_size,
        learning_rate=training.learning_rate,
        warmup_steps=int(training.warmup * training.epochs * steps_per_epoch),
        weight_decay=training.weight_decay,
        eval_strategy="epoch",
        save_strategy="epoch",
        # The best and the last: with 1, the Trainer deletes the last at the end, before the run is over.
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model=training.metric,
        greater_is_better=True,
        logging_steps=10,
        logging_first_step=True,
        disable_tqdm=True,
        report_to="none",
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
        remove_unused_columns=False,
    )
    callbacks: list[TrainerCallback] = [EarlyStoppingCallback(training.patience), _Reporter(training.metric, log, say)]
    if training.checkpoint_steps is not None:
        callbacks.append(_SaveWithinEpochs(training.checkpoint_steps, steps_per_epoch))
    trainer = _StanceTrainer(
        model=model.network,
        args=arguments,
        train_dataset=train_rows,
        eval_dataset=dev_rows,
        data_collator=DataCollatorWithPadding(model.tokenizer, pad_to_multiple_of=8),
        compute_metrics=lambda output: dict(score(output.label_ids, _probabilities(output.predictions))),
        callbacks=callbacks,
        lengths=lengths,
        loss=StanceLoss(training, _class_weights(training, train)),
        train=train,
    )
    trainer.remove_callback(PrinterCallback)
    checkpoint = last_whole_checkpoint(folder)
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME)) if checkpoint else None
    if state is not None and _has_ended(state, training):
        # The Trainer forgets on resuming that it had stopped early, and would go on.
        load_model(model.network, folder / f"checkpoint-{state.best_global_step}" / WEIGHTS)
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        state = trainer.state
    # The Trainer leaves its autocast wrapped around the network, which would then predict otherwise than once saved.
    model.network = trainer.accelerator.unwrap_model(model.network, keep_fp32_wrapper=False)
    if config.lora is not None:
        merge_adapters(model.network)
    model.network.eval()
    return Fitted(model, float(state.best_metric or 0.0), int(state.best_global_step or 0), state.global_step, bf16)


def _has_ended(state: TrainerState, training: TrainingConfig) -> bool:
    """Return whether training was over when this state was saved: all epochs done, or patience used up."""
    saved: Any = state.stateful_callbacks
    waited = int(saved[EarlyStoppingCallback.__name__]["attributes"]["early_stopping_patience_counter"])
    return state.global_step >= state.max_steps or waited >= training.patience


def _rows(model: CrossEncoder, pairs: Sequence[Pair]) -> tuple[datasets.Dataset, list[int]]:
    inputs, _ = model.encode(pairs)
    labels = label_indices(pairs).tolist()
    untaught = dict.fromkeys(COLUMNS, 0.0)
    rows = [
        {**row, "labels": label, "soft": list((soft_labels(pair, "training") or untaught).values()), "row": i}
        for i, (row, label, pair) in enumerate(zip(inputs, labels, pairs, strict=True))
    ]
    return datasets.Dataset.from_list(rows), [len(row["input_ids"]) for row in inputs]


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return torch.softmax(torch.from_numpy(logits).double(), dim=-1).numpy()


def _class_weights(training: TrainingConfig, train: Sequence[Pair]) -> torch.Tensor:
    weights = torch.ones(len(OUTCOMES))
    if training.class_weights == "balanced":
        labels = label_indices(train)
        present = np.unique(labels)
        balanced = compute_class_weight("balanced", classes=present, y=labels)
        weights[present] = torch.tensor(balanced, dtype=weights.dtype)
    return weights
