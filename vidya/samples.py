"""Replies to a few fixed prompts: what a model says at this point of its training."""

from __future__ import annotations

from collections.abc import Callable

from vidya.conversation import chat_prompt, stream_text
from vidya.generate import Generator
from vidya.model import Model
from vidya.sampling import Sampling
from vidya.tokenizer import Tokenizer

PROMPTS = (
    "hello",
    "how are you?",
    "what do you like to do on weekends?",
    "what is your favorite food?",
    "tell me about yourself",
)
MAX_TOKENS = 40


def sample_replies(
    model: Model,
    tokenizer: Tokenizer,
    count: int,
    *,
    seed: int = 0,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[tuple[str, str]]:
    """(prompt, reply) for the first `count` of the prompts, the same draw each time."""
    generator = Generator(model)
    replies = []
    for prompt in PROMPTS[:count]:
        if interrupted():
            break
        reply = generator.generate(
            chat_prompt(tokenizer, [prompt], generator.window - MAX_TOKENS),
            max_new_tokens=MAX_TOKENS,
            sampling=Sampling(seed=seed),
            stop=tokenizer.special_ids,
        )
        replies.append((prompt, "".join(stream_text(tokenizer, reply))))
    return replies
