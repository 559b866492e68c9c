from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stancekit.articles import Article, Dropped, Statement, find_statements, make_splitter, read_articles
from stancekit.articles.statements import MAX_SENTENCES, MAX_WORDS

SEEDS = {article.id[:3]: article for article in read_articles(Path(__file__).parents[2] / "seeds")}
SPLITTER = make_splitter()
LINES = st.sampled_from(
    [
        "Share this article",
        "## No troops",
        "• No troops “`",
        "“No,” Vance said. “Not now.",
        "[News Outlet]",
        "---",
        "title: x",
        "He left the U.S. The end.",
        "“`",
    ]
)
PIECES = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.text(st.sampled_from(list("Aab.!?…“”„«»‘’\"'`*_#>|•-—:[]{} \t\v\x1c\x85\u2028\u200b\ufeff\u0301")), max_size=20),
    LINES,
)
TEXTS = st.lists(st.tuples(PIECES, st.sampled_from(["", " ", "\n", "\r\n", "\r", "\n\n"])), max_size=12).map(
    lambda parts: "".join(piece + end for piece, end in parts)
)


def statements(text: str) -> list[str]:
    return [statement.text for statement in find_statements(Article("a", text), SPLITTER)[0]]


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_when_any_text_is_read_then_statements_are_exact_and_nothing_is_silently_lost(text: str) -> None:
    found, dropped = find_statements(Article("a", text), SPLITTER)
    for statement in found:
        assert text[statement.start : statement.end] == statement.text == statement.text.strip() != ""
    for drop in dropped:
        assert text[drop.start : drop.end] == drop.text != ""
    assert found == sorted(found, key=lambda statement: statement.start)
    assert [statement.paragraph for statement in found] == sorted(statement.paragraph for statement in found)
    assert dropped == sorted(dropped, key=lambda drop: drop.start)
    covered = [0] * len(text)
    spans: list[Statement | Dropped] = [*found, *dropped]
    for span in spans:
        for offset in range(span.start, span.end):
            covered[offset] += 1
    assert max(covered, default=0) <= 1, (found, dropped)
    assert not [offset for offset, count in enumerate(covered) if count == 0 and not text[offset].isspace()]


@pytest.mark.parametrize(("name", "count"), [("000", 17), ("001", 16), ("002", 36), ("003", 15), ("004", 30)])
def test_when_a_seed_is_read_then_it_has_this_many_statements(name: str, count: int) -> None:
    assert len(find_statements(SEEDS[name], SPLITTER)[0]) == count


def test_when_a_seed_holds_a_position_then_its_statement_has_exact_offsets() -> None:
    found, _ = find_statements(SEEDS["000"], SPLITTER)
    sentence = "However, he explicitly ruled out the deployment of U.S. troops to Ukraine."
    start = SEEDS["000"].text.index(sentence)
    assert Statement(SEEDS["000"].id, start, start + len(sentence), sentence, 6) in found


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        (
            "003",
            "“There are economic tools that can be used as leverage, there are certainly military tools that can be "
            "used as leverage,” Vance said. “I think this will lead to a deal that will shock a lot of people.”",
        ),
        (
            "003",
            "“The president is not going to go into this with limitations,” Vance told the WSJ. “He’s going to say, "
            "‘Everything is on the table, let’s make a deal.’”",
        ),
        (
            "004",
            "“There is no betrayal there,” he stated confidently to reporters. “There is a recognition that the whole "
            "world and the United States is invested and interested in peace, a negotiated peace.”",
        ),
        ("003", "Kremlin surprised by Vance’s claims"),
        ("003", "“We expect to receive further clarification.”"),
    ],
)
def test_when_a_seed_quotes_someone_then_quotation_and_attribution_are_one_statement(name: str, whole: str) -> None:
    assert whole in [statement.text for statement in find_statements(SEEDS[name], SPLITTER)[0]]


