"""Whether an answer is the greedy reply, as a forward pass tells it."""

import numpy as np
from support.lessons import TOKENIZER, model_of

from vidya.generation.replies import reply_generator
from vidya.generation.sampling_settings import SamplingSettings
from vidya.posttraining.answer_batches import Answer, answer_batch
from vidya.posttraining.teaching.lesson_step import margins


def test_margins_tell_the_greedy_reply():
    model = model_of(4, np.float32)
    generator = reply_generator(model, TOKENIZER, 1)
    answers = []
    for text in (" hello ", " how are you "):
        prompt = [TOKENIZER.bos_id, TOKENIZER.user_id, *TOKENIZER.encode_text(text),
                  TOKENIZER.assistant_id]  # fmt: skip
        greedy = SamplingSettings(temperature=0)
        said = list(generator.generate(prompt, max_new_tokens=6, sampling=greedy))
        answers += [
            Answer(prompt, said),
            Answer(prompt, [*said[:3], (said[3] + 1) % 99, *said[4:]]),
        ]
    batch = answer_batch(answers, 64)
    found = margins(batch, model.logits(batch))
    assert (found[::2] > 0).all() and (found[1::2] < 0).all() and len(found) == 4
