"""Replies to a few fixed prompts: what a model says at this point of its training."""

from __future__ import annotations

from collections.abc import Callable

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
        ids = [
            tokenizer.bos_id,
            tokenizer.user_id,
            *tokenizer.encode_text(f" {prompt} "),
            tokenizer.assistant_id,
        ]
        reply = generator.generate(
            ids,
            max_new_tokens=MAX_TOKENS,
            sampling=Sampling(seed=seed),
            stop=tokenizer.special_ids,
            banned=(),
        )
        replies.append((prompt, tokenizer.decode(list(reply)).strip()))
    return replies
