"""torch: the network as it was trained, on the processor, a GPU or several."""

from __future__ import annotations

import copy
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer

from stancekit.models.cross_encoder import CrossEncoder
from stancekit.prediction.batches import TokenBatch
from stancekit.prediction.tokens import PairTokenizer, TokenLayout

if TYPE_CHECKING:
    from stancekit.prediction.engines.base import Logits


def devices() -> list[torch.device]:
    """Return every GPU that torch sees, or the processor."""
    return [torch.device("cuda", i) for i in range(torch.cuda.device_count())] or [torch.device("cpu")]


def tokenizer_copy(given: Any) -> Tokenizer | None:
    """Return a copy of a transformers tokenizer that neither pads nor cuts.

    None where it is not one of the ``tokenizers`` library, or pads on the left.
    """
    backend = getattr(given, "backend_tokenizer", None)
    if backend is None or given.pad_token_id is None or given.padding_side != "right":
        return None
    copied = Tokenizer.from_str(backend.to_str())
    copied.no_padding()
    copied.no_truncation()
    return copied


def takes_types(tokenizer: Any, network: Any) -> bool:
    """Return whether a network knows the types that its tokenizer gives: DeBERTa-v3, for one, does not."""
    return "token_type_ids" in tokenizer("a", "b") and getattr(network.config, "type_vocab_size", 1) > 0


def pair_tokenizer(model: CrossEncoder) -> PairTokenizer | None:
    """Return what tokenises pairs as the model does, on a copy of its tokenizer; None as for ``tokenizer_copy``."""
    given = model.tokenizer
    copied = tokenizer_copy(given)
    if copied is None:
        return None
    layout = TokenLayout.of(copied, int(given.pad_token_id), takes_types(given, model.network))
    return PairTokenizer(copied, layout, model.template)


class TorchEngine:
    """A transformers network, one copy of it on every device; a batch goes to the device that is free first."""

    def __init__(self, network: Any, bf16: bool, places: Sequence[torch.device], threads: int | None = None) -> None:
        """Put the network on the devices.

        Args:
            bf16: compute under bf16 autocast.
            threads: those of the processor that torch computes with; None leaves them as they are.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        first, *others = places
        self._networks = [network.to(first).eval(), *(copy.deepcopy(network).to(place).eval() for place in others)]
        self._places = list(places)
        self._bf16 = bf16
        self._lock = threading.Lock()
        self.threads = torch.get_num_threads()
        where = f"{torch.get_num_threads()} threads" if first.type == "cpu" else ", ".join(map(str, places))
        self.description = f"torch {'bf16' if bf16 else 'fp32'}, {where}"

    def logits(self, batches: Iterable[TokenBatch]) -> Generator[Logits]:
        """Yield the logits of every batch; one caller at a time, since torch shares its threads between calls."""
        with self._lock:
            if len(self._places) == 1:
                for batch in batches:
                    yield self._run(0, batch)
                return
            yield from self._on_all(iter(batches))

    def _on_all(self, batches: Iterator[TokenBatch]) -> Iterator[Logits]:
        taking = threading.Lock()

        def work(place: int) -> list[Logits]:
            done: list[Logits] = []
            while True:
                with taking:
                    batch = next(batches, None)
                if batch is None:
                    return done
                done.append(self._run(place, batch))

        with ThreadPoolExecutor(len(self._places)) as pool:
            for done in pool.map(work, range(len(self._places))):
                yield from done

    def _run(self, place: int, batch: TokenBatch) -> Logits:
        device = self._places[place]
        inputs = {name: torch.from_numpy(array).to(device) for name, array in batch.inputs().items()}
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
            found = self._networks[place](**inputs).logits
        return batch.rows, found.float().cpu().numpy()
