"""Whose position a statement reports: one short invented article a rule, and the scores on the labelled articles."""

from __future__ import annotations

from pathlib import Path

import pytest

from stancekit.articles.model import Statement
from stancekit.pairs.holders.finding import find_holders
from stancekit.pairs.holders.scoring import Gold, judge, read_invented, read_seeds, score

DATA = Path(__file__).parents[2] / "data"


def holders(*texts: str) -> list[tuple[str, ...]]:
    return find_holders([Statement("a", 0, len(text), text, place) for place, text in enumerate(texts)])


def last(*texts: str) -> set[str]:
    """Return the holders of the last of the statements."""
    return set(holders(*texts)[-1])


MINISTER = "Finance Minister Ada Okoro presented the budget on Monday."
HEGSETH = "Defense Secretary Pete Hegseth discussed the plan on Friday."

CASES: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "title before the name, subject before the verb": (
        ("Finance Minister Ada Okoro said taxes would rise.",),
        {"Ada Okoro"},
    ),
    "verb before the subject": (("“Taxes will rise,” said Finance Minister Ada Okoro.",), {"Ada Okoro"}),
    "role after the name": (("Ada Okoro, the finance minister, rejected the offer.",), {"Ada Okoro"}),
    "role with owner before the name": (
        ("The union’s general secretary, Tom Reyes, warned of strikes.",),
        {"Tom Reyes"},
    ),
    "role after an inverted subject": (("“We will fight,” said Tom Reyes, the union’s chair.",), {"Tom Reyes"}),
    "owned role before an inverted name": (("“We will fight,” said its chair, Tom Reyes.",), {"Tom Reyes"}),
    "relative clause between subject and verb": (
        ("Ada Okoro, who has led the ministry since May, ruled out a tax cut.",),
        {"Ada Okoro"},
    ),
    "parenthesis between subject and verb": (("Sen. Tom Reyes (R-Ohio) opposed the bill.",), {"Tom Reyes"}),
    "last name resolved to the full name": ((MINISTER, "Okoro refused to resign."), {"Ada Okoro"}),
    "points in initials": (("Vice President J.D. Vance spoke.", "Vance warned of a delay."), {"JD Vance"}),
    "spelling variants of one name": (
        ("President Volodymyr Zelensky flew to Berlin.", "Zelenskyy rejected the terms."),
        {"Volodymyr Zelensky"},
    ),
    "relatives kept apart by Mr and Mrs": (
        ("Nora Quill runs the shop with her husband, Peter Quill.", "Mrs Quill said she would not sell."),
        {"Nora Quill"},
    ),
    "the other relative": (
        ("Nora Quill runs the shop with her husband, Peter Quill.", "Mr Quill said he would sell."),
        {"Peter Quill"},
    ),
    "role word alone": ((MINISTER, "The minister declined to comment."), {"Ada Okoro"}),
    "role word with a nationality": (
        (
            "Ukrainian President Volodymyr Zelensky met Polish President Jan Nowak.",
            "The Ukrainian leader called for talks.",
        ),
        {"Volodymyr Zelensky"},
    ),
    "nobody introduced for the role": (("The town clerk confirmed the closure.",), {"town clerk"}),
    "pronoun of the previous subject": ((MINISTER, "She promised a review."), {"Ada Okoro"}),
    "pronoun after narration, in a later clause": (
        (
            "Pete Hegseth ruled out troops.",
            "While initially dismissing the idea, he later avoided a definitive rejection.",
        ),
        {"Pete Hegseth"},
    ),
    "pronoun skips the wrong gender": (
        (MINISTER, "Her deputy, Tom Reyes, missed the vote.", "She said the vote was valid."),
        {"Ada Okoro"},
    ),
    "pronoun with nobody before it": (("He said the vote was valid.",), set()),
    "title Mr tells the gender": (
        ("Mr Aldous Finch met Ms Wren Tolley.", "“I am tired,” she said."),
        {"Wren Tolley"},
    ),
    "quotation alone takes the running speaker": (("“No,” said Ada Okoro.", "“And I mean no.”"), {"Ada Okoro"}),
    "quotation alone with nobody before it": (("“And I mean no.”",), set()),
    "institution": (("The European Commission proposed a cut.",), {"European Commission"}),
    "capital city for its government": (("Kyiv welcomed the pledge.",), {"Kyiv"}),
    "acronym in parentheses": (
        ("The Rail and Tram Workers’ Union (RTWU) met on Monday.", "The RTWU rejected the deal."),
        {"Rail and Tram Workers’ Union"},
    ),
    "short form of an institution": (
        ("The Harrow Lane Foundation owns a fifth of the firm.", "The foundation refused to sell."),
        {"Harrow Lane Foundation"},
    ),
    "group noun": (("Local residents objected to the plan.",), {"Local residents"}),
    "group with a place attached": (("Workers at Ottering refused to work.",), {"workers"}),
    "passive with by": (("A deal was teased by Ada Okoro in May.",), {"Ada Okoro"}),
    "passive with by twice": (
        ("The motion was opposed by the Greens and by Mayor Tom Reyes.",),
        {"Greens", "Tom Reyes"},
    ),
    "passive without an agent": (("The plan was rejected on Monday.",), set()),
    "according to": (("The talks failed, according to Ada Okoro.",), {"Ada Okoro"}),
    "according to, in front": (("According to the union, the talks failed.",), {"union"}),
    "newspaper as a mere source": (
        ("Ada Okoro has rejected the offer, according to the Ottering Mercury.",),
        {"Ada Okoro"},
    ),
    "possessive with a noun of position": ((MINISTER, "Okoro’s remarks drew applause."), {"Ada Okoro"}),
    "possessive as mere object": ((MINISTER, "Mayor Tom Reyes voiced alarm over Okoro’s remarks."), {"Tom Reyes"}),
    "possessive in contrast": (
        ("Mayor Tom Reyes met Governor Ada Okoro.", "Reyes’s comments contradicted Okoro’s statements."),
        {"Tom Reyes", "Ada Okoro"},
    ),
    "possessive pronoun": ((MINISTER, "Her plan would cost a billion."), {"Ada Okoro"}),
    "rivals: than X, who": (
        ("Vance said the option remains on the table, a tougher tone than Hegseth, who said no troops would be sent.",),
        {"Vance", "Hegseth"},
    ),
    "rivals: unlike X, which": (
        ("Unlike Denmark, which has ruled out a transfer, Sweden has promised a third package.",),
        {"Denmark", "Sweden"},
    ),
    "rivals: while": (
        ("While Mr Reyes refused to pay, the union said it was ready to talk.",),
        {"Reyes", "union"},
    ),
    "rivals: semicolon": (
        ("Tom Reyes voted for the bill; Ada Okoro voted against it.",),
        {"Tom Reyes", "Ada Okoro"},
    ),
    "rivals: but": (("Tom Reyes backed the bill, but Ada Okoro opposed it.",), {"Tom Reyes", "Ada Okoro"}),
    "rivals: despite suggestions from": (
        ("Pete Hegseth ruled out troops despite suggestions from his counterpart JD Vance that they might go.",),
        {"Pete Hegseth", "JD Vance"},
    ),
    "and joins two subjects": (("Ada Okoro and Tom Reyes agreed to meet.",), {"Ada Okoro", "Tom Reyes"}),
    "the two": (
        ("President Tom Reyes met Chancellor Ada Okoro.", "The two agreed to begin talks."),
        {"Ada Okoro", "Tom Reyes"},
    ),
    "teller of another's position": (("Ada Okoro said that Tom Reyes had ruled out a deal.",), {"Tom Reyes"}),
    "unnamed teller": (("Two officials said Finland was prepared to lend launchers.",), {"Finland"}),
    "unnamed teller behind": (("Delvia has offered to sell one, a person familiar with the matter said.",), {"Delvia"}),
    "minister for her government": (
        ("Transport Minister Ada Okoro said the government had rejected the claim.",),
        {"Ada Okoro"},
    ),
    "named spokesman": (("Kremlin spokesman Dmitry Orlov told reporters there was no deal.",), {"Dmitry Orlov"}),
    "unnamed spokesman": (
        ("A spokeswoman for the Department for Transport said plans were ready.",),
        {"Department for Transport"},
    ),
    "unnamed spokesman, name before": (
        ("Norrkraft is a utility.", "A Norrkraft spokesperson declined to comment."),
        {"Norrkraft"},
    ),
    "participle of a narrating verb": (
        ("Ada Okoro appointed three envoys, expressing confidence in them.",),
        {"Ada Okoro"},
    ),
    "two verbs of one subject": (("Ada Okoro praised the team and rejected the offer.",), {"Ada Okoro"}),
    "opening phrase with another name": (
        ("During a meeting with Tom Reyes, Ada Okoro ruled out cuts.",),
        {"Ada Okoro"},
    ),
    "adjective of position": (("Norway is open to a transfer.",), {"Norway"}),
    "condition is nobody's position yet": (("Prices rise if Ada Okoro refuses to sign.",), set()),
    "did not rule out": (("Ada Okoro did not rule out a deal.",), {"Ada Okoro"}),
    "did not comment": (("Ada Okoro did not respond on Monday.",), set()),
    "narration about a person": (("Ada Okoro was in the stands on Saturday.",), set()),
    "narration about a thing": (("The port handles a million containers a year.",), set()),
    "heading": (("What happens next",), set()),
    "heading about a stance": (("NATO’s Stance on Ukraine",), set()),
    "headline in the present tense": (("Council backs new bridge",), {"council"}),
    "headline with a plan": (("Dockers at Ottering to strike for ten days",), {"dockers"}),
    "headline with two names": (("Reyes backs toll as Okoro rejects it",), {"Reyes", "Okoro"}),
    "headline with a colon": (("Okoro: no deal without trust",), {"Okoro"}),
    "dateline is no holder": (("OSLO, Nov 12 - Ada Okoro rejected the claim.",), {"Ada Okoro"}),
    "comparison with one who has a position": (
        ("Tom Reyes was more cautious than Ada Okoro, who has promised to close the mine.",),
        {"Tom Reyes", "Ada Okoro"},
    ),
    "neither, nor": (("Neither Reyes nor Okoro would rule out a delay.",), {"Reyes", "Okoro"}),
    "said to favour": (("Premier Tom Reyes is said to favour a delay.",), {"Tom Reyes"}),
    "no plans": (("Tom Reyes has no plans to sell.",), {"Tom Reyes"}),
    "would have is no position taken": (("Tom Reyes would have signed it.",), set()),
    "any noun that says": (("The mill said it would close.",), {"mill"}),
    "a report that says": (("The report said the ice was thin.",), set()),
    "a question is not the asker's position": (
        ("Tom Reyes, asked by Ada Okoro if he would sign, declined to answer.",),
        {"Tom Reyes"},
    ),
    "several particles": (("Ursula von der Leyen rejected it.",), {"Ursula von der Leyen"}),
    "several particles, Dutch": (("Pieter van den Berg rejected it.",), {"Pieter van den Berg"}),
    "several particles, Spanish": (("Xulio de la Cruz rejected it.",), {"Xulio de la Cruz"}),
    "rare particle": (("Mayor Erik ten Hag refused.",), {"Erik ten Hag"}),
    "particles after and": (
        ("Geert Wilders and Pieter van den Berg rejected it.",),
        {"Geert Wilders", "Pieter van den Berg"},
    ),
    "particle with a hyphen": (("Abdullah al-Khatib rejected it.",), {"Abdullah al-Khatib"}),
    "particle with an apostrophe": (("Carlos d’Estaing rejected it.",), {"Carlos d’Estaing"}),
    "last name with particles, at the start": (
        ("Commission President Ursula von der Leyen visited Oslo.", "Von der Leyen said no."),
        {"Ursula von der Leyen"},
    ),
    "last name with particles, in a clause": (
        ("Ursula von der Leyen visited Oslo.", "Talks end after von der Leyen said no."),
        {"Ursula von der Leyen"},
    ),
    "last name with particles, one of two": (
        ("Pieter van den Berg met Virgil van Dijk.", "Van Dijk said no."),
        {"Virgil van Dijk"},
    ),
    "last name with particles alone": (("Pieter van den Berg left.", "Van Dijk said no."), {"Van Dijk"}),
    "last name with a joined particle": (
        ("Abdullah al-Khatib met Ada Okoro.", "Al-Khatib rejected the terms."),
        {"Abdullah al-Khatib"},
    ),
    "given name like a particle": (("Al Gore and Ben Okoro opposed it.",), {"Al Gore", "Ben Okoro"}),
    "noun like a particle": (("The van Okoro drove was stolen, Reyes said.",), {"Reyes"}),
    "counted teller behind": (
        ("Christine Lagarde warned against it, three diplomats said.",),
        {"Christine Lagarde"},
    ),
    "unnamed teller behind a warning": (
        ("Christine Lagarde warned against it, officials said.",),
        {"Christine Lagarde"},
    ),
    "according to a counted teller": (
        ("Christine Lagarde opposes it, according to three diplomats.",),
        {"Christine Lagarde"},
    ),
    "counted group with a position of its own": (("Three unions rejected the offer.",), {"unions"}),
    "sources of a named body": (("The plan was dead, said two Labor sources.",), set()),
    "sources of a named body, in front": (("Two Labor sources said the plan was dead.",), set()),
    "body of a named place": (("The government of Tavalu rejected it.",), {"government of Tavalu"}),
    "body of a named place with an article": (
        ("The parliament of the Netherlands rejected it.",),
        {"parliament of the Netherlands"},
    ),
    "body of a named place, short": (
        ("The government of Tavalu met on Monday.", "The government said no."),
        {"government of Tavalu"},
    ),
    "body of a titled person": (("The government of President Tom Reyes rejected it.",), {"government"}),
    "body of its members": (("The employers' association said it would fight.",), {"employers' association"}),
    "body of its members, short": (
        ("The villagers’ association met on Monday.", "The association said no."),
        {"villagers’ association"},
    ),
    "body with an owner": (("The minister’s party said no.",), {"party"}),
    "British quotation with an apostrophe": (
        (MINISTER, "'The toll stays. That's final,' she told reporters."),
        {"Ada Okoro"},
    ),
    "British quotation with verbs of others in it": (
        ("'It's final. Reyes said no, we won't,' said Ada Okoro.",),
        {"Ada Okoro"},
    ),
    "words inside a quotation are no cue": (("“Reyes said no, Okoro refused.”",), set()),
}


