from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stancekit.articles import make_splitter, read_articles
from stancekit.articles.splitting import DEFAULT_SPLITTER, SPLITTERS
from stancekit.errors import UserError

TABLE = [json.loads(line) for line in (Path(__file__).parent / "hard_splits.jsonl").read_text("utf-8").splitlines()]
# Only knowledge of the world tells "the U.S. European Command" from "the U.S. European leaders …", or "Mr. K. Smith"
# from "Mr. K. Investigators …".
KNOWN_DEV_FAILURES = ["sentence ends in U.S.", "initial as the end of a sentence"]
TEST_FAILURES = 1
NEWS = st.text(
    st.one_of(st.sampled_from(list("AaBbU.S!?…“”‘’\"'()[]-—:; \n\r\t0129")), st.characters(codec="utf-8")), max_size=80
)


def sentences(text: str, name: str = DEFAULT_SPLITTER) -> list[str]:
    return [text[start:end] for start, end in make_splitter(name).split(text)]


def failures(name: str, part: str) -> list[str]:
    rows = [row for row in TABLE if row["part"] == part]
    return [row["why"] for row in rows if sentences(row["text"], name) != row["sentences"]]


def test_when_the_table_is_read_then_its_two_parts_are_of_use() -> None:
    assert [sum(row["part"] == part for row in TABLE) for part in ("dev", "test")] == [50, 47]
    assert all("".join("".join(row["sentences"]).split()) == "".join(row["text"].split()) for row in TABLE)
    assert len({row["text"] for row in TABLE}) == len({row["why"] for row in TABLE}) == len(TABLE)


def test_when_the_default_splitter_meets_the_dev_part_then_only_the_known_rows_fail() -> None:
    assert failures(DEFAULT_SPLITTER, "dev") == KNOWN_DEV_FAILURES


def test_when_the_default_splitter_meets_the_test_part_then_its_score_is_the_committed_one() -> None:
    assert len(failures(DEFAULT_SPLITTER, "test")) == TEST_FAILURES


def test_when_the_baseline_meets_the_table_then_it_is_far_below() -> None:
    assert [len(failures("regex", part)) for part in ("dev", "test")] == [24, 23]


@pytest.mark.parametrize("name", SPLITTERS)
@given(text=NEWS)
def test_when_any_text_is_split_then_the_spans_are_trimmed_in_order_and_cover_it(name: str, text: str) -> None:
    spans = make_splitter(name).split(text)
    end = 0
    for start, stop in spans:
        assert not text[end:start].strip(), (text, spans)
        assert text[start:stop] == text[start:stop].strip() != "", (text, spans)
        end = stop
    assert not text[end:].strip(), (text, spans)


def test_when_an_article_is_one_long_line_then_its_sentences_are_those_of_its_paragraphs() -> None:
    seed = next(iter(read_articles(Path(__file__).parents[2] / "seeds"))).text
    paragraphs = seed.splitlines()[2:] * 20
    apart = [sentence for paragraph in paragraphs for sentence in sentences(paragraph)]
    assert sentences(" ".join(paragraphs)) == apart


def test_when_a_closing_quote_stands_apart_then_it_stays_with_its_sentence() -> None:
    assert sentences("“We will not go. ” Then he left.") == ["“We will not go. ”", "Then he left."]


def test_when_a_question_is_followed_by_reported_speech_then_they_stay_apart() -> None:
    assert sentences("“Why?” Hegseth said he did not know.") == ["“Why?”", "Hegseth said he did not know."]


def test_when_a_splitter_is_unknown_then_the_nearest_is_named() -> None:
    with pytest.raises(UserError) as caught:
        make_splitter("nupunk")
    assert str(caught.value) == (
        "unknown sentence splitter 'nupunk'; expected one of: nupunkt, regex; did you mean 'nupunkt'?"
    )
