"""The closed word lists behind the holder rules: verbs of saying and position, roles, bodies, groups, given names."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _forms(base: str) -> tuple[str, str, str]:
    """Return the past, third-person and -ing forms of a regular verb."""
    if base.endswith("e"):
        return base + "d", base + "s", base[:-1] + "ing"
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ied", base[:-1] + "ies", base + "ing"
    return base + "ed", base + ("es" if base.endswith(("s", "sh", "ch", "x")) else "s"), base + "ing"


SAY = _words(
    "say tell add state insist argue stress note explain claim assert reiterate repeat declare announce reply remark "
    "comment write tweet post ask answer respond conclude recall maintain contend convey reveal disclose report mention "
    "confirm concede acknowledge admit quip joke observe emphasize emphasise underline underscore highlight estimate "
    "predict testify assure complain boast caution indicate believe think feel allege counter continue"
)
"""Verbs that report an utterance, whatever it holds."""

_POSITION_VERBS = _words(
    "reject refuse oppose condemn criticise criticize denounce dismiss decline deny support endorse defend welcome "
    "praise promise pledge vow threaten warn urge demand propose suggest recommend hint signal offer agree approve "
    "veto authorise authorize vote order decide choose sign want seek wish hope fear prefer favour favor advocate "
    "consider intend plan tease float accuse blame label deem brand describe discuss address express voice "
    "reaffirm reinforce commit resist object protest challenge question regret apologise apologize applaud back "
    "rule call turn hold walk come press push opt swear abstain dissent uphold ban block overrule cancel "
    "scrap suspend cast lobby petition outline portray appeal doubt trust expect agitate unveil give appoint outvote "
    "stop halt freeze exclude concur disagree differ contradict entertain avoid keep back-pedal volunteer assign appear seem"
)

PARTICLES: dict[str, frozenset[str]] = {
    "rule": _words("out that against in"),
    "turn": _words("down"),
    "hold": _words("out firm off"),
    "walk": _words("back away out"),
    "come": _words("out"),
    "press": _words("for"),
    "push": _words("for back"),
    "keep": _words("open"),
    "give": _words("different backing support assurances approval"),
    "hope": _words("for that to"),
    "expect": _words("that"),
    "choose": _words("to not"),
    "cast": _words("doubt"),
    "question": _words("the whether why how his her its their"),
    "continue": _words("to"),
    "seem": _words("to willing ready open reluctant surprised"),
    "appear": _words("to willing ready open reluctant surprised"),
    "appear to": frozenset(),
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

INNER = _words(
    "rule reject refuse oppose promise pledge vow agree approve veto vote order decide sign want seek offer turn walk "
    "condemn back support intend plan choose accept prefer threaten propose demand"
)
"""Verbs whose subject, inside somebody's report, is the one whose position is told."""

OWN_TOO = _words("suggest indicate hint express reveal disclose")
"""Verbs of telling that leave the teller a position of their own beside the one told."""

STATIVE = _words("open opposed prepared ready willing unwilling keen determined reluctant surprised against committed divided")
"""Words that after "is" or "remains" give the subject's position."""

SILENT = _words("comment respond reply answer say speak return mention tell confirm")
"""Verbs that with "did not" report no position."""

UNDER_WOULD = _words("consider vote support reject veto oppose back seek support decline")
"""Verbs that report a position even behind "would" or "will"."""

POSITION_NOUNS = _words(
    "comment comments remark remarks statement statements stance position claim claims threat threats view views "
    "suggestion suggestions proposal desire wish support opposition dissent concern concerns priority promise pledge "
    "warning warnings insistence refusal rejection demand demands objection objections criticism decision verdict "
    "assurance assurances answer reply plan plans offer call calls ruling vote approach recommendation fury anger"
)
WILL_NOUNS = _words("desire wish plan plans proposal proposed approach offer negotiations will dissent opposition")
"""Nouns whose owner holds a position wherever in the sentence the noun stands."""

