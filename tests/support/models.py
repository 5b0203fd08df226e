"""Models and batches that the tests of the model draw."""

from dataclasses import dataclass

import numpy as np

from vidya.model.transformer import Model


@dataclass(frozen=True)
class Documents:
    """A batch of documents laid end to end."""

    tokens: np.ndarray
    targets: np.ndarray
    offsets: np.ndarray


def continuations(generator, prompts, *, max_new_tokens, sampling, stop=(), banned=(), rngs=None):
    """(number of the prompt, token) as a `vidya.generation.generator.Generator` writes them.

    Prompts that find no free slot wait. A text ends at a token of `stop`, which comes last.
    """
    waiting, going, left = list(enumerate(prompts if max_new_tokens else ()))[::-1], {}, {}
    try:
        while waiting or going:
            while waiting and (len(going) < generator.decoder.slots or not going):
                i, prompt = waiting.pop()
                rng = sampling.rng(i) if rngs is None else rngs[i]
                slot = generator.add(prompt, sampling, banned=banned, rng=rng)
                going[slot], left[slot] = i, max_new_tokens
            for token in generator.step():
                number, slot = going[token.slot], token.slot
                left[slot] -= 1
                if token.id in stop or not left[slot]:
                    generator.remove(slot)
                    del going[slot]
                yield number, token
    finally:
        for slot in going:
            generator.remove(slot)


def continuation(generator, prompt, *, stop=(), rng=None, **settings):
    """The ids that a generator writes after one prompt, without the one that ends them."""
    rngs = None if rng is None else [rng]
    for _, token in continuations(generator, [prompt], stop=stop, rngs=rngs, **settings):
        if token.id not in stop:
            yield token.id


def draw_batch(rng, vocab_size, lengths, counted=1.0):
    """Documents of these lengths; a share of the targets is not counted."""
    T = sum(lengths)
    tokens, targets = rng.integers(0, vocab_size, (2, T)).astype(np.int32)
    targets[rng.random(T) >= counted] = -1
    return Documents(tokens, targets, np.cumsum([0, *lengths]).astype(np.int64))


def draw_model(config, dtype, seed, max_tokens, precision="fp32"):
    """A model with weights that leave no gradient near zero: gains vary, scales are even."""
    model = Model(config, dtype=dtype, max_tokens=max_tokens, precision=precision)
    model.init(seed)
    rng = np.random.default_rng(seed)
    for name, values in model.parameters.items():
        if name.endswith("norm"):
            values[...] = 1 + 0.3 * rng.standard_normal(values.shape)
    return model
