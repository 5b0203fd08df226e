"""Words that are spelt in several ways: British and American, joined and apart, and often wrong."""

SPELLINGS: tuple[tuple[str, ...], ...] = tuple(
    tuple(line.split("/"))
    for line in """
favourite/favorite
favourites/favorites
colour/color
colours/colors
coloured/colored
flavour/flavor
flavours/flavors
humour/humor
neighbour/neighbor
neighbours/neighbors
honour/honor
behaviour/behavior
labour/labor
rumour/rumor
harbour/harbor
centre/center
theatre/theater
theatres/theaters
metre/meter
metres/meters
litre/liter
grey/gray
travelling/traveling
travelled/traveled
traveller/traveler
cancelled/canceled
jewellery/jewelry
pyjamas/pajamas
aeroplane/airplane
mum/mom
mums/moms
mummy/mommy
organise/organize
organised/organized
realise/realize
recognise/recognize
apologise/apologize
memorise/memorize
specialise/specialize
programme/program
programmes/programs
practise/practice
defence/defense
licence/license
dialogue/dialog
catalogue/catalog
doughnut/donut
doughnuts/donuts
cosy/cozy
sceptical/skeptical
tonnes/tons
moustache/mustache
enrol/enroll
skilful/skillful
okay/ok
alright/all right
goodbye/good bye/good-bye
goodnight/good night
everyday life/every day life
ice cream/ice-cream/icecream
video games/videogames
video game/videogame
email/e-mail
website/web site
weekend/week-end
online/on-line
t-shirt/tshirt/t shirt
hot dog/hotdog
free time/freetime
best friend/bestfriend
best friends/bestfriends
bookshop/book shop
percent/per cent
""".split("\n")
    if line
)
"""Each line is one word; every spelling may stand for every other."""

MISSPELT: dict[str, tuple[str, ...]] = {
    key: tuple(wrong.split())
    for key, wrong in (
        line.split(": ")
        for line in """
favourite: favourit favrite faverite favorit
favorite: favorit favrite faverite
because: becuase becasue becouse
believe: beleive belive
friend: freind frend
friends: freinds frends
weird: wierd
tomorrow: tommorow tommorrow tomorow
really: realy relly
beautiful: beutiful beautifull
definitely: definately definetly
different: diffrent
interested: intrested
interesting: intresting
probably: probaly
receive: recieve
restaurant: restaraunt resturant
restaurants: restaraunts resturants
language: langauge languange
languages: langauges
music: musik muisc
movie: moive movei
movies: moives
animal: animel
animals: animels
country: contry countrey
colour: colur coluor
color: colr
birthday: birtday brithday
hobbies: hobbys hobies
hobby: hobbie
weather: wether weater
computer: computor
family: famly
happy: happpy hapy
people: poeple peaple
school: shcool scool
sometimes: somtimes
something: somthing
tonight: tonite
together: togehter togather
travel: travell
understand: undrstand
vegetables: vegtables
writing: writting
coming: comming
know: konw
think: thnik
your: yuor
like: liek
the: teh
about: abuot
name: nmae
from: fron
doing: doign
going: goign
""".split("\n")
        if line
    )
}
"""How common words are often misspelt or mistyped."""