TITLES = _words(
    "minister secretary president senator sen sens rep reps congressman congresswoman representative mr mrs ms miss dr "
    "mayor superintendent chancellor premier commissioner governor gov judge justice ambassador general gen colonel col "
    "director chair chairman chairwoman chairperson boss manager leader spokesman spokeswoman spokesperson coun cllr "
    "councillor councilman councilwoman sir lord lady baroness dame pope king queen prince princess captain coach "
    "striker defender midfielder goalkeeper analyst professor prof rev bishop archbishop sheriff detective inspector "
    "officer attorney envoy lawyer economist executive whip speaker mp taoiseach chief deputy counsel adviser advisor "
    "negotiator owner founder head lt sgt admiral marshal treasurer trustee convener principal headteacher editor "
    "alderman solicitor barrister scientist researcher farmer teacher nurse doctor brewer negotiators diplomat aide "
    "rival agent actor author historian campaigner activist resident"
)
ROLES = TITLES | _words(
    "colleague counterpart predecessor successor clerk number husband wife widow brother sister son daughter father "
    "mother uncle aunt cousin partner client candidate lawmaker official source member investor ombudsman person "
    "prosecutor driver worker spokes architect engineer neighbour neighbor tenant landlord banker trader uncle niece "
    "nephew grandfather grandmother couple developer contractor"
)
SPOKES = _words("spokesman spokeswoman spokesperson representative office lawyers")
MALE_ROLES = _words(
    "mr sir lord king prince husband brother son father uncle chairman spokesman congressman grandfather nephew"
)
FEMALE_ROLES = _words(
    "mrs ms miss lady baroness dame queen princess wife widow sister daughter mother aunt chairwoman spokeswoman "
    "congresswoman grandmother niece"
)
BODIES = _words(
    "union council board committee ministry government party company firm bank court police team club association "
    "foundation agency office department commission district trust group authority administration parliament senate "
    "congress house assembly army military alliance coalition federation institute university college school church "
    "charity developer regulator watchdog fund body panel tribunal society network chamber organisation organization "
    "league academy campaign opposition cabinet bureau service center centre inc ltd plc corp co utility chain operator "
    "airline manufacturer retailer insurer publisher hospital jury community bloc camp state city town county region "
    "pentagon kremlin commons consortium partnership studio orchestra museum theatre inspectorate taskforce "
    "side outfit treasury embassy delegation inquiry"
)
GROUPS = _words(
    "members ministers officials lawyers analysts parents workers dockers residents voters lawmakers senators mps allies "
    "diplomats leaders experts critics campaigners protesters teachers students unions shareholders investors officers "
    "councillors councilors commissioners governors mayors scientists researchers economists doctors nurses farmers "
    "drivers fans supporters activists environmentalists republicans democrats conservatives greens liberals judges "
    "justices prosecutors police firefighters traders fishermen fishers families neighbours neighbors tenants owners "
    "managers executives employers staff governments nations countries states ministries companies banks regulators "
    "auditors inspectors advisers engineers planners historians librarians pensioners patients commuters musicians "
    "players trustees delegates rebels backbenchers opponents directors ukrainians russians europeans americans "
    "lenders creditors growers clinicians midwives consultants pilots"
)
ANONYMOUS = _words("official source person officials sources people aide diplomat insider resident member")
HEADS = ROLES | BODIES | GROUPS

MEDIA = _words(
    "times post mercury herald journal courier gazette guardian bbc cnn reuters tribune chronicle telegraph news "
    "newspaper magazine broadcaster outlet mail star echo wire agency press observer paper"
)
TIMES = _words(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december jan feb mar apr jun jul aug sept sep oct nov dec christmas easter"
)
PRONOUNS = _words("he she they it")
PLURAL_PRONOUNS = _words("they both")
PREPOSITIONS = _words(
    "of for with at from by about on in to between against among over under during after before into since until "
    "despite regarding concerning following without toward towards upon through across within near outside unlike "
    "like as than via per around behind beyond along"
)
DETERMINERS = _words("the a an this that these those his her its their our my your some many several two three no any")
AUXILIARIES = _words(
    "has have had is are was were be been being would will could should may might must can does do did not never also "
    "then later now again still already once twice himself herself itself themselves too all both n't since just soon "
    "initially both instead even promptly today yesterday monday tuesday wednesday thursday friday saturday sunday "
    "jointly earlier late first long only always often"
)
BE = _words("is are was were be been being")
BREAKS = _words("while but whereas although though despite because after than unlike if when where which who whose as")
FUNCTION = (
    PREPOSITIONS
    | DETERMINERS
    | AUXILIARIES
    | BREAKS
    | PRONOUNS
    | _words("and or nor yet so there here what why how i we you not if it's nobody everyone one ones each most more "
             "however meanwhile yes let asked according speaking responding unlikely maybe perhaps both neither "
             "every other others another such even only whether ten nine eight seven six five four hundreds thousands "
             "dozens earlier later finally initially additionally moreover furthermore still then them him me us "
             "that's he's she's i'm we've we're i've")
)

