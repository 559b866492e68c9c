"""The nouns of the holder rules: positions, roles, bodies, groups; and the small words of English."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


POSITION_NOUNS = words(
    "comment comments remark remarks statement statements stance position claim claims threat threats view views "
    "suggestion suggestions proposal desire wish support opposition dissent concern concerns priority promise pledge "
    "warning warnings insistence refusal rejection demand demands objection objections criticism decision verdict "
    "backing assurance assurances answer reply plan plans offer call calls ruling vote approach recommendation fury "
    "anger"
)
WILL_NOUNS = words("desire wish plan plans proposal proposed approach offer negotiations dissent opposition")
"""Nouns whose owner holds a position wherever in the sentence the noun stands."""

TITLES = words(
    "minister secretary president senator sen sens rep reps congressman congresswoman representative mr mrs ms miss "
    "dr mayor superintendent chancellor premier commissioner governor gov judge justice ambassador general gen "
    "colonel col director chair chairman chairwoman chairperson boss manager leader spokesman spokeswoman "
    "spokesperson coun cllr councillor councilman councilwoman sir lord lady baroness dame pope king queen prince "
    "princess captain coach striker defender midfielder goalkeeper analyst professor prof rev bishop archbishop "
    "sheriff detective inspector officer attorney envoy lawyer economist executive whip speaker mp taoiseach chief "
    "deputy counsel adviser advisor negotiator owner founder head lt sgt admiral marshal treasurer trustee convener "
    "principal headteacher editor alderman solicitor barrister scientist researcher farmer teacher nurse doctor "
    "brewer negotiators diplomat aide rival agent actor author coroner magistrate historian campaigner activist "
    "resident"
)
ROLES = TITLES | words(
    "colleague counterpart predecessor successor clerk number husband wife widow brother sister son daughter father "
    "mother uncle aunt cousin partner client candidate lawmaker official source member investor ombudsman person "
    "prosecutor driver worker spokes architect engineer neighbour neighbor tenant landlord banker trader niece nephew "
    "grandfather grandmother couple developer contractor singer actress artist novelist playwright conductor pilot "
    "player referee winger pensioner shopkeeper baker fisherman skipper landlady builder curator vicar priest imam "
    "rabbi headmistress miner student pupil survivor victim defendant plaintiff claimant billionaire tycoon "
    "entrepreneur veteran incumbent challenger backbencher peer ally critic opponent teenager boatman keeper grower "
    "mechanic physicist biologist geologist chemist astronomer climatologist consultant surgeon midwife paramedic "
    "chaplain librarian organiser organizer drummer guitarist violinist composer"
)
SPOKES = words("spokesman spokeswoman spokesperson representative office lawyers")
MALE_ROLES = words(
    "mr sir lord king prince husband brother son father uncle chairman spokesman congressman grandfather nephew"
)
FEMALE_ROLES = words(
    "mrs ms miss lady baroness dame queen princess wife widow sister daughter mother aunt chairwoman spokeswoman "
    "congresswoman grandmother niece"
)
BODIES = words(
    "union council board committee ministry government party company firm bank court police team club association "
    "foundation agency office department commission district trust group authority administration parliament senate "
    "congress house assembly army military alliance coalition federation institute university college school church "
    "charity developer regulator watchdog fund body panel tribunal society network chamber organisation organization "
    "league academy campaign opposition cabinet bureau service center centre inc ltd plc corp co utility chain "
    "operator airline manufacturer retailer insurer publisher hospital jury community bloc camp state city town "
    "county region pentagon kremlin commons consortium partnership studio orchestra museum theatre inspectorate "
    "taskforce side outfit treasury embassy delegation inquiry"
)
GROUPS = words(
    "members ministers officials lawyers analysts parents workers dockers residents voters lawmakers senators mps "
    "allies diplomats leaders experts critics campaigners protesters teachers students unions shareholders investors "
    "officers councillors councilors commissioners governors mayors scientists researchers economists doctors nurses "
    "farmers drivers fans supporters activists environmentalists republicans democrats conservatives greens liberals "
    "judges justices prosecutors police firefighters traders fishermen fishers families neighbours neighbors tenants "
    "owners managers executives employers staff governments nations countries states ministries companies banks "
    "regulators auditors inspectors advisers engineers planners historians librarians pensioners patients commuters "
    "musicians players trustees delegates rebels backbenchers opponents directors ukrainians russians europeans "
    "americans friends groups lenders creditors growers clinicians midwives consultants pilots"
)
THINGS = words(
    "report study statement letter document notice sign email e-mail text poll survey figures data law rule order "
    "bill article paper review memo message story account book leaflet poster website results records filing files "
    "lawsuit complaint indictment transcript tweet post reports studies statements letters documents one ones others "
    "he she it they who which that way time year deal plan motion vote numbers papers"
)
"""Nouns that "say" things but hold no position of their own, and words that are no nouns."""

ANONYMOUS = words(
    "official source person officials sources people aide aides diplomat insider insiders resident member"
)
HEADS = ROLES | BODIES | GROUPS | words("sources aides insider insiders")

MEDIA = words(
    "times post mercury herald journal courier gazette guardian bbc cnn reuters tribune chronicle telegraph news "
    "newspaper magazine broadcaster outlet mail star echo wire agency press observer paper"
)
TIMES = words(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december jan feb mar apr jun jul aug sept sep oct nov dec christmas easter"
)
PRONOUNS = words("he she they it")
PERSON_PARTICLES = words("von van der den ter ten zu zum zur vom bin ibn bint")
"""Small words that stand inside the names of persons only."""

PARTICLES = PERSON_PARTICLES | words("de du di da do dos das del della degli delle la le el al ben abu te af av y")
"""Small words that stand inside names, one or several in a row: "Ursula von der Leyen", "Rio de Janeiro"."""

PREPOSITIONS = words(
    "of for with at from by about on in to between against among over under during after before into since until "
    "despite regarding concerning following without toward towards upon through across within near outside unlike "
    "like as than via per around behind beyond along"
)
DETERMINERS = words(
    "one another the a an this that these those his her its their our my your some many several two three no any"
)
AUXILIARIES = words(
    "less more very deeply has have had is are was were be been being would will could should may might must can does "
    "do did not never also then later now again still already once twice himself herself itself themselves too all "
    "both n't since just soon initially instead even promptly today yesterday monday tuesday wednesday thursday "
    "friday saturday sunday jointly earlier late first long only always often"
)
BE = words("is are was were be been being")
BREAKS = words("while but whereas although though despite because after than unlike if when where which who whose as")
FUNCTION = (
    PREPOSITIONS
    | DETERMINERS
    | AUXILIARIES
    | BREAKS
    | PRONOUNS
    | words(
        "and or nor yet so there here what why how i we you not if it's nobody everyone one ones each most more "
        "however meanwhile yes let asked according speaking responding unlikely maybe perhaps both neither every "
        "other others another such even only whether ten nine eight seven six five four hundreds thousands dozens "
        "earlier later finally initially additionally moreover furthermore still then them him me us that's he's "
        "she's i'm we've we're i've"
    )
)
