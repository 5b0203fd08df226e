"""Ways to ask the same: groups of questions of one meaning, with `{x}` for what stays.

A group is a line a way; what stands behind `=>` is written but not recognised, as it may also mean
something else. Words in small letters, contractions undone. `{x}` is a thing, `{v}` begins with a
verb.
"""

from vidya.posttraining.rewording.frames_about_persons import ABOUT_PERSONS
from vidya.posttraining.rewording.frames_of_talk import OF_TALK

_GENERAL: tuple[str, ...] = (
    """
do you like {x}
do you enjoy {x}
are you a fan of {x}
are you into {x}
are you fond of {x}
=> you like {x}
=> like {x}
=> do you like {x} at all
=> you a fan of {x}
=> you into {x}
=> do you really like {x}
=> are you a big fan of {x}
=> tell me if you like {x}
=> what do you think of {x}
=> what do you think about {x}
""",
    """
what do you think of {x}
what do you think about {x}
what is your opinion on {x}
what is your opinion of {x}
how do you feel about {x}
what are your thoughts on {x}
=> what is your take on {x}
=> your thoughts on {x}
=> any thoughts on {x}
=> your opinion on {x}
=> tell me what you think of {x}
""",
    """
what is your {favourite} {x}
which {x} do you like best
which {x} do you like most
what {x} do you like best
what {x} do you like most
=> your {favourite} {x}
=> {favourite} {x}
=> what is the {x} you like best
=> what is the {x} you like most
=> do you have a {favourite} {x}
=> tell me your {favourite} {x}
=> got a {favourite} {x}
=> what would you say is your {favourite} {x}
=> what {x} is your {favourite}
=> which {x} is your {favourite}
=> which is your {favourite} {x}
""",
    """
do you have {x}
have you got {x}
=> you have {x}
=> you got {x}
=> got {x}
""",
    """
can you {v}
are you able to {v}
=> you can {v}
""",
    """
do you speak {x}
can you speak {x}
=> you speak {x}
=> speak {x}
=> are you able to speak {x}
=> do you know how to speak {x}
""",
    """
do you want to {v}
would you like to {v}
=> you want to {v}
=> want to {v}
""",
    """
what kind of {x} do you like
what type of {x} do you like
what sort of {x} do you like
what {x} do you like
which {x} do you like
=> what kind of {x} are you into
=> what kinds of {x} do you like
=> which kind of {x} do you like
=> what kind of {x} do you enjoy
""",
    """
what does {x} mean
what is the meaning of {x}
""",
    """
how many {x} do you have
how many {x} have you got
=> how many {x} you got
""",
    """
do you believe in {x}
=> you believe in {x}
=> do you really believe in {x}
=> are you a believer in {x}
""",
    """
what time do you {v}
when do you {v}
=> at what time do you {v}
""",
    """
why are you {x}
=> how come you are {x}
=> why you {x}
""",
    """
do you live in {x}
=> you live in {x}
=> is {x} where you live
""",
    """
are you from {x}
=> you from {x}
=> do you come from {x}
""",
    """
why do you {v}
=> how come you {v}
=> tell me why you {v}
""",
    """
what is your {x}
=> your {x}
=> tell me your {x}
=> can you tell me your {x}
=> may i know your {x}
""",
    """
do you play {x}
=> you play {x}
""",
    """
do you know {x}
=> you know {x}
""",
    """
are you {x}
=> you {x}
""",
    """
do you {v}
=> you {v}
""",
    """
have you ever {v}
=> ever {v}
=> you ever {v}
""",
)
FRAMES = (*ABOUT_PERSONS, *OF_TALK, *_GENERAL)
"""All groups, what is particular before what is general."""
