from __future__ import annotations

import textwrap

import pytest

from stancekit.articles.paragraphs import paragraphs, unwrapped

LONG = (
    "The defence secretary said on Wednesday that his country would not send soldiers to the front, whatever the "
    "outcome of the talks in Geneva, and that the allies would have to fill the gap themselves."
)
OTHER = (
    "The vice president, who spoke to a newspaper on Thursday, left the question open and said that everything was on "
    "the table, the army among the rest, if Moscow did not negotiate in good faith."
)


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in paragraphs(text)]


def test_when_each_line_is_a_paragraph_then_each_comes_trimmed() -> None:
    assert pieces(f"  Headline \r\n{LONG}\n\n\u2028{OTHER}\t\n") == ["Headline", LONG, OTHER]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_when_the_whole_text_is_wrapped_then_its_lines_are_joined(newline: str) -> None:
    wrapped = [textwrap.fill(part, 72) for part in (LONG, OTHER)]
    text = "\n\n".join(["Secretary and vice president differ", *wrapped]).replace("\n", newline)
    found = pieces(text)
    assert [" ".join(piece.split()) for piece in found] == ["Secretary and vice president differ", LONG, OTHER]
    assert len(unwrapped(found[1])) == len(found[1])
    assert "\n" not in unwrapped(found[1])


def test_when_short_lines_were_not_wrapped_then_they_stay_apart() -> None:
    lines = ["Headline of the day", "No troops.", "No money.", "A somewhat longer line closes the list of the party."]
    assert pieces("\n".join(lines)) == lines


def test_when_a_wrapped_text_holds_a_list_then_its_items_stay_apart() -> None:
    text = f"{textwrap.fill(LONG, 60)}\n{textwrap.fill('- ' + OTHER, 60)}\n- no money"
    assert [" ".join(piece.split()) for piece in pieces(text)] == [LONG, f"- {OTHER}", "- no money"]


def test_when_one_article_was_wrapped_by_hand_then_a_line_in_lower_case_goes_on_with_the_one_before() -> None:
    text = (
        "Talks stall\n"
        "Ministers left Brussels without a deal on Monday, with Belgium's\n"
        "prime minister saying it would not agree.\n"
        "Nobody else spoke of it, whatever\n"
        "the hour, and all left by car.\n"
    )
    assert [" ".join(piece.split()) for piece in pieces(text)] == [
        "Talks stall",
        "Ministers left Brussels without a deal on Monday, with Belgium's prime minister saying it would not agree.",
        "Nobody else spoke of it, whatever the hour, and all left by car.",
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("He said it would not agree.", "prime minister"),
        ("He said: “No.”", "prime minister"),
        ("The party wants:", "no troops"),
        ("No troops", "iPhone sales fall"),
        ("No troops", "b) no money"),
        ("# No troops", "no money"),
        ("---", "no money"),
        ("No troops", "share this article"),
        ("Advertisement", "no money"),
        ("No troops", "Prime minister"),
        ("No troops\n", "no money"),
    ],
)
def test_when_the_line_before_is_whole_or_the_next_one_opens_anew_then_they_stay_apart(first: str, second: str) -> None:
    assert pieces(f"{first}\n{second}") == [first.strip(), second]


@pytest.mark.parametrize("text", ["", " \n\t\r\n"])
def test_when_the_text_is_blank_then_there_is_no_paragraph(text: str) -> None:
    assert paragraphs(text) == []