@pytest.mark.parametrize(
    "whole",
    [
        "“We will not go.” Vance said on Friday.",
        "“We will not go. We never would. That is final,” the minister said.",
        "“Will we go?” he asked. “We will not.”",
        "“Absolutely not!” said Gen. Mark Hale. “Is that clear?”",
        "“No,” he said. “Never,” he added.",
        "He said: “Go! Now! We can’t wait.”",
        "She was blunt: “No.”",
        '"No," she said. "Not while I am in office."',
        "'We will not go,' Mr Brown said. 'Not now, not ever.'",
        "‘We will go,’ Vance told reporters. ‘Tomorrow.’",
        "'The toll stays. That's final,' she told reporters.",
        "‘The toll stays. That’s final,’ she told reporters.",
        "'The workers' demands are fair. We'll pay,' Vance said.",
        "'Let 'em go. They're done,' Vance said.",
        '\'He said "no". We say "yes",\' Vance said.',
        "“No troops,” Vance said, adding that talks would go on. “None.”",
    ],
)
def test_when_one_speaker_is_quoted_then_it_is_one_statement(whole: str) -> None:
    assert statements(f"Headline\n{whole} Nobody else spoke of it.") == ["Headline", whole, "Nobody else spoke of it."]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("“No,” Vance said.", "“Yes,” Zelensky said."),
        ("“No,” Vance said.", "Hegseth said troops were possible."),
        ("“No,” Vance said.", "However, he did not rule out sanctions."),
        ("“Why?”", "Hegseth said he did not know."),
        ("“No.”", "Vance said that troops remained possible."),
        ("“No.”", "He said nothing about sanctions."),
        ("Vance said no.", "“We will go,” Zelensky said."),
        ("Hegseth ruled out the deployment.", "However, he later walked it back."),
        ("“No.”", "“Yes.”"),
        ("Let 'em go.", "The workers' demands are fair."),
        ("'Stop cuts' was all that they said.", "'Never,' Vance said."),
        ("''We will not go,'' Vance said.", "They agreed."),
        ("The workers' demands are fair.", "The owners' are not."),
    ],
)
def test_when_two_positions_stand_side_by_side_then_they_are_two_statements(first: str, second: str) -> None:
    assert statements(f"{first} {second}") == [first, second]


def test_when_a_quotation_goes_on_in_the_next_paragraph_then_it_is_another_statement() -> None:
    assert statements("“No,” Vance said.\n“Never.”") == ["“No,” Vance said.", "“Never.”"]


def test_when_a_quotation_never_closes_then_its_sentences_stay_apart() -> None:
    assert statements("“We will not go. We never would. He left.") == [
        "“We will not go.",
        "We never would.",
        "He left.",
    ]


def test_when_a_quotation_has_too_many_sentences_then_they_stay_apart() -> None:
    inside = ["We go.", "They stay.", "You wait.", "It ends.", "Peace wins."]
    assert len(inside) == MAX_SENTENCES
    assert statements(f"“{' '.join(inside)}”") == [f"“{' '.join(inside)}”"]
    assert len(statements(f"“{' '.join(inside)} Nobody loses.”")) == MAX_SENTENCES + 1


def test_when_a_quotation_has_too_many_words_then_its_sentences_stay_apart() -> None:
    sentence = "We " + "really " * (MAX_WORDS // 2) + "go."
    assert len(statements(f"“{sentence} {sentence}”")) == 2


def test_when_a_sentence_was_wrapped_by_hand_then_it_is_one_statement() -> None:
    text = "Talks stall\nThe talks ended with Belgium's\nprime minister saying it would not agree.\nNobody else spoke."
    assert statements(text) == [
        "Talks stall",
        "The talks ended with Belgium's\nprime minister saying it would not agree.",
        "Nobody else spoke.",
    ]


def test_when_a_wrapped_text_is_read_then_a_sentence_runs_over_its_lines() -> None:
    text = (
        "The defence secretary said on Wednesday that the\n"
        "country would send no soldiers to the front this\n"
        "year. The vice president kept the question open,\n"
        "and said so to a newspaper that had asked him to.\n"
    )
    assert [" ".join(statement.split()) for statement in statements(text)] == [
        "The defence secretary said on Wednesday that the country would send no soldiers to the front this year.",
        "The vice president kept the question open, and said so to a newspaper that had asked him to.",
    ]
