"""The verbs of the holder rules: saying, and taking or leaving a position, in all their forms."""

from __future__ import annotations

from stancekit.pairs.holders.nouns import words


def _forms(base: str) -> tuple[str, str, str]:
    """Return the past, third-person and -ing forms of a regular verb."""
    if base.endswith("e"):
        return base + "d", base + "s", base[:-1] + "ing"
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ied", base[:-1] + "ies", base + "ing"
    return base + "ed", base + ("es" if base.endswith(("s", "sh", "ch", "x")) else "s"), base + "ing"


SAY = words(
    "say tell add state insist argue stress note explain claim assert reiterate repeat declare announce reply remark "
    "comment write tweet post ask answer respond conclude recall maintain contend convey reveal disclose report "
    "mention confirm concede acknowledge admit quip joke observe emphasize emphasise underline underscore highlight "
    "estimate predict testify assure complain boast caution indicate believe think feel allege counter continue"
)
"""Verbs that report an utterance, whatever it holds."""

_POSITION_VERBS = words(
    "reject refuse oppose condemn criticise criticize denounce dismiss decline deny support endorse defend welcome "
    "praise promise pledge vow threaten warn urge demand propose suggest recommend hint signal offer agree approve "
    "veto authorise authorize vote order decide choose sign want seek wish hope fear prefer favour favor advocate "
    "consider intend plan tease float accuse blame label deem brand describe discuss address express voice reaffirm "
    "reinforce commit resist object protest challenge question regret apologise apologize applaud back rule call turn "
    "hold walk come press push opt swear abstain dissent uphold ban block overrule cancel scrap suspend cast lobby "
    "petition outline portray appeal doubt trust expect agitate unveil give appoint outvote stop halt freeze sue "
    "resign thank plead drop strike make find see pass boycott hail laud slam blast decry lament rebuff refute "
    "dispute contest defy shrug relent guarantee instruct grant award ratify adopt nominate shelve postpone delay "
    "withdraw abandon axe lift impose extend waver raise lash stand side brush hit speak play stick fight quit react "
    "refer echo leave take shut vacillate hesitate hurl mull weigh rescind revoke overturn quash acquit convict "
    "sentence fine downplay champion commend congratulate exclude concur disagree differ contradict entertain avoid "
    "keep back-pedal volunteer assign appear seem"
)

PARTICLES: dict[str, frozenset[str]] = {
    "make": words("clear plain no"),
    "find": words("that no him her it the"),
    "see": words("no little"),
    "react": words("with angrily furiously coolly warmly"),
    "leave": words("open"),
    "refer": words("questions inquiries enquiries"),
    "take": words("line view position stance sides"),
    "shut": words("door"),
    "pass": words("bill bills motion motions law laws resolution measure legislation"),
    "strike": words("tone note"),
    "raise": words("concerns doubts objections questions alarm"),
    "lash": words("out"),
    "stand": words("by firm"),
    "side": words("with"),
    "brush": words("aside off"),
    "hit": words("back out"),
    "speak": words("of out against"),
    "play": words("down"),
    "stick": words("to by with"),
    "shrug": words("off"),
    "extend": words("the a its"),
    "drop": words("the its a his her their"),
    "lift": words("the its a"),
    "delay": words("the its a"),
    "fine": words("the"),
    "turn": words("down"),
    "hold": words("out firm off"),
    "walk": words("back away out"),
    "come": words("out"),
    "press": words("for"),
    "push": words("for back"),
    "keep": words("open"),
    "give": words("different backing support assurances approval"),
    "hope": words("for that to"),
    "expect": words("that"),
    "choose": words("to not"),
    "cast": words("doubt"),
    "question": words("the whether why how his her its their"),
    "continue": words("to"),
    "seem": words("to willing ready open reluctant surprised"),
    "appear": words("to willing ready open reluctant surprised"),
}
"""Verbs that are cues only when one of these words follows within two words."""

