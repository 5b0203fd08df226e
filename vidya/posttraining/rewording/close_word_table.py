"""Words of everyday English that may stand for one another in a question."""

CLOSE_WORDS: tuple[tuple[str, ...], ...] = tuple(
    tuple(line.split("/"))
    for line in """
movie/film
movies/films
television/tv/telly
job/work/profession/occupation
tired/sleepy
sick/ill
big/large
smart/clever/intelligent
scared/afraid
scary/frightening
pretty/beautiful
photo/picture/pic
photos/pictures/pics
song/tune/track
songs/tunes
kids/children
father/dad
mother/mom/mum
parents/mom and dad/mum and dad
grandmother/grandma/granny
grandfather/grandpa/grandad
brothers or sisters/siblings/brothers and sisters
mobile phone/cell phone/cellphone/phone
bicycle/bike
holiday/vacation
begin/start
rich/wealthy
hate/dislike
often/frequently
usually/normally
currently/at the moment/right now
nowadays/these days
every day/each day/daily
spare time/free time
university/college/uni
shop/store
shops/stores
sweets/candy
trip/journey
purchase/buy
weird/strange/odd
angry/mad
funny/amusing
best friend/closest friend/best mate
type of/kind of/sort of
types of/kinds of/sorts of
talk to/speak to/chat with
speak with/talk with
enjoy doing/like doing
house/home
hometown/home town
a person/a human being
maybe/perhaps
meal/dish
meals/dishes
garbage/rubbish/trash
sneakers/trainers
""".split("\n")
    if line
)
"""Each line is one meaning; every member may stand for every other."""

_GERUNDS = """
dance/dancing swim/swimming run/running read/reading write/writing sing/singing cook/cooking
eat/eating drink/drinking sleep/sleeping travel/travelling play/playing watch/watching draw/drawing
paint/painting walk/walking hike/hiking drive/driving ski/skiing fish/fishing shop/shopping
talk/talking chat/chatting study/studying learn/learning work/working bake/baking climb/climbing
listen/listening go/going make/making take/taking ride/riding spend/spending help/helping
teach/teaching laugh/laughing dream/dreaming cycle/cycling knit/knitting garden/gardening
exercise/exercising party/partying get/getting meet/meeting visit/visiting
"""
LIKED_ACTIONS: tuple[tuple[str, str], ...] = tuple(
    (f"{like} to {verb}", f"{like} {gerund}")
    for verb, gerund in (pair.split("/") for pair in _GERUNDS.split())
    for like in ("you like", "you love", "you prefer")
)
"""What somebody likes to do, or likes doing; `would you like to …` asks something else."""
