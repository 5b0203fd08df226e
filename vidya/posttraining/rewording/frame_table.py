"""Ways to ask the same: groups of questions of one meaning, with `{x}` for what stays.

A group is a line a way; what stands behind `=>` is written but not recognised, as it may also mean
something else. Words in small letters, contractions undone.
"""

FRAMES: tuple[str, ...] = (
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
what is your name
tell me your name
what are you called
what do they call you
=> what is your name again
=> your name
=> what do people call you
=> what should i call you
=> what can i call you
=> do you have a name
=> may i know your name
=> could you tell me your name
=> and your name is
""",
    """
how old are you
what is your age
=> your age
=> tell me your age
=> what age are you
=> how old are you now
=> tell me how old you are
=> how many years old are you
""",
    """
where are you from
where do you come from
=> where are you from originally
=> where are you originally from
=> where you from
=> tell me where you are from
=> what country are you from
""",
    """
where do you live
where are you living
where is your home
=> where do you live now
=> where you live
=> tell me where you live
=> what place do you live in
""",
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
what do you do for a living
what is your job
what is your profession
what is your occupation
what do you do for work
what work do you do
=> what kind of work do you do
=> what sort of job do you have
=> what is your job exactly
=> your job
""",
    """
what are your hobbies
do you have hobbies
do you have any hobbies
what do you do for fun
what do you do in your free time
what do you like to do in your free time
what do you do in your spare time
=> any hobbies
=> got any hobbies
=> what hobbies do you have
=> tell me your hobbies
=> what do you like doing in your free time
""",
    """
who are you
=> tell me who you are
=> who are you exactly
=> who exactly are you
=> who is this
=> who am i talking to
=> so who are you
""",
    """
who made you
who created you
who built you
who is your creator
who is your maker
=> who developed you
=> who programmed you
=> who were you made by
=> tell me who made you
=> by whom were you made
""",
    """
where were you born
what is your place of birth
what is your birthplace
=> where was it you were born
=> in which place were you born
=> where were you born at
=> tell me where you were born
""",
    """
when is your birthday
what day is your birthday
when do you celebrate your birthday
=> what is your birthday
=> what date is your birthday
=> tell me when your birthday is
=> your birthday is when
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
what languages do you speak
which languages do you speak
what languages can you speak
=> which languages can you speak
=> what languages do you know
=> tell me what languages you speak
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
are you married
=> you married
=> are you married or not
""",
    """
are you single
=> you single
=> are you single or not
=> are you in a relationship or single
""",
    """
do you have any brothers or sisters
do you have brothers or sisters
do you have brothers and sisters
do you have any siblings
do you have siblings
=> any brothers or sisters
=> have you got any siblings
=> any siblings
=> got siblings
""",
    """
how tall are you
what is your height
=> your height
=> tell me how tall you are
""",
    """
what do you look like
how do you look
=> describe what you look like
=> tell me what you look like
=> what is your appearance like
""",
    """
are you a man or a woman
are you a boy or a girl
are you male or female
=> are you a girl or a boy
=> are you a woman or a man
=> are you a guy or a girl
=> what is your gender
=> boy or girl
=> male or female
""",
    """
are you human
are you a human
are you a human being
are you a real person
=> are you a person
=> are you really human
=> are you an actual human
""",
    """
are you a robot
are you a bot
=> you a robot
=> are you some kind of robot
=> am i talking to a robot
=> are you a robot or something
""",
    """
are you an ai
are you ai
are you an artificial intelligence
=> you an ai
=> am i talking to an ai
""",
    """
what does {x} mean
what is the meaning of {x}
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
what makes you happy
=> what is it that makes you happy
=> what things make you happy
=> tell me what makes you happy
""",
    """
what makes you sad
=> what is it that makes you sad
=> what things make you sad
=> tell me what makes you sad
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
why do you {v}
=> how come you {v}
=> why is it that you {v}
=> tell me why you {v}
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
=> do you ever play {x}
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
=> do you ever {v}
""",
    """
have you ever {v}
=> ever {v}
=> you ever {v}
""",
)
