"""The rules that recognise a line of an article that is no content.

Each rule matches a whole line, never a part of it, and asks for more than a suggestive word: a dropped position is
worse than a kept prompt, which takes no stance on anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_I = re.IGNORECASE

_REWRITING_SUBJECT = re.compile(
    r"(?:(?:please )?note:?\s+(?:that )?)?(?:(?:the|this) (?:rewriting|rewrite|paraphrasing|rewording) of (?:this|the) "
    r"(?:article|text|content|post|piece|story)\b|(?:the|this) (?:rewritten|paraphrased|reworded|revised) "
    r"(?:article|text|content|version|post|piece)\b|(?:the|this) (?:article|text|content|post) (?:has been|was|is) "
    r"(?:rewritten|paraphrased|reworded)\b)",
    _I,
)
_REWRITING_SIGN = re.compile(
    r"wordpress|html tags?|\bSEO\b|plagiari|unique(?:ness)?\b|key points|"
    r"original (?:meaning|headings|html|structure)",
    _I,
)
_ASSISTANT_TALK = re.compile(
    r"as an ai(?: language)? model\b.*|(?:sure[,!.]? )?here(?:’|')?s?(?: is)? (?:the|a|your) "
    r"(?:rewritten|paraphrased|reworded) (?:article|version|text|content)\b[^.]{0,60}[:.]?|"
    r"i hope this (?:rewritten|rewrite|version|article|helps)\b.*|let me know if you(?:’d| would|'d)? "
    r"(?:need|like|want) (?:me to|any (?:further )?(?:changes|adjustments|edits))\b.*",
    _I,
)
_BRACKETED = re.compile(r"(?:[\[{<]{1,2}[^\[\]{}<>.!?]{1,60}[\]}>]{1,2}\s*)+")
_PLACEHOLDER_WORD = re.compile(
    r"\b(?:insert|placeholder|outlet|image|photo|picture|video|embed(?:ded)?|tweet|caption|headline|title|subtitle|"
    r"author|byline|date|source|link|url|publication|publisher|quote|city|advert|ad|logo|name|newspaper|website)\b",
    _I,
)
_LOREM = re.compile(r"lorem ipsum\b.*|tbd|tk{1,3}|xx+|n/a|\[?object object\]?|undefined|null", _I)
_PLATFORM = (
    r"(?:x|twitter|facebook|instagram|telegram|whatsapp|youtube|linkedin|tiktok|threads|bluesky|reddit|google news|"
    r"social media)"
)
_SHARE = re.compile(
    r"(?:please )?share(?: (?:this|the|on|via|with)(?: (?:article|story|post|page|news|facebook|twitter|x|linkedin|"
    r"whatsapp|email|friends|your friends|with|on|via|and|or))*)?[:.!]?|"
    r"(?:copy|print|e-?mail)(?: (?:this|the))? (?:link|article|story|page)|"
    r"(?:please )?(?:subscribe|sign up)\b[^.!?]{0,60}\b(?:newsletters?|mailing list|podcast|free trial|inbox|"
    r"our [\w ]{0,30}(?:channel|briefings?|alerts|feed))\b[^.!?]{0,40}[.!]?|"
    rf"(?:please )?(?:follow|like|join) us(?: on (?:our )?{_PLATFORM}\b[^.!?]{{0,60}})?[.!]?|"
    r"join our (?:telegram|whatsapp|discord|facebook)\b[^.!?]{0,40}[.!]?|"
    r"(?:read (?:more|also|next|the full (?:story|article))|also read|see also|related(?: (?:articles?|stories|news|"
    r"content))?|more on this story|don(?:’|')t miss|most read|trending)(?:\s*[:>»|→].*|(?: here)?[.…]*)|"
    r"more from [\w ]{1,30}|recommended(?: reading)?|"
    r"click here\b[^.!?]{0,60}[.!]?|"
    r"(?:leave a (?:comment|reply)|(?:view |show |post )?(?:\d+ )?comments?(?: \(\d+\))?|comments are closed)[.!]?|"
    r"download (?:our|the) (?:[\w ]{1,20} )?app\b[^.!?]{0,60}[.!]?|"
    r"listen to this article\b[^.!?]{0,30}|support (?:our|independent) journalism\b[^.!?]{0,60}[.!]?",
    _I,
)
_ADVERTISEMENT = re.compile(
    r"(?:advertisements?|advert|ad|sponsored(?: content)?|promoted(?: content)?)|"
    r"(?:advertisement\W+)?(?:story|article|text) continues (?:below|after)(?: (?:this |the )?(?:ad|advertisement|"
    r"promotion|newsletter promotion))?|skip (?:past )?(?:ad|advertisement|newsletter promotion)",
    _I,
)
_COPYRIGHT = re.compile(
    r"(?:copyright\s*)?(?:©|\(c\))\s*(?:copyright\s*)?.{0,160}|copyright\s+\d{4}\b.{0,160}|"
    r"(?-i:(?:[A-Z][\w&’'-]*|\d{4})[ .,]+){0,8}all rights reserved\W*|"
    r"this material may not be (?:published|reproduced)\b.{0,120}",
    _I,
)
_AGENCY = r"(?:AP|AFP|EPA|Reuters|REUTERS|Getty(?: Images)?|Associated Press|Bloomberg|Shutterstock|Alamy|DPA|TASS)"
_PERSON = r"(?!\w+ing\b)[A-Z][\w’'-]+(?: (?:[A-Z][\w’'-]*\.?|de|von|van|al|bin)){0,2}? [A-Z][\w’'-]+"
_BYLINE = re.compile(
    rf"(?:By|BY|Written by|WRITTEN BY) {_PERSON}(?:(?:, {_PERSON}){{0,3}},? (?:and|&) {_PERSON})?"
    rf"(?:\s*[,|–—-]\s*(?:{_AGENCY}|(?:[\w’'-]+ ){{0,4}}(?:[Ww]riter|[Rr]eporter|[Cc]orrespondent|[Ee]ditor|Staff|News|"
    r"Press|Times|Post|Service|Desk)(?: [Ii]n [A-Z]\w+)?)| in [A-Z]\w+(?: and [A-Z]\w+)?)?"
)
_DATE_OPENERS = re.compile(
    r"By (?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|January|February|March|April|May|June|July|August|September|"
    r"October|November|December)\b",
    _I,
)
_CREDIT = re.compile(
    r"\(?(?:(?i:additional |further )?(?i:reporting|writing) (?:by|from) .{2,120}[;,.] (?i:additional |further )?"
    r"(?i:editing|writing|reporting) by .{2,80}|(?i:editing) by [A-Z].{2,80}|"
    r"(?i:with (?:files|reporting) from|additional reporting by) [A-Z][^.]{2,80}\.?)\)?"
)
_IMAGE_CREDIT = re.compile(
    rf"\(?(?:AP Photo|AFP|REUTERS|Reuters|EPA|Getty Images)\s*/\s*[^.!?]{{2,60}}\)?|"
    rf"(?:Photo|Image|Picture|Photograph|Video|Graphic)s?(?: [Cc]redits?:| [Cc]ourtesy:| [Cc]ourtesy of)\s*"
    rf"[^.!?]{{2,60}}\.?|"
    rf"(?:Photo|Image|Picture|Photograph)s? [Bb]y:? {_PERSON}(?:\s*/\s*{_AGENCY})?|"
    rf"(?:Photo|Image|Picture|Photograph|Video|Graphic)s?:\s*(?:[\w.’'-]+ ){{0,4}}[\w.’'-]*\W*{_AGENCY}\W*|"
    rf"(?:[A-Z][\w.’'-]+ ){{0,3}}[A-Z][\w.’'-]+\s*/\s*{_AGENCY}(?:\s+via\s+{_AGENCY})?|Getty Images"
)
_DATE_WORD = re.compile(
    r"\b(?:(?:last |first )?(?:published|updated|posted|modified)|on|at|of|and|"
    r"(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?|"
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?|\d{1,4}(?:st|nd|rd|th|[ap]m|t\d\d|z)?|[ap]\.?m|gmt|utc|bst|cet|cest|e[sd]?t|p[sd]?t|z|t|min|mins|"
    r"minutes?|hours?|read|ago)\b",
    _I,
)
_PLACE_ONLY = re.compile(
    r"[A-Z][A-Z.’'-]+(?: [A-Z.’'-]+){0,2}(?:, [A-Z][\w .]{1,30})?(?: \([A-Z][\w .]{1,30}\))?\s*[—–-]+"
)
_LINK_ONLY = re.compile(r"(?:https?://|www\.)\S+", _I)
_TAGS_ONLY = re.compile(r"(?:</?[a-z!][^<>]{0,200}>\s*|&[a-z]{2,8};\s*|!\[[^\]]{0,200}\]\(\S{1,300}\)\s*)+", _I)


def line_reason(line: str, near_edge: bool) -> str | None:
    """Return the name of the rule by which the trimmed line is no content, or None for content.

    ``near_edge`` says that the line stands among the first, below the headline, or the last: where bylines are.
    """
    for reason, matches in _RULES:
        if matches(line):
            return reason
    return "byline" if near_edge and _is_byline(line) else None


def _is_rewriting_note(line: str) -> bool:
    if _ASSISTANT_TALK.fullmatch(line):
        return True
    return _REWRITING_SUBJECT.match(line) is not None and _REWRITING_SIGN.search(line) is not None


def _is_placeholder(line: str) -> bool:
    if _LOREM.fullmatch(line):
        return True
    return _BRACKETED.fullmatch(line) is not None and len(line.split()) <= 8 and bool(_PLACEHOLDER_WORD.search(line))


def _is_date_only(line: str) -> bool:
    if _PLACE_ONLY.fullmatch(line):
        return True
    rest = re.sub(r"[\W_]+", "", _DATE_WORD.sub("", line))
    return not rest and any(char.isdigit() for char in line) and len(line.split()) <= 14


def _is_byline(line: str) -> bool:
    return len(line.split()) <= 14 and _BYLINE.fullmatch(line) is not None and not _DATE_OPENERS.match(line)


def _whole(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda line: pattern.fullmatch(line) is not None


def _has_no_word(line: str) -> bool:
    return not any(char.isalnum() for char in line)


_RULES: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("stray_markup", _has_no_word),
    ("stray_markup", _whole(_TAGS_ONLY)),
    ("placeholder", _is_placeholder),
    ("rewriting_note", _is_rewriting_note),
    ("advertisement", _whole(_ADVERTISEMENT)),
    ("share_prompt", _whole(_SHARE)),
    ("copyright", _whole(_COPYRIGHT)),
    ("image_credit", _whole(_IMAGE_CREDIT)),
    ("credit", _whole(_CREDIT)),
    ("dateline_only", _is_date_only),
    ("link_only", _whole(_LINK_ONLY)),
)
