"""Boundaries that the splitting library gets wrong in news style, joined or added by rule."""

from __future__ import annotations

import re

from stancekit.articles.quotes import CLOSING, NAMED_ATTRIBUTION, OPENING

# A name or a noun always follows these.
_TITLES = (
    r"(?:Mr|Mrs|Ms|Mx|Dr|Prof|Gen|Lt|Col|Maj|Capt|Cmdr|Cdr|Adm|Brig|Sgt|Cpl|Pvt|Pfc|Sen|Sens|Rep|Reps|Gov|Govs|Pres|"
    r"Rev|Hon|Amb|Supt|Messrs|Mmes|Atty|St|Ste|Mt|Ft|vs|v|e\.g|i\.e|cf|viz|approx|Asst|Assoc|Dep|Det|Insp|Fr|Sec)"
)
_ENDS_IN_TITLE = re.compile(rf"(?:^|[\s(\[—–“‘\"'-]){_TITLES}\.$")
_MONTHS = r"(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)"
_ENDS_IN_COUNTED = re.compile(rf"\b(?:{_MONTHS}|Nos?|Art|Arts|Fig|Figs|Sec|Ch|pp?|Vol|ca|c|approx|est)\.$")
_ENDS_IN_COUNTRY = re.compile(r"\b(?:U\.S|U\.N|U\.K|E\.U|U\.A\.E|U\.S\.S\.R)\.$")
_ENDS_IN_TIME = re.compile(r"\b[ap]\.m\.$")
_WEEKDAY_OR_ZONE = re.compile(
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b|(?:[ECMP][SD]?T|GMT|UTC|BST|CES?T|MSK)\b|(?:Eastern|Pacific|Central|"
    r"Mountain|Moscow|Kyiv|London|Paris|Brussels|Berlin|local|Greenwich)\s+(?:[Tt]ime|[Ss]tandard|[Mm]ean)\b"
)
_OFFICE = re.compile(
    r"(?:Secretary|Under Secretary|Deputy|Assistant|President|Presidential|Vice|Senate|Senators?|Sen\.|House|"
    r"Congress\w*|Rep\.|Representatives?|Army|Navy|Naval|Air|Marines?|Coast|Space|Defense|Department|Dept\.|State|Treasury|Justice|"
    r"Homeland|Energy|Commerce|Trade|Attorney|Solicitor|Supreme|District|Circuit|Court|Capitol|Constitution|Embassy|"
    r"Ambassador|Envoy|Special|Central|European|Africa|Cyber|Strategic|Command|Forces?|Gen\.|General|Lt\.|Adm\.|Maj\.|"
    r"Federal|Customs|Border|Immigration|National|Agency|Security|Charter|Human|High|Middle|Climate|Refugee|Geological|"
    r"Census|Postal|Steel|Bank|Open|Foreign|Prime|Ministry|Parliament|Government|Chamber|Olympic|Dollar)\b"
)
_OPENER = re.compile(
    r"[“‘\"']?(?:The|This|That|These|Those|He|She|It|They|We|You|I|There|Here|His|Her|Its|Their|Our|My|But|And|Or|So|"
    r"Yet|However|Still|Then|Thus|If|When|While|Although|Though|Because|Since|After|Before|As|At|By|For|From|In|On|"
    r"To|With|Without|Under(?! Secretary)|During|Despite|Meanwhile|Instead|Moreover|Nor|Not|No|Now|Neither|Both|"
    r"Some|Many|Most|Several|Such|Asked|What|Who|Why|How|Where|Whether|Nobody|None|Everyone|Others|Another|An?)(?=[\s,’'])"
)
_ENDS_IN_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Z]\.){2,}|\b[ap]\.m\.|\b(?:Inc|Corp|Co|Ltd|Jr|Sr|etc|al|Bros|Ave|Rd|Blvd|Md|Va|Calif|Fla|Tex|Mass)\.|"
    r"(?:^|\s)[A-Z]\.)$"
)
_LIST_NUMBER = re.compile(r"\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]")
_SMALL_NO = re.compile(r"\bno\.$")
_SIGHT = 200
_SPACE_OR_CLOSING = re.compile(r"\s*(?:[”»)\]]+\s+)?")
_GAP = re.compile(r"(?<=[.!?…”’\"')\]])\s+(?=\S)")


def repaired(line: str, cuts: list[int]) -> list[int]:
    """Return the cuts of a line without the wrong ones and with the missing ones, sorted.

    A cut is the offset at which a sentence begins. Wrong ones follow an abbreviation, part a quotation from its "he
    said", or leave a piece without a word; missing ones follow an abbreviation that does end its sentence.
    """
    wanted = {cut for cut in _starts(line, cuts) if not _joins(*_around(line, cut, cut))}
    wanted |= {gap.end() for gap in _GAP.finditer(line) if _parts(*_around(line, gap.start(), gap.end()))}
    return _merged(line, sorted(wanted))


def _around(line: str, left_end: int, right_start: int) -> tuple[str, str]:
    """Return what stands before and after a boundary, as far as rules look; whole lines would take quadratic time."""
    return line[max(0, left_end - _SIGHT) : left_end].rstrip(), line[right_start : right_start + _SIGHT]


def _starts(line: str, cuts: list[int]) -> list[int]:
    """Return the cuts moved past whitespace and past closing marks that belong to the sentence before."""
    moved = (_SPACE_OR_CLOSING.match(line, cut) for cut in cuts)
    return [match.end() for match in moved if match and 0 < match.end() < len(line)]


def _joins(left: str, right: str) -> bool:
    """Return whether no sentence ends between the two, although the library ended one there."""
    if _opens_in_lower_case(right):
        return True
    if _ENDS_IN_TITLE.search(left):
        return True
    if _ENDS_IN_COUNTED.search(left):
        return right[:1].isdigit()
    if _ENDS_IN_COUNTRY.search(left):
        return _OFFICE.match(right) is not None
    if _ENDS_IN_TIME.search(left):
        return _WEEKDAY_OR_ZONE.match(right) is not None
    if left[-1:] in CLOSING and left.rstrip(CLOSING).endswith(("?", "!", "…", "...", "—")):
        return NAMED_ATTRIBUTION.match(right) is not None
    return False


def _parts(left: str, right: str) -> bool:
    """Return whether a sentence surely ends between the two, whatever the library says."""
    if _SMALL_NO.search(left):
        return right[:1].isupper() or right[:1] in OPENING
    if _ENDS_IN_ABBREVIATION.search(left) and not _ENDS_IN_TITLE.search(left):
        return _OPENER.match(right) is not None
    return False


def _opens_in_lower_case(right: str) -> bool:
    """iPhone and eBay open a sentence; "said" does not."""
    word = right.lstrip("([“‘\"'")[:2]
    return word[:1].islower() and not word[1:].isupper()


def _merged(line: str, cuts: list[int]) -> list[int]:
    """Return the cuts without those that leave a list number, or a piece without a word, on its own."""
    edges = [0, *cuts, len(line)]
    keep = []
    for index in range(1, len(edges) - 1):
        before = line[edges[index - 1] : edges[index]].strip()
        after = line[edges[index] : edges[index + 1]].strip()
        belongs_right = _LIST_NUMBER.fullmatch(before) or (not _has_word(before) and (index == 1 or _opens(before)))
        belongs_left = not _has_word(after) and not _opens(after)
        if not belongs_right and not belongs_left:
            keep.append(edges[index])
    return keep


def _opens(piece: str) -> bool:
    return piece[-1:] in "“‘„«([" and piece != ""


def _has_word(piece: str) -> bool:
    return any(char.isalnum() for char in piece)
