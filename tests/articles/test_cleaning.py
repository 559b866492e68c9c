from __future__ import annotations

from pathlib import Path

import pytest

from stancekit.articles import Article, read_articles
from stancekit.articles.cleaning import clean

SEEDS = {article.id[:3]: article for article in read_articles(Path(__file__).parents[2] / "seeds")}
BODY = "The defence minister said on Monday that no soldiers would be sent."


def reasons(text: str) -> list[tuple[str, str]]:
    return [(dropped.reason, dropped.text) for dropped in clean(Article("a", text))[1]]


def kept(text: str) -> list[str]:
    return [text[span.start : span.end] for span in clean(Article("a", text))[0]]


def test_when_a_seed_ends_in_a_rewriting_note_then_that_line_alone_is_dropped() -> None:
    spans, dropped = clean(SEEDS["000"])
    assert [drop.reason for drop in dropped] == ["rewriting_note"]
    assert dropped[0].text.startswith("The rewriting of this article has maintained the original HTML tags")
    assert dropped[0].text == SEEDS["000"].text[dropped[0].start : dropped[0].end]
    assert len(spans) == 9


def test_when_a_seed_headline_ends_in_stray_marks_then_the_kept_span_excludes_them() -> None:
    spans, dropped = clean(SEEDS["001"])
    assert [(drop.reason, drop.text) for drop in dropped] == [("stray_markup", "“`")]
    assert SEEDS["001"].text[: spans[0].end].endswith("Hegseth and Vance claim alignment")


def test_when_a_sentence_holds_a_placeholder_then_it_is_kept_whole() -> None:
    sentence = (
        "On Thursday, Vance reportedly told [News Outlet] that sending U.S. troops to Ukraine remained a possibility."
    )
    assert sentence in [SEEDS["001"].text[span.start : span.end] for span in clean(SEEDS["001"])[0]]


def test_when_a_seed_repeats_its_headline_then_the_second_one_is_dropped() -> None:
    spans, dropped = clean(SEEDS["002"])
    assert [drop.reason for drop in dropped] == ["duplicate_headline"]
    assert dropped[0].start > spans[0].end
    assert SEEDS["002"].text[spans[0].start : spans[0].end] == dropped[0].text


@pytest.mark.parametrize("name", ["003", "004"])
def test_when_a_seed_is_clean_then_nothing_is_dropped(name: str) -> None:
    assert clean(SEEDS[name])[1] == []


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("placeholder", "[News Outlet]"),
        ("placeholder", "{{author_name}} {{date}}".replace("_", " ")),
        ("placeholder", "[Insert quote here]"),
        ("placeholder", "Lorem ipsum dolor sit amet, consectetur."),
        ("rewriting_note", "Note: this article has been rewritten to ensure uniqueness and avoid plagiarism."),
        ("rewriting_note", "As an AI language model, I cannot give an opinion on the war."),
        ("rewriting_note", "Here is the rewritten article:"),
        ("share_prompt", "Share this article"),
        ("share_prompt", "Share on Facebook"),
        ("share_prompt", "Subscribe to our newsletter"),
        ("share_prompt", "Sign up for our daily briefing and never miss a story."),
        ("share_prompt", "Read more: Hegseth rules out troops in Ukraine"),
        ("share_prompt", "READ MORE"),
        ("share_prompt", "Related: What we know about the call"),
        ("share_prompt", "Follow us on X and Instagram."),
        ("share_prompt", "Click here to read the full story."),
        ("share_prompt", "12 Comments"),
        ("share_prompt", "Subscribe to our YouTube channel!"),
        ("advertisement", "Advertisement"),
        ("advertisement", "ADVERTISEMENT - STORY CONTINUES BELOW"),
        ("advertisement", "Story continues below advertisement"),
        ("copyright", "© 2025 The Daily Example. All rights reserved."),
        ("copyright", "Copyright 2025 The Example Press"),
        ("copyright", "All rights reserved."),
        ("copyright", "The Example Press. All rights reserved."),
        ("byline", "By Jane Doe"),
        ("byline", "By Jane Doe and John Q. Public, Reuters"),
        ("byline", "By Jane Doe, Chief Political Correspondent in Kyiv"),
        ("credit", "(Reporting by Jane Doe in Kyiv; editing by John Roe)"),
        ("dateline_only", "Feb. 14, 2025"),
        ("dateline_only", "Published Friday, 14 February 2025, 10:30pm GMT"),
        ("dateline_only", "2025-02-14T10:30:00Z"),
        ("dateline_only", "4 min read"),
        ("dateline_only", "KYIV, Ukraine (AP) —"),
        ("image_credit", "Photo: Jane Doe / Reuters"),
        ("image_credit", "(AP Photo/Jane Doe)"),
        ("image_credit", "Photo by Jane Doe"),
        ("image_credit", "Image credit: Ministry of Defence"),
        ("link_only", "https://example.org/story?id=1"),
        ("stray_markup", "* * *"),
        ("stray_markup", "---"),
        ("stray_markup", "<br/>"),
        ("stray_markup", "![flag](flag.png)"),
    ],
)
def test_when_a_line_is_no_content_then_it_is_dropped_with_its_reason(reason: str, line: str) -> None:
    assert reasons(f"Ministers meet in Geneva\n{line}\n{BODY}") == [(reason, line)]


