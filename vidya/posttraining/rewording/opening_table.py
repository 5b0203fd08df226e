"""What people say before and after a question, without changing what they ask."""

from vidya.posttraining.rewording.chance import Weighted

OPENINGS = Weighted(
    ("hey, ", 3), ("hey ", 3), ("hi, ", 3), ("hi ", 1), ("hello, ", 2), ("hi there, ", 1),
    ("hey there, ", 1), ("so, ", 2), ("so ", 3), ("ok so ", 2), ("okay, ", 1), ("well, ", 1),
    ("um, ", 1), ("umm ", 1), ("hmm, ", 1), ("oh, ", 1), ("and ", 1), ("just curious, ", 1),
    ("quick question: ", 1), ("question: ", 0.5), ("i was wondering, ", 1), ("btw ", 1),
    ("by the way, ", 1), ("excuse me, ", 1), ("sorry, ", 0.5), ("yo ", 1), ("dude, ", 0.5),
    ("may i ask, ", 1), ("can i ask you something? ", 0.7), ("i have a question. ", 0.5),
    ("let me ask you, ", 0.5), ("one more question, ", 0.5), ("now ", 0.5), ("hey buddy, ", 0.5),
    ("hi friend, ", 0.5),
)  # fmt: skip
"""Before a question, with their weights."""

STATEMENT_OPENINGS = Weighted(("hey, ", 2), ("hey ", 1), ("well, ", 1), ("oh, ", 1), ("so, ", 0.5))
"""Before what is no question."""

QUESTION_OPENINGS = Weighted(
    ("tell me, ", 2), ("tell me ", 1.5), ("please tell me, ", 1), ("pls tell me ", 0.5),
    ("hey, tell me ", 1), ("come on, tell me ", 0.5), ("be honest, ", 0.5), ("say, ", 0.5),
)  # fmt: skip
"""Before a question only, not before a request."""

INDIRECT = Weighted(
    ("can you tell me ", 3), ("could you tell me ", 2), ("tell me ", 2), ("please tell me ", 1.5),
    ("i want to know ", 2), ("i'd like to know ", 1.5), ("i would like to know ", 1),
    ("can i ask ", 1.5), ("may i ask ", 1.5), ("can i know ", 0.7), ("i was wondering ", 1),
    ("i wonder ", 0.7), ("hey, can you tell me ", 1), ("hi, could you tell me ", 0.7),
    ("would you mind telling me ", 0.5), ("i'm curious ", 0.5), ("just tell me ", 0.5),
)  # fmt: skip
"""Before a question whose words are put in the order of a statement: …what your name is."""

REQUEST_OPENINGS = Weighted(
    ("please ", 3), ("can you ", 3), ("could you ", 2), ("can you please ", 2), ("hey, ", 2),
    ("would you ", 1), ("hi, can you ", 1), ("could you please ", 1), ("i want you to ", 0.5),
)  # fmt: skip
"""Before a request that begins with its verb: tell me a story."""

REQUESTS = frozenset(
    "tell show give sing write help explain describe teach introduce say make read".split()
)
"""Verbs with which a request begins."""

ENDINGS = Weighted(
    (" please", 2), (", please", 1.5), (" my friend", 1.5), (", my friend", 1.5), (" buddy", 1),
    (" mate", 1), (" man", 1), (" dude", 1), (" bro", 1), (", buddy", 0.5), (", friend", 0.5),
    (" then", 0.7), (" btw", 1), (" by the way", 1),
)  # fmt: skip
"""After the last word, before the mark."""

STATEMENT_ENDINGS = Weighted(
    (" my friend", 2), (", my friend", 1), (" buddy", 1), (" man", 1), (" dude", 1), (" bro", 0.7),
)  # fmt: skip
"""After the last word of what is no question."""

QUESTION_ENDINGS = Weighted(
    (", if i may ask", 1), (" if i may ask", 1), (" if you don't mind me asking", 0.7),
    (", i wonder", 0.5), (", just curious", 0.7), (" just curious", 0.5), (", tell me", 0.7),
    (" may i ask", 0.5), (" though", 0.5),
)  # fmt: skip
"""After the last word of a question."""

TAILS = Weighted(
    (" lol", 3), (" haha", 2), (" :)", 2), (" xd", 0.5), (" :D", 0.7), (" hehe", 0.7), (" ;)", 0.5),
    (" 🙂", 0.7), (" 😊", 0.5), (" thanks", 0.7), (" thx", 0.4), (" lmao", 0.3),
)  # fmt: skip
"""Behind everything, with the mark or in its place."""
