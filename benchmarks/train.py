"""Pairs trained on per second: our loop against a plain script with transformers' Trainer, by turns in one run.

    python benchmarks/train.py [--model minilm|mpnet] [--threads N] [--rounds N] [--steps N] [--batch-size N]

Ours is ``stancekit.training.trainer`` itself: bf16 where the processor computes in it, batches of rows of like length,
frozen word embeddings. The plain script pads every row to 256 tokens, computes in fp32 and trains all weights. Both
fine-tune the same encoder, without adapters, on the same rows of stancebank in batches of the same size; every round
takes other rows. The clock runs from the first forward pass to the end of the last step: reading, tokenizing,
evaluation and checkpoints are not in it. So few rows are grouped by length less well than those of a whole epoch.
"""

from __future__ import annotations

import argparse
import gc
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import datasets
import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments, set_seed

from stancekit.config.compose import load_config
from stancekit.config.schema import CrossEncoderConfig, TrainConfig, TrainingConfig
from stancekit.data.dataset import load_dataset
from stancekit.encoders.loading import load_encoder
from stancekit.labels import OUTCOMES
from stancekit.models.base import label_indices
from stancekit.models.inputs import render
from stancekit.models.precision import use_bf16
from stancekit.pairs.model import Pair
from stancekit.training.trainer import fit_cross_encoder

_WARM_UP_STEPS = 2
_SEED = 0

Train = Callable[[Sequence[Pair], Path], object]


class _Done(Exception):
    """The last step that is timed is over."""


def seconds(train: Callable[[], object], steps: int) -> float:
    """Return the time from the first forward pass to the end of step number ``steps``, where training is cut short.

    Raises:
        RuntimeError: training ended before that step.
    """
    started = 0.0
    left = steps

    def start(*_: object) -> None:
        nonlocal started
        first.remove()
        started = time.perf_counter()

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            raise _Done

    first = register_module_forward_pre_hook(start)
    every = register_optimizer_step_post_hook(count)
    try:
        train()
    except _Done:
        return time.perf_counter() - started
    finally:
        first.remove()
        every.remove()
    raise RuntimeError(f"training ended {left} steps early")


def ours(model: CrossEncoderConfig, training: TrainingConfig, pairs: Sequence[Pair], folder: Path) -> None:
    """Train as ``stancekit train`` does."""
    fit_cross_encoder(
        model,
        training,
        pairs,
        pairs[:1],
        eval_batch_size=1,
        seed=_SEED,
        folder=folder,
        score=lambda gold, probabilities: {},
        log=lambda values, step: None,
        say=lambda line: None,
    )


def plain(model: CrossEncoderConfig, training: TrainingConfig, pairs: Sequence[Pair], folder: Path) -> None:
    """Train as the shortest script does that reads the same pairs."""
    set_seed(_SEED)
    network, tokenizer = load_encoder(AutoModelForSequenceClassification, model.encoder, num_labels=len(OUTCOMES))
    statements, targets = zip(*(render(pair, model.input) for pair in pairs), strict=True)
    encoded = tokenizer(
        list(statements), list(targets), padding="max_length", truncation=True, max_length=model.input.max_length
    )
    rows = datasets.Dataset.from_dict({**encoded, "labels": label_indices(pairs).tolist()})
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        report_to="none",
        use_cpu=not torch.cuda.is_available(),
        seed=_SEED,
    )
    Trainer(model=network, args=arguments, train_dataset=rows).train()


def speed(train: Train, pairs: Sequence[Pair], steps: int) -> float:
    """Return the pairs per second of one pass over the pairs, which are ``steps`` batches."""
    with tempfile.TemporaryDirectory() as folder:
        taken = seconds(lambda: train(pairs, Path(folder)), steps)
    # A network of the round before would be in the way of the next one's memory.
    gc.collect()
    return len(pairs) / taken


def main(name: str, threads: int, rounds: int, steps: int, batch_size: int) -> None:
    torch.set_num_threads(threads)
    config = load_config("train", [f"model={name}"])
    assert isinstance(config, TrainConfig) and isinstance(config.model, CrossEncoderConfig)
    model = config.model.model_copy(update={"lora": None})
    training = config.training.model_copy(update={"batch_size": batch_size, "epochs": 1})
    pairs = load_dataset(config.data).train
    contenders: dict[str, Train] = {
        "plain Trainer": lambda rows, folder: plain(model, training, rows, folder),
        "stancekit": lambda rows, folder: ours(model, training, rows, folder),
    }
    draw = random.Random(_SEED)
    for train in contenders.values():
        speed(train, draw.sample(pairs, _WARM_UP_STEPS * batch_size), _WARM_UP_STEPS)
    speeds: dict[str, list[float]] = {contender: [] for contender in contenders}
    for _ in range(rounds):
        rows = draw.sample(pairs, steps * batch_size)
        for contender, train in contenders.items():
            speeds[contender].append(speed(train, rows, steps))
    ratios = [fast / slow for slow, fast in zip(speeds["plain Trainer"], speeds["stancekit"], strict=True)]
    print(
        f"{name}, {rounds} rounds of {steps} steps of {batch_size} pairs, {platform.machine()}, {threads} threads, "
        f"bf16 {use_bf16(training.precision)}\n"
    )
    print(f"{'':<24}{'median':>10}{'lowest':>10}{'highest':>10}")
    for row, found in {**{f"{c}, pairs/s": s for c, s in speeds.items()}, "times as fast": ratios}.items():
        print(f"{row:<24}{statistics.median(found):>10.2f}{min(found):>10.2f}{max(found):>10.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["minilm", "mpnet"], default="minilm")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=16)
    given = parser.parse_args()
    main(given.model, given.threads, given.rounds, given.steps, given.batch_size)