@pytest.mark.parametrize(("texts", "expected"), CASES.values(), ids=CASES)
def test_names_whose_position_the_last_statement_reports(texts: tuple[str, ...], expected: set[str]) -> None:
    assert last(*texts) == expected


def test_when_the_full_name_comes_later_then_the_headline_has_it_too() -> None:
    assert holders("Okoro refuses to resign", MINISTER)[0] == ("Ada Okoro",)


def test_when_a_heading_repeats_a_quotation_then_it_has_the_speaker_of_that_quotation() -> None:
    found = holders("Tom Reyes rejected the plan.", "‘They never asked’", "“They never asked,” said Ada Okoro.")
    assert found == [("Tom Reyes",), ("Ada Okoro",), ("Ada Okoro",)]


def test_no_statements_no_holders() -> None:
    assert find_holders([]) == []
    assert holders("", " ") == [(), ()]


def test_finding_holders_twice_gives_the_same() -> None:
    texts = [text for case, _ in CASES.values() for text in case]
    assert holders(*texts) == holders(*texts)


def test_the_score_counts_a_wrong_name_and_forgives_an_optional_one() -> None:
    gold = Gold(Statement("a", 0, 1, "x", 0), ("Ada Okoro",), ("Norway",), {"Ada Okoro": ["ministry"]})
    assert judge(gold, ["the ministry"]) == ({"Ada Okoro"}, [])
    assert judge(gold, ["Okoro", "Norway", "Tom Reyes"]) == ({"Ada Okoro"}, ["Tom Reyes"])
    assert judge(gold, ["Ben Okoro"]) == (set(), ["Ben Okoro"])


MEASURED = {"dev": 0.970, "test": 0.807, "seeds": 0.952}
"""F1 as ``benchmarks/holders.py`` prints it."""


@pytest.mark.parametrize("part", MEASURED)
def test_scores_do_not_fall_below_what_was_measured(part: str) -> None:
    articles = read_seeds(DATA / "seeds" / "statements.jsonl") if part == "seeds" else None
    found = score(articles or read_invented(DATA / "holders", part), find_holders)
    assert found.statements > 100
    assert found.f1 >= MEASURED[part] - 0.01
    assert found.precision >= found.recall
