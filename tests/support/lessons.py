"""Lessons for a tiny model of two layers, and the tokenizer and corpus that they go with."""

import dataclasses

import numpy as np
from support.chat_runs import small_tokenizer
from support.models import draw_model

from vidya.model.config import ModelConfig
from vidya.posttraining.replay_corpus import open_replay_corpus
from vidya.posttraining.teaching.learner import Learner
from vidya.posttraining.teaching.lesson import Candidate, Lesson
from vidya.posttraining.teaching.options import FixedStepSettings, LessonSettings
from vidya.posttraining.teaching.practice import draw_forms
from vidya.text import token_cache

TOKENIZER = small_tokenizer()
CONFIG = ModelConfig(16, 2, 2, 64, TOKENIZER.vocab_size)
FIXED = FixedStepSettings("sft", 4, 1e-5, 96, "kl", 3.0, 8, 0.1, 0.1, 0.2)
"""As journals of format 2 have them."""


def candidate(text):
    return Candidate(text, (*TOKENIZER.encode_text(f" {text} "), TOKENIZER.bos_id))


CANDIDATES = tuple(map(candidate, ("i am fine", "hello", "you and you", "hello", "thank")))
PICK = Lesson(
    0, ("hello there",), CANDIDATES, 3, None, LessonSettings(lr=1e-5),
    draw_forms(TOKENIZER, "hello there", 0),
)  # fmt: skip
CASES = {
    "pick": PICK,
    "pick of two alike": dataclasses.replace(PICK, pick=2),
    "answer": dataclasses.replace(PICK, pick=None, answer="i am thank you"),
    "answer to nothing": dataclasses.replace(PICK, pick=None, answer="fine", candidates=()),
    "rejection": dataclasses.replace(PICK, pick=0),
    "conversation": dataclasses.replace(PICK, turns=("hello", "there", "how are you")),
    "longer than the context": dataclasses.replace(PICK, turns=("how are you " * 40,)),
}


def model_of(seed, dtype=np.float64):
    return draw_model(CONFIG, dtype, seed, 2048)


def learner_of(dtype=np.float64, corpus=None, moved=True):
    """A learner whose model is no longer the base model."""
    model, reference = model_of(1, dtype), model_of(1, dtype)
    if moved:
        rng = np.random.default_rng(3)
        model.flat += (0.02 * rng.standard_normal(model.flat.size)).astype(dtype)
    return Learner(model, reference, TOKENIZER, corpus)


def state_of(learner):
    """The bytes of all that learning changes."""
    adams = learner.optimizer, learner.fixed.optimizer
    changing = learner.model.flat, *(values for adam in adams for values in (adam.m, adam.v))
    return [values.tobytes() for values in changing]


def corpus_in(folder):
    """A small corpus of conversations, as a run folder has it."""
    documents = [f"<|user|> hello {n} <|assistant|> fine thank you {n}" for n in range(30)]
    token_cache.build(folder / "train.tokens", documents, TOKENIZER, "hash")
    return open_replay_corpus(folder, TOKENIZER)