MALE_NAMES = _words(
    "adam adrian ahmed alan alastair albert alejandro alex alexander ali andrew andrei anthony anton antonio arthur "
    "benjamin ben bernard bill bob boris brian bruce carl carlos charles chris christopher colin craig daniel danny dave "
    "david dennis dieter dmitry dominic donald doug duncan edward emmanuel eric erik ernest evan felix finn francis frank "
    "franz fred fredrik gareth gary gavin geoff george gerald giorgio giovanni giulio glenn gordon graham greg gregory "
    "gunnar gustav hans harold harry hassan henrik henry howard hugh hugo ian igor imran ivan ivor jack jacob jakub james "
    "jamie jan jason javier jd jeff jens jeremy jim jimmy joe joel johan john jonas jonathan jorge jose joseph josh "
    "josiah juan julian karl keith ken kenneth kevin kwame lars laurent lee leo leon liam louis luca lucas luis luke mads "
    "magnus malcolm manuel marc marco marcus mario mark markus martin mateo matt matthew max michael mick miguel mike "
    "mikhail mohamed mohammed nathan neil niall nicholas nick nigel nils norman oleg oliver omar oscar oskar owen paolo "
    "patrick paul pavel pedro pete peter petr philip piers pierre rafael raj ralph ray richard rob robert robin roger "
    "ron ronald rory ross roy rupert russell ryan sam samir samuel sanjay scott sean sebastian sergei sergey simon stefan "
    "stephen steve steven stuart sven ted teo terry theo thomas tim timothy toby tom tomas tony trevor trygve tariq "
    "victor vikram viktor vincent vladimir volodymyr walter wayne will william xavier yusuf zach hamish callum dougal "
    "emeka chidi kofi kwesi tunde bola hiroshi kenji takeshi wei jun min arjun ravi anil sunil deepak amir farid karim "
    "khalid mustafa mehmet emre osman nikolai dimitri kostas giorgos ioannis matteo lorenzo fabio enrico antoine benoît "
    "françois jacques jean luc mathieu olivier philippe thierry yves klaus jürgen günter wolfgang heinz rolf uwe bjørn "
    "leif olav per rasmus søren torsten ulf mikko jari pekka andrzej piotr krzysztof tomasz marek zoltán gábor istván"
)
FEMALE_NAMES = _words(
    "abigail ada agnes ailbhe aisha alice alison amanda amelia amy ana andrea angela anita ann anna anne annie antonia "
    "astrid audrey barbara beatrice bella beth birgitta brenda bridget camilla carmen carol caroline catherine cecilia "
    "charlotte chloe christina christine claire clara claudia dana danielle deborah deb denise diana donna dorothy "
    "eileen elaine eleanor elena elisabeth elizabeth ellen emily emma erika esther eva fatima fiona frances gabriela gail "
    "georgia gillian giulia gloria grace greta hannah harriet hazel heather helen helena hilary ida ines ingrid ingunn "
    "irene iris isabel isabella jacqueline jane janet janice jean jenna jennifer jenny jessica jill joan joanna joanne "
    "judith judy julia julie karen karin kate katarzyna katherine kathleen kathy katie kelly kirsten laura lauren leila "
    "lena leonie leslie lily linda lisa liz louise lucia lucy lydia maeve mandy margaret maria marie marina marion marta "
    "martha mary maya meera megan melanie melissa mercy michelle miriam moira mona monica nadia nancy naomi natalia "
    "natalie natasha nicola nicole nina nora olga olena olivia pamela patricia paula pauline penny petra philippa "
    "priya rachel rania rebecca rhona rita rosa rose rosemary ruth sally samantha sandra sara sarah saoirse sharon sheila "
    "shirley siân sian silvia simone sofia sofie sonia sophia sophie stella stephanie susan suzanne svetlana sylvia "
    "tamika tamsin tara tatiana teresa theresa tina tracey ursula valerie vanessa vera veronica victoria violet virginia "
    "wendy yasmin yvonne zoe ngozi amara chioma folasade ama akua abena yuki keiko aiko mei ling xiu lakshmi anjali kavita "
    "sunita deepa amina khadija layla mariam zainab ayse elif zeynep eleni ioanna chiara francesca valentina amélie "
    "benedetta brigitte céline chantal élise hélène isabelle margot solène gudrun heike ilse jutta katrin monika sabine "
    "annika britta freja inger kirsi liv maren mette sigrid solveig tuuli agnieszka ewa magda zofia ilona kaja orla niamh"
)
COMMON_GENDER = MALE_NAMES & FEMALE_NAMES
