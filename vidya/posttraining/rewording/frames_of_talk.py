"""Ways to ask what is asked in passing: how somebody is, the weather, the time, a joke.

Its form is told in vidya/posttraining/rewording/frame_table.py.
"""

OF_TALK: tuple[str, ...] = (
    """
how are you
how are you doing
=> how are you today
=> how are you doing today
=> how is it going
=> how are things
=> how are you feeling
""",
    """
how is the weather
what is the weather like
=> how is the weather today
=> what is the weather today
=> what is the weather like today
=> how is the weather over there
=> weather today
""",
    """
what time is it
what is the time
=> what time is it now
=> do you have the time
=> tell me the time
=> what is the time now
""",
    """
what are you doing
what are you up to
=> what are you doing now
=> what are you doing right now
=> what you doing
=> what are you busy with
=> what are you up to right now
""",
    """
tell me about yourself
tell me something about yourself
introduce yourself
describe yourself
=> tell me a bit about yourself
=> tell me more about yourself
=> can you introduce yourself
=> say something about yourself
=> can you tell me about yourself
=> i want to know more about you
""",
    """
how was your day
=> how did your day go
=> how has your day been
=> how was your day today
=> did you have a good day
""",
    """
nice to meet you
pleased to meet you
good to meet you
glad to meet you
=> nice meeting you
""",
    """
what can you do
what are you able to do
=> what things can you do
=> tell me what you can do
=> what are you capable of
=> what are your abilities
""",
    """
tell me a joke
=> can you tell me a joke
=> do you know any jokes
=> know any jokes
=> tell a joke
=> make me laugh
""",
    """
tell me a story
=> can you tell me a story
=> do you know any stories
=> tell a story
""",
    """
sing me a song
sing a song
=> can you sing a song for me
=> sing something for me
=> sing a song for me
""",
    """
what is up
what is new
=> sup
=> wassup
=> what is going on
=> anything new
=> what is happening
""",
    """
how is life
=> how is life treating you
=> how is life going
=> how are things in your life
""",
    """
do you love me
=> you love me
=> do you really love me
""",
    """
how do you feel
how are you feeling
=> how do you feel today
=> how do you feel now
""",
    """
are you ok
are you okay
are you all right
are you alright
=> you ok
=> everything ok
""",
    """
can i ask you something
can i ask you a question
may i ask you something
may i ask you a question
=> mind if i ask you something
=> i want to ask you something
""",
    """
what day is it
what day is it today
=> what is the day today
=> which day is it today
""",
    """
what is your dream
=> what do you dream of
=> what is your biggest dream
=> do you have a dream
""",
    """
can you help me
could you help me
=> can you help me please
=> i need your help
=> i need some help
=> can you give me some help
=> help me please
""",
)
