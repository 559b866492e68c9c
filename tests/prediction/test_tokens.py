from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from stancekit.config.schema import CrossEncoderConfig
from stancekit.encoders.loading import load_tokenizer
from stancekit.errors import UserError
from stancekit.models.saved import MANIFEST
from stancekit.models.shipped import shipped_folder
from stancekit.pairs.model import Pair
from stancekit.prediction.engines.torch import pair_tokenizer
from stancekit.prediction.tokens import PairTokenizer, TokenLayout
from tests.conftest import labelled_rows
from tests.prediction.conftest import Ids, inputs_of, reader

_CORPUS = [f"{row['statement']} – {row['target']}, don't! 1,234" for row in labelled_rows(200)]
_NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def wrapped(tokenizer: Tokenizer, template: str, typed: bool) -> PreTrainedTokenizerFast:
    """Return a tokenizer as transformers has it, that puts special tokens around pairs by a template."""
    ids = {name: tokenizer.token_to_id(name) for name in _NAMES}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=template, special_tokens=[(name, ids[name]) for name in ("[CLS]", "[SEP]")]
    )
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if typed else [])]
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        **dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _NAMES, strict=True)),
        model_input_names=names,
    )


def minilm() -> Any:
    """The tokenizer of the shipped small model: WordPiece, ``[CLS] a [SEP] b [SEP]`` with types."""
    manifest = json.loads((shipped_folder("small") / MANIFEST).read_text(encoding="utf-8"))
    return load_tokenizer(CrossEncoderConfig.model_validate(manifest["model"]).encoder)


def roberta() -> Any:
    """Byte-level BPE, ``<s> a </s></s> b </s>``, without types."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _CORPUS,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=_NAMES, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        ),
    )
    return wrapped(tokenizer, "[CLS] $A [SEP] [SEP] $B [SEP]", typed=False)


def mpnet() -> Any:
    """WordPiece, with a doubled separator and without types."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(_CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=_NAMES))
    return wrapped(tokenizer, "[CLS] $A [SEP] [SEP] $B [SEP]", typed=False)


def deberta() -> Any:
    """Unigram over words that keep their space, ``[CLS] a [SEP] b [SEP]`` with types."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\n", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        _CORPUS, trainers.UnigramTrainer(vocab_size=200, special_tokens=_NAMES, unk_token="[UNK]")
    )
    return wrapped(tokenizer, "[CLS] $A [SEP] $B:1 [SEP]:1", typed=True)


def whole() -> Any:
    """BPE that splits nothing beforehand: every text is one word to it."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.train_from_iterator(_CORPUS, trainers.BpeTrainer(vocab_size=300, special_tokens=_NAMES))
    return wrapped(tokenizer, "[CLS] $A [SEP] $B:1 [SEP]:1", typed=True)


FAMILIES: dict[str, Callable[[], Any]] = {f.__name__: f for f in (minilm, roberta, mpnet, deberta, whole)}


@pytest.fixture(scope="module", params=list(FAMILIES))
def given_tokenizer(request: pytest.FixtureRequest) -> Any:
    return FAMILIES[request.param]()


@pytest.fixture(scope="module")
def bert() -> Any:
    return minilm()


def pair_tokenizer_of(tokenizer: Any, max_length: int) -> PairTokenizer:
    found = pair_tokenizer(reader(tokenizer, max_length))
    assert found is not None
    return found


def expected(tokenizer: Any, max_length: int, pair: Pair) -> tuple[Ids, bool] | str:
    """Return the ids, the types and whether the statement is cut as the model itself has them, or why it refuses."""
    try:
        (inputs,), (cut,) = reader(tokenizer, max_length).encode([pair])
    except UserError as error:
        return str(error)
    return (inputs["input_ids"], inputs.get("token_type_ids")), bool(cut)


