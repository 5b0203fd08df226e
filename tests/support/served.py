"""A small model behind a scheduler, and the jobs that it is given, in the tests of serving."""

from support.chat_runs import babbling_model, small_tokenizer

from vidya.generation.generator import Generator
from vidya.generation.sampling_settings import SamplingSettings
from vidya.serving.served_model import ServedModel
from vidya.serving.writing_job import WritingJob

TOKENIZER = small_tokenizer()


def generator(slots=4, context=64):
    model = babbling_model(TOKENIZER, context)
    return Generator(model, slots=slots, turn_starts=[TOKENIZER.user_id])


def job(prompt, *, seed=1, **more):
    """A job with settings under which every draw counts, and the model never stops by itself."""
    settings = {
        "sampling": SamplingSettings(1.0, 20, seed), "max_tokens": 12, "chat": True, **more,
    }  # fmt: skip
    return WritingJob(prompt=prompt, **settings)


def served_model(window=64):
    return ServedModel("nano", TOKENIZER, window, created=7)
