"""What the readers know of English: small words, words of one relation, and what question words ask for."""

from __future__ import annotations

import re

MONTHS = tuple(
    "January February March April May June July August September October November December".split()
)

FUNCTION_WORDS = frozenset(
    """
    a about above after all along already also although an and another any anybody are around as at
    away be because become been before began behind being beside besides between both but by came
    can could did do does done down each either else ever every everybody everything few for from
    gave get give goes gone had has have he her here hers him his how however i if in indeed inside
    into is it its itself kept last later least less let like made make many may might more most
    much must near neither never no nobody none nor not nothing now of off often on once one only or
    other others our out over own people perhaps quite rather said same say see she should since so
    some somebody something soon still such sure taken than that the their them then there therefore
    these they this those though through till to today together too took toward two under until up
    upon us used very was we well went were what whatever when where wherever which while who
    whoever whole whom whose why will with within without would yet you your town towns place three
    four five six seven nine twelve thirty forty metres kilometres years
    """.split()
)

LEXICON: tuple[tuple[str, str], ...] = (
    # what a question may say, and what a text says near the answer
    ("born birth birthplace native origin came come", "born birthplace world"),
    (
        "found founded founder foundation establish begin began begun existed existence laid settle create",
        "founded established laid began begun founder",
    ),
    ("build built builder construct launch shipyard yard building", "built"),
    ("design designer plan architect draw drawn drew engineer behind work", "designed architect designer"),
    ("captain command skipper master sail", "captain command"),
    ("write wrote written author pen penned writer work", "written author wrote"),
    ("publish print appear publication", "published"),
    ("complete completion finish end", "completed stone"),
    ("open opening traffic", "opened"),
    ("climb climber ascent ascend summit conquer", "climbed"),
    ("rise source spring start begin feed", "rises rising"),
    ("empty mouth end flow drain", "empties"),
    ("cross span carry over under below lead", "crosses"),
    ("known famous fame reputation product produce ware", "known famous fame its for"),
    (
        "made material hull stuff build built used",
        "hull made built of material used chose lined faced covered sheathed planked",
    ),
    ("member belong", "members"),
    ("inhabitant live population resident dwell home", "inhabitants people population"),
    (
        "job occupation profession trade living career follow",
        "trade was as he she who born living worked became this",
    ),
    ("length long longer measure", "length"),
    ("height high tall rise reach stand", "height tall"),
    ("month held hold celebrate place", "every each"),
    ("seat base meet home", "seat hall meets house rooms"),
    ("page", "pages"),
    ("day last", "days lasts"),
    ("river stream stand lie water flow beside", "river stands lies bank"),
    ("mountain peak", "mount mountain"),
    ("town place home port harbour seat", "at in near"),
)

# Words for people by what they do: most end alike, and some words that end so are no people.
_NO_TRADES = """
    other her over under never after later whether paper water winter summer river order number
    tower quarter letter copper silver timber father daughter brother mother poor outer inner upper
    lower cellar floor door corner larger taller longer older younger harbour business butter
    leather weather cider former better shorter consider
    """.split()
_ENDINGS = (
    "er or ist ian wright smith man eer mason ect tain wife scribe merchant pilot warden ess monk".split()
)
TRADES = (
    rf"(?!(?:{'|'.join(_NO_TRADES)})\b)"
    rf"(?:scribe|physicist|merchant|pilot|mason|monk|warden|curate|[a-z]+(?:{'|'.join(_ENDINGS)}))"
)

_WHICH = r"^(?:\w+ )?(?:which|what)"
_WHICH_OR_NAME = r"^(?:which|what|name an?|name the|by what|of which|over which|give me a)"
_PEOPLE = "person|man|woman|captain|architect|engineer|author|writer"
# The first that fits says what kind of span answers a question; the order matters.
TYPES = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("title", rf"{_WHICH_OR_NAME} (?:bridge|ship|vessel)\b"),
        ("title", rf"{_WHICH_OR_NAME} (?:mountain|river) .*\b(?:climb|climbed|ascent|rises on|begins at)\b"),
        ("title", rf"{_WHICH_OR_NAME} (?:mountain|river) .*\b(?:source on|springs)\b"),
        ("title", rf"{_WHICH_OR_NAME} town .*\b(?:on the|beside|founded by|found|foundation|past|that)\b"),
        ("title", r"^(?:who was|name a person|give me the name of somebody) .*\bborn in\b|\bcame from\b"),
        ("month", r"\b(?:which|what) month\b|\bmonth of\b"),
        ("year", r"^(?:since )?when\b|\byear\b"),
        ("measure", r"\bhow (?:long|tall|high|far)\b|\b(?:length|height)\b|\bmeasure"),
        ("count", r"\bhow many\b|\bpopulation\b|\bnumber of\b|\bcount\b"),
        ("trade", r"\b(?:occupation|profession|trade|job|living|career)\b"),
        ("river", rf"{_WHICH} (?:river|stream)\b|\bname of the (?:river|stream)\b"),
        ("mountain", rf"{_WHICH} (?:mountain|peak)\b|^what is the source\b|^where\b.*\brise\b"),
        ("water", r"\bempty\b|\bflow into\b|\bat the mouth\b|^where\b.*\bend\b"),
        ("person", rf"^(?:\w+ )?(?:whom?|whose)\b|{_WHICH} (?:{_PEOPLE})\b"),
        ("place", rf"^where\b|{_WHICH} (?:town|place|city|port|harbour)\b|^what is the birthplace\b"),
    )
)
