"""The steps of a fine-tuning: what of the persona each learns, and what it replays."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vidya.posttraining.earlier_talk import EarlierTalk
from vidya.posttraining.finetuning.options import FinetuneOptions
from vidya.posttraining.finetuning.persona import Persona
from vidya.posttraining.held_replies import HeldReplies
from vidya.posttraining.ordinary_talk import OrdinaryTalk
from vidya.posttraining.replay_corpus import ReplayCorpus, mixed_steps
from vidya.posttraining.rewording.form_names import chosen_forms
from vidya.posttraining.rewording.reworder import Reworder
from vidya.posttraining.varied_conversations import VariedConversations, taught_exchanges
from vidya.text.batch_plan import Batch, BatchPlan
from vidya.text.tokenizer import Tokenizer


def persona_steps(
    persona: Persona, plan: BatchPlan, corpus: ReplayCorpus | None, tokenizer: Tokenizer,
    options: FinetuneOptions, context: int, total: int,
) -> Iterator[list[Batch]]:  # fmt: skip
    """Steps without end: a batch of the persona, and one of replay unless there is none.

    Conversations are varied as the options say; plain text and the words that count are not.
    """
    share = options.replay if corpus is not None else 0.0
    own: Callable[[int], Batch] = plan.batch
    replay: Callable[[int], Batch] | None = None
    if corpus is not None and share:
        replay = corpus.replay(context, options.seed).batch
    exchanges = taught_exchanges(persona.taught, tokenizer)
    if exchanges:
        questions = [one.question for one in exchanges]
        talk = None
        if corpus is not None:
            talk = OrdinaryTalk(corpus.train, tokenizer, questions, options.seed)
        reworder = Reworder(tokenizer, chosen_forms(options.forms), questions)
        earlier = EarlierTalk(exchanges, talk, tokenizer, reworder)
        varied = VariedConversations(
            tokenizer, reworder, earlier, context=context, seed=options.seed,
            after_talk=options.after_talk,
        )  # fmt: skip
        own = _varied(plan, varied, total)
        if talk and replay is not None and options.replay_of == "replies":
            replay = HeldReplies(talk, earlier, tokenizer, context=context, seed=options.seed).batch
    return mixed_steps(own, replay, share)


def _varied(plan: BatchPlan, varied: VariedConversations, total: int) -> Callable[[int], Batch]:
    return lambda step: varied.varied(plan.batch(step), step, step / total)