def found_of(tokenizer: PairTokenizer, pairs: list[Pair]) -> list[tuple[Ids, bool] | str]:
    """Return the same of the tokenizer under test, which is given all pairs at once."""
    tokenized = tokenizer.tokenize(pairs)
    inputs = inputs_of(tokenizer, pairs)
    assert len(tokenized.firsts) == len(tokenized.seconds) == len(tokenized.lengths) == len(pairs)
    assert all(tokenized.lengths[row] == len(ids) for row, (ids, _) in inputs.items())
    assert inputs.keys() == set(range(len(pairs))) - tokenized.errors.keys()
    return [
        tokenized.errors[row] if row in tokenized.errors else (inputs[row], bool(tokenized.truncated[row]))
        for row in range(len(pairs))
    ]


_WORDS = (
    "the minister",
    " wants",
    "don't",
    "1,234.5",
    "x" * 120,
    "{statement}",
    "##ing",
    "…",
    "日本語",
    "😀🏽",
    "ſt",
    "İ",
)
_SPACES = ("   ", "\r\n\t", "\ufeff", "\x00\x07\x1b", "a\x00b", "\u202e\u200d", "é", "e\u0301")
_SPECIAL = ("[SEP]", "[CLS]", "[PAD] ", "</s>")
PIECES = st.sampled_from([*_WORDS, *_SPACES, *_SPECIAL])
TEXTS = st.text(max_size=30) | st.lists(PIECES, max_size=14).map("".join)
SAMPLES = st.lists(st.builds(Pair, TEXTS, TEXTS, st.none() | TEXTS), min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(pairs=SAMPLES, max_length=st.sampled_from([16, 24, 64]))
def test_when_any_texts_are_tokenised_then_the_network_gets_what_the_model_would_give_it(
    given_tokenizer: Any, pairs: list[Pair], max_length: int
) -> None:
    found = found_of(pair_tokenizer_of(given_tokenizer, max_length), pairs)
    assert found == [expected(given_tokenizer, max_length, pair) for pair in pairs]


LONG = {
    "words": "the minister wants closing the port, don't! " * 400,
    "one word": "x" * 100_000,
    "long words": ("ab" * 75 + " ") * 150,
    "a long word at the cut": " " * 1_340 + "q" * 101 + " the end",
    "another": " " * 230 + "q" * 150 + " the end",
    "one more": " " * 5_970 + "zq" * 75 + " the end",
    "whitespace": " \t\n" * 4_000 + "the minister wants the port",
    "control characters": "\x00\x08" * 5_000 + "the port",
    "half a special token": " " * 1_369 + "[SEP] the port",
    "special tokens": "[SEP]" * 1_500,
    "marks": "e" + "\u0301" * 8_000 + " the port",
    "no spaces": "日本語" * 3_000,
    "digits": "1234567890" * 900,
    "emoji": "👩\u200d👩\u200d👧" * 1_500,
}


@pytest.mark.parametrize("max_length", [16, 61, 256])
def test_when_a_text_is_very_long_then_what_is_kept_is_the_same_as_of_the_whole(
    given_tokenizer: Any, max_length: int
) -> None:
    pairs = [Pair(text, "the port", "Ann") for text in LONG.values()]
    found = found_of(pair_tokenizer_of(given_tokenizer, max_length), pairs)
    for name, one, pair in zip(LONG, found, pairs, strict=True):
        assert one == expected(given_tokenizer, max_length, pair), name


class Counting:
    """A tokenizer that notes what it is asked to tokenise."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.texts: list[str] = []

    def no_padding(self) -> None:
        self._tokenizer.no_padding()

    def no_truncation(self) -> None:
        self._tokenizer.no_truncation()

    def encode_batch_fast(self, texts: Sequence[str], add_special_tokens: bool) -> Any:
        self.texts += texts
        return self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=add_special_tokens)

    def encode(self, text: str, add_special_tokens: bool) -> Any:
        self.texts.append(text)
        return self._tokenizer.encode(text, add_special_tokens=add_special_tokens)


def counting(tokenizer: Any, max_length: int) -> tuple[PairTokenizer, Counting]:
    """Return a pair tokenizer and what counts for it."""
    backend = Counting(Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()))
    layout = pair_tokenizer_of(tokenizer, max_length).layout
    template = reader(tokenizer, max_length).template
    return PairTokenizer(backend, layout, template), backend  # type: ignore[arg-type]


def test_when_a_statement_has_5_mb_then_its_ids_are_those_of_all_of_it_and_only_its_beginning_is_tokenised(
    bert: Any,
) -> None:
    pair = Pair("international organizations, " * 180_000, "closing the port", "Ann")
    assert len(pair.statement) > 5_000_000
    tokenizer, counted = counting(bert, 256)
    tokenized = tokenizer.tokenize([pair])
    assert max(map(len, counted.texts)) < 10_000
    all_of_it = counted.encode_batch_fast([f"Ann: {pair.statement}"], add_special_tokens=False)[0].ids
    assert len(all_of_it) > 500_000
    assert tokenized.firsts[0].tolist() == all_of_it[: 253 - len(tokenized.seconds[0])]
    assert tokenized.truncated.tolist() == [True] and tokenized.lengths.tolist() == [256]


def test_when_segments_are_equal_then_each_is_tokenised_once_and_targets_not_again(bert: Any) -> None:
    tokenizer, counted = counting(bert, 32)
    pairs = [Pair(f"statement {i % 3}", f"target {i % 2}", "Ann") for i in range(12)]
    tokenized = tokenizer.tokenize(pairs)
    assert Counter(counted.texts) == Counter([f"Ann: statement {i}" for i in range(3)] + ["target 0", "target 1"])
    assert tokenized.firsts[0] is not None and tokenized.seconds[0] is tokenized.seconds[2]
    counted.texts.clear()
    tokenizer.tokenize([Pair("statement 0", "target 1", "Ann"), Pair("new", "target 2")])
    assert Counter(counted.texts) == Counter(["Ann: statement 0", "unknown: new", "target 2"])


def test_when_a_target_leaves_no_room_then_it_alone_is_refused_with_the_words_of_the_model(bert: Any) -> None:
    tokenizer = pair_tokenizer_of(bert, 32)
    assert tokenizer.room == 29
    pairs = [Pair("the minister wants it", " ".join(["port"] * n)) for n in (1, 28, 29, 30, 4_000, 2)]
    found = found_of(tokenizer, pairs)
    assert found == [expected(bert, 32, pair) for pair in pairs]
    assert [row for row, one in enumerate(found) if isinstance(one, str)] == [2, 3, 4]
    assert not isinstance(found[1], str)
    assert len(found[1][0][0]) == 32 and found[1][1] is True
    assert "has 4000 tokens, but the input has room for 29 in all" in str(found[4])


def test_when_a_target_is_mostly_nothing_then_it_is_whole_nevertheless(bert: Any) -> None:
    pairs = [Pair("we want it", " " * 250_000 + "the port"), Pair("we want it", "\x00" * 250_000 + "the tax")]
    found = found_of(pair_tokenizer_of(bert, 32), pairs)
    assert found == [expected(bert, 32, pair) for pair in pairs]
    ends = [one[0][0][-3:-1] for one in found if not isinstance(one, str)]
    assert ends == [bert(text, add_special_tokens=False)["input_ids"] for text in ("the port", "the tax")]


def test_when_there_are_no_pairs_then_there_is_nothing(bert: Any) -> None:
    tokenized = pair_tokenizer_of(bert, 32).tokenize([])
    assert (len(tokenized.firsts), tokenized.lengths.shape, tokenized.truncated.shape, tokenized.errors) == (
        *(0, (0,), (0,)),
        {},
    )


def test_when_the_file_of_a_tokenizer_pads_and_cuts_then_pairs_are_neither_padded_nor_cut_by_it(
    bert: Any, tmp_path: Path
) -> None:
    plain = pair_tokenizer_of(bert, 64)
    backend = Tokenizer.from_str(bert.backend_tokenizer.to_str())
    backend.enable_padding(length=50)
    backend.enable_truncation(5)
    backend.save(str(tmp_path / "tokenizer.json"))
    switched_on = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_file=str(tmp_path / "tokenizer.json"), pad_token="[PAD]", model_input_names=list(bert("a", "b"))
    )
    pairs = [Pair("the minister wants closing the port of the town by the sea", "closing the port", "Ann")]
    of_the_model = pair_tokenizer_of(switched_on, 64)
    assert of_the_model.layout == plain.layout
    assert inputs_of(of_the_model, pairs) == inputs_of(plain, pairs)
    from_file = PairTokenizer(Tokenizer.from_file(str(tmp_path / "tokenizer.json")), plain.layout, plain._template)
    assert inputs_of(from_file, pairs) == inputs_of(plain, pairs)


def test_when_a_tokenizer_is_written_then_the_one_that_reads_the_file_gives_the_same(
    given_tokenizer: Any, tmp_path: Path
) -> None:
    tokenizer = pair_tokenizer_of(given_tokenizer, 32)
    tokenizer.write(tmp_path / "tokenizer.json")
    again = PairTokenizer(
        Tokenizer.from_file(str(tmp_path / "tokenizer.json")), tokenizer.layout, reader(given_tokenizer, 32).template
    )
    pairs = [Pair(text, "the port", "Ann") for text in ("don't [SEP] 1,234 é", _CORPUS[0], "x" * 200)]
    assert inputs_of(again, pairs) == inputs_of(tokenizer, pairs)


def test_when_layouts_are_read_off_tokenizers_then_they_are_what_their_templates_say() -> None:
    first, second = pair_tokenizer_of(minilm(), 32).layout, pair_tokenizer_of(roberta(), 32).layout
    assert first == TokenLayout((101,), (102,), (102,), (0, 0, 0, 1, 1), 0) and first.special == 3
    assert second == TokenLayout((2,), (3, 3), (3,), None, 0) and second.special == 4
    assert TokenLayout(**first.as_dict()) == first  # type: ignore[arg-type]


def test_when_a_tokenizer_turns_the_segments_round_then_it_is_refused() -> None:
    turned = wrapped(mpnet().backend_tokenizer, "[CLS] $B [SEP] $A [SEP]", typed=False).backend_tokenizer
    with pytest.raises(ValueError, match="does not keep both segments of a pair as they are"):
        TokenLayout.of(turned, 0, typed=False)


def test_when_the_tokenizer_pads_on_the_left_then_there_is_none_for_the_engines(bert: Any) -> None:
    left = minilm()
    left.padding_side = "left"
    assert pair_tokenizer(reader(left, 32)) is None and pair_tokenizer(reader(bert, 32)) is not None


def test_when_threads_share_a_tokenizer_that_forgets_targets_then_all_get_the_same_as_alone(
    bert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stancekit.prediction.tokens._KEPT_TARGETS", 7)
    tokenizer = pair_tokenizer_of(bert, 64)
    shared = [[Pair(f"says {i}", f"target {(i * k) % 23}", "Ann") for i in range(40)] for k in range(1, 9)]
    alone = [inputs_of(pair_tokenizer_of(bert, 64), pairs) for pairs in shared]
    found: dict[int, list[dict[int, Ids]]] = {}
    begin = threading.Barrier(len(shared))

    def work(number: int) -> None:
        begin.wait()
        found[number] = [inputs_of(tokenizer, shared[number]) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(shared))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number] == [alone[number]] * 5 for number in range(len(shared)))
    # A window's own targets may be more; the next one forgets them.
    tokenizer.tokenize([Pair("says", "new"), Pair("says", "long " * 300)])
    assert len(tokenizer._targets) <= 23 and "long " * 300 not in tokenizer._targets
