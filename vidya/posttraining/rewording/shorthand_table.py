"""Shorthand of phones and chats: u for you, pls for please, wanna for want to."""

SHORTHAND: dict[str, tuple[str, ...]] = {
    key: tuple(short.split("/"))
    for key, short in (
        line.split(": ")
        for line in """
you: u/u/u/u/ya
your: ur/ur/ur/yr
yours: urs
yourself: urself
are you: r u/are u/r you
you are: ur/u r
you're: ur
how are you: how r u/how are u/hru/how ru
what are you: what r u/wat r u/whatcha/what are u
who are you: who r u/who are u/who ru
where are you: where r u/where are u/where u
what do you: what do u/wat do u
what about you: wbu/what about u
how about you: hbu/how about u
please: pls/plz/plss
thanks: thx/thnx/tnx/thanx
thank you: ty/thank u/thx
because: cuz/coz/cos/bc
something: smth/sth/somethin
someone: some1/sm1
anyone: any1
everyone: every1
about: abt/bout
people: ppl
before: b4
tomorrow: tmrw/tmr/2moro
tonight: tonite/2nite
today: 2day/tday
great: gr8
later: l8r/l8er
love: luv/lov
know: kno
what: wat/wut
though: tho
through: thru
right now: rn
favourite: fav/fave
favorite: fav/fave
favourites: favs/faves
favorites: favs/faves
really: rly/rlly
probably: prob/prolly
good: gud
night: nite
message: msg
picture: pic
pictures: pics
birthday: bday/b-day
boyfriend: bf
girlfriend: gf
best friend: bff/bestie
information: info
definitely: def/defo
okay: ok/k/kk
ok: k/okay
want to: wanna/want 2
got to: gotta
have to: hafta
kind of: kinda
give me: gimme
let me: lemme
don't know: dunno
do not know: dunno
i don't know: idk/dunno
i do not know: idk/dunno
by the way: btw
see you: cu/cya/see ya/see u
doing: doin
going: goin
feeling: feelin
talking: talkin
thinking: thinkin
working: workin
living: livin
playing: playin
nothing: nothin/nuthin
and: n/&
seriously: srsly
years old: yrs old
""".split("\n")
        if line
    )
}
"""What is typed in haste for a word or phrase."""

AT_LENGTH: dict[str, tuple[str, ...]] = {
    "u": ("you",),
    "r u": ("are you",),
    "pls": ("please",),
    "plz": ("please",),
    "thx": ("thanks",),
    "ppl": ("people",),
    "fav": ("favourite", "favorite"),
    "fave": ("favourite", "favorite"),
    "wanna": ("want to",),
    "gonna": ("going to",),
    "gotta": ("have to",),
    "cuz": ("because",),
    "smth": ("something",),
    "abt": ("about",),
    "bday": ("birthday",),
    "lemme": ("let me",),
    "gimme": ("give me",),
    "dunno": ("don't know",),
}
"""Shorthand that a taught question may have itself, and what it stands for."""

VERBS_AFTER_GONNA = frozenset(
    """be do get have eat make see sleep play watch take come tell say buy help cook read write sing
    dance study learn leave stay die win lose travel visit meet marry call talk try start finish
    become live move change clean wear rain snow""".split()
)
"""What may follow `going to` where it is `gonna`: going to school stays."""