@pytest.mark.parametrize(
    "line",
    [
        "The rewriting of the constitution has maintained the original key points, ministers said.",
        "This article of the treaty was rewritten in March, and Berlin will not sign it.",
        "The rewritten text rules out foreign bases.",
        "[The president] will not send troops, an aide said.",
        "[We will not go.]",
        "[He refused]",
        "Share the burden fairly or leave, Hegseth told the allies.",
        "Share this burden, he said.",
        "Subscribe to the theory or not, he will not go.",
        "Sign up to the pact, Kallas told Budapest.",
        "Follow us into Europe, the minister begged.",
        "Join us or stay out, Macron told London.",
        "Read more of the treaty than its title, he urged.",
        "Related talks in Riyadh will not include Kyiv.",
        "Comments by Vance rule nothing out",
        "Advertisement spending on the war will be banned, the premier said.",
        "Copyright law will change, the minister said.",
        "The rebels said that all rights reserved to the state would lapse.",
        "By Friday Ukraine Wants Answers",
        "By sending troops, Paris would break its word.",
        "By Land and Sea",
        "By Executive Order, Trump Bans Troops",
        "By Sending Troops Paris Breaks Its Word",
        "Join us on the battlefield, Zelensky told Paris.",
        "Sign up to a back channel or lose the aid, Trump told Kyiv.",
        "More from Kyiv: Zelensky rules out elections",
        "Moscow said it would keep all rights reserved.",
        "Copyright by default will end, ministers said.",
        "Image of Putin changes in the West",
        "Video of the attack shows no troops",
        "Trending down: support for the war",
        "Reporting by the BBC showed that Moscow had not ruled it out.",
        "Published in 2024, the doctrine rules out a first strike.",
        "May 9 parade goes ahead, Kremlin insists",
        "On March 3, the vote.",
        "Photo: no troops seen at the border, Kremlin says",
        "KYIV, Ukraine (AP) — Ukraine will not give up land.",
        "No.",
        "“No!”",
        "#NoTroops",
        "He posted https://example.org/story and said no.",
    ],
)
def test_when_a_line_only_resembles_boilerplate_then_it_is_kept(line: str) -> None:
    text = f"Ministers meet in Geneva\n{line}\n{BODY}"
    assert kept(text)[1] == line
    assert reasons(text) == []


@pytest.mark.parametrize(
    ("line", "inner", "mark", "reason"),
    [
        ("## No troops", "No troops", "##", "stray_markup"),
        ("• No troops", "No troops", "•", "list_marker"),
        ("- No troops", "No troops", "-", "list_marker"),
        ("> No troops", "No troops", ">", "stray_markup"),
        ("No troops “", "No troops", "“", "stray_markup"),
        ("No troops ```", "No troops", "```", "stray_markup"),
    ],
)
def test_when_marks_stand_at_the_edge_of_a_line_then_they_alone_are_dropped(
    line: str, inner: str, mark: str, reason: str
) -> None:
    assert kept(f"Headline\n{line}\n{BODY}")[1] == inner
    assert reasons(f"Headline\n{line}\n{BODY}") == [(reason, mark)]


def test_when_a_bold_line_is_marked_on_both_sides_then_both_marks_are_dropped() -> None:
    assert kept("**No troops**") == ["No troops"]
    assert reasons("**No troops**") == [("stray_markup", "**"), ("stray_markup", "**")]


@pytest.mark.parametrize("line", ["He said “no.”", 'He said "no. "', "Approval: 5 *", "‘No’"])
def test_when_a_line_ends_in_a_closing_quote_then_the_quote_is_kept(line: str) -> None:
    assert kept(line)[0].startswith(line.rstrip(" *"))


def test_when_a_long_paragraph_is_repeated_later_then_the_repetition_is_dropped() -> None:
    assert reasons(f"Headline\n{BODY}\nOther news.\n{BODY}") == [("repeated_paragraph", BODY)]


def test_when_the_headline_comes_again_late_and_short_then_it_is_kept() -> None:
    lines = ["No troops", "One.", "Two.", "Three.", "Four.", "Five.", "No troops"]
    assert kept("\n".join(lines)) == lines


def test_when_a_short_line_is_repeated_then_it_is_kept() -> None:
    assert kept("Headline\n“No.”\nWhy?\n“No.”") == ["Headline", "“No.”", "Why?", "“No.”"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_when_markdown_has_front_matter_then_it_is_dropped(newline: str) -> None:
    text = newline.join(["---", "title: A", "tags:", "  - war", "---", "", "No troops.", "---", "Not yet."])
    assert kept(text) == ["No troops.", "Not yet."]
    assert [reason for reason, _ in reasons(text)] == ["front_matter"] * 5 + ["stray_markup"]


def test_when_front_matter_never_closes_then_the_answer_still_comes_at_once() -> None:
    text = "---\r\n" + "key: value\r\n" * 60
    assert "front_matter" not in [reason for reason, _ in reasons(text)]
