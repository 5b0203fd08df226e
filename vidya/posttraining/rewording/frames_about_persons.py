"""Ways to ask who somebody is: name, age, home, work, family, what they can do.

Its form is told in vidya/posttraining/rewording/frame_table.py.
"""

ABOUT_PERSONS: tuple[str, ...] = (
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
""",
    """
where were you born
what is your place of birth
what is your birthplace
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
what languages do you speak
which languages do you speak
what languages can you speak
=> which languages can you speak
=> what languages do you know
=> tell me what languages you speak
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
what makes you happy
=> what things make you happy
=> tell me what makes you happy
""",
    """
what makes you sad
=> what things make you sad
=> tell me what makes you sad
""",
    """
do you work
do you have a job
=> have you got a job
=> you work
""",
    """
what school do you go to
which school do you go to
where do you go to school
=> what school do you attend
=> which school are you at
""",
    """
what are you afraid of
what are you scared of
=> what scares you
=> what are your fears
=> is there something you are afraid of
""",
    """
what do you like
=> what things do you like
=> what sort of things do you like
=> tell me what you like
""",
    """
what do you like to do
what do you enjoy doing
=> what things do you like to do
=> what do you love doing
""",
    """
where did you grow up
=> where were you raised
=> what place did you grow up in
=> tell me where you grew up
""",
    """
what do you eat
what do you like to eat
=> what food do you eat
=> what sort of food do you eat
=> what do you usually eat
""",
    """
do you live alone
=> you live alone
=> do you live by yourself
=> do you live on your own
""",
    """
do you have a boyfriend
=> have you got a boyfriend
=> you got a boyfriend
=> got a boyfriend
""",
    """
do you have a girlfriend
=> have you got a girlfriend
=> you got a girlfriend
=> got a girlfriend
""",
    """
what do you want to be when you grow up
what do you want to become when you grow up
=> what would you like to be when you grow up
""",
    """
what is your star sign
what is your zodiac sign
=> what sign are you
=> your star sign
""",
)