_IRREGULAR = {
    "say": ("said", "says", "saying"),
    "tell": ("told", "tells", "telling"),
    "write": ("wrote", "writes", "writing"),
    "think": ("thought", "thinks", "thinking"),
    "feel": ("felt", "feels", "feeling"),
    "choose": ("chose", "chooses", "choosing"),
    "seek": ("sought", "seeks", "seeking"),
    "hold": ("held", "holds", "holding"),
    "come": ("came", "comes", "coming"),
    "give": ("gave", "gives", "giving"),
    "keep": ("kept", "keeps", "keeping"),
    "plan": ("planned", "plans", "planning"),
    "make": ("made", "makes", "making"),
    "find": ("found", "finds", "finding"),
    "see": ("saw", "sees", "seeing"),
    "refer": ("referred", "refers", "referring"),
    "stop": ("stopped", "stops", "stopping"),
    "concur": ("concurred", "concurs", "concurring"),
    "fight": ("fought", "fights", "fighting"),
    "quit": ("quit", "quits", "quitting"),
    "leave": ("left", "leaves", "leaving"),
    "take": ("took", "takes", "taking"),
    "shut": ("shut", "shuts", "shutting"),
    "strike": ("struck", "strikes", "striking"),
    "stand": ("stood", "stands", "standing"),
    "hit": ("hit", "hits", "hitting"),
    "speak": ("spoke", "speaks", "speaking"),
    "stick": ("stuck", "sticks", "sticking"),
    "withdraw": ("withdrew", "withdraws", "withdrawing"),
    "drop": ("dropped", "drops", "dropping"),
    "shrug": ("shrugged", "shrugs", "shrugging"),
    "cancel": ("cancelled", "cancels", "cancelling"),
    "plead": ("pleaded", "pleads", "pleading"),
    "overturn": ("overturned", "overturns", "overturning"),
    "ban": ("banned", "bans", "banning"),
    "scrap": ("scrapped", "scraps", "scrapping"),
    "commit": ("committed", "commits", "committing"),
    "opt": ("opted", "opts", "opting"),
    "admit": ("admitted", "admits", "admitting"),
    "label": ("labelled", "labels", "labelling"),
    "swear": ("swore", "swears", "swearing"),
    "cast": ("cast", "casts", "casting"),
    "veto": ("vetoed", "vetoes", "vetoing"),
    "signal": ("signalled", "signals", "signalling"),
    "regret": ("regretted", "regrets", "regretting"),
    "quip": ("quipped", "quips", "quipping"),
    "deny": ("denied", "denies", "denying"),
}
_MORE_PAST = {
    "written": "write",
    "chosen": "choose",
    "given": "give",
    "sworn": "swear",
    "labeled": "label",
    "signaled": "signal",
    "come": "come",
    "canceled": "cancel",
    "taken": "take",
    "withdrawn": "withdraw",
    "spoken": "speak",
    "labeling": "label",
}


def _inflected() -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {form: (base, "past") for form, base in _MORE_PAST.items()}
    found["labeling"] = ("label", "ing")
    for base in SAY | _POSITION_VERBS:
        for form, kind in zip(_IRREGULAR.get(base) or _forms(base), ("past", "third", "ing"), strict=True):
            found[form] = (base, kind)
        found.setdefault(base, (base, "base"))
    return found


VERBS = _inflected()
"""From a verb's form to its base and the kind of form: past, third, ing or base."""

INNER = words(
    "rule reject refuse oppose promise pledge vow agree approve veto vote order decide sign want seek offer turn walk "
    "condemn back support intend plan choose accept prefer threaten propose demand"
)
"""Verbs whose subject, inside somebody's report, is the one whose position is told."""

OWN_TOO = words("suggest indicate hint express reveal disclose")
"""Verbs of telling that leave the teller a position of their own beside the one told."""

STATIVE = words(
    "pleased split happy angry furious delighted disappointed dismayed shocked wary nervous confident optimistic "
    "hopeful worried concerned proud cautious sympathetic supportive critical outraged horrified open opposed "
    "prepared ready willing unwilling keen determined reluctant surprised against committed divided undecided adamant "
    "sceptical skeptical convinced unconvinced unmoved"
)
"""Words that after "is" or "remains" give the subject's position."""

WITHHELD = words("say rule discuss confirm comment")
"""Verbs that with "would not" report a refusal."""

SILENT = words("comment respond reply answer say speak return mention tell confirm")
"""Verbs that with "did not" report no position."""

UNDER_WOULD = words("consider vote support reject veto oppose back seek decline rule boycott fight")
"""Verbs that report a position even behind "would" or "will"."""

AGENTS_ONLY = words(
    "said says told insisted denied declined refused argued urged vowed pledged warned replied promised complained "
    "apologised apologized objected voted demanded resigned"
)
"""Verb forms whose subject, whatever its noun, is a person or body that can speak or decide."""
