"""How near exported models are to the one that they were made of, in transformers and llama.cpp.

    python bench/export_agreement.py RUN TEXT [--prompts 20] [--tokens 2000] [--lines 10000]

RUN is a trained model with its token caches, TEXT a file with a document a line that it has not
seen. The model is exported to every target and precision in a temporary folder. `transformers`
computes logits over `--prompts` runs of held-out text as long as the context, and takes the
likeliest next token 64 times after `--prompts` conversations; llama.cpp tells log-probabilities of
`--tokens` tokens of held-out text, with its usual cache (f16); both tokenizers read `--lines` lines
of TEXT.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from vidya.exporting.comparison import own_logits
from vidya.exporting.exporter import export
from vidya.exporting.gguf_check import log_probabilities
from vidya.exporting.gguf_tokenizer import as_llama_cpp_cuts, corpus_lines
from vidya.exporting.llama_cpp import LlamaCpp
from vidya.exporting.numpy_arcee import NumpyArcee
from vidya.exporting.targets import TARGETS, ExportPrecision, TargetName
from vidya.generation.chat_tokens import chat_prompt
from vidya.measuring.held_out_text import HeldOutTextSource
from vidya.storage.pretrained import Pretrained, load_pretrained
from vidya.text.conversation_format import turns_of
from vidya.text.normalisation import normalised

GREEDY = 64
"""Tokens that are taken greedily."""


def greedily(model: Pretrained, prompt: list[int]) -> list[int]:
    """The likeliest next token, again and again: vidya's ids, markers among them."""
    ids = list(prompt)
    for _ in range(GREEDY):
        ids.append(int(own_logits(model.model, ids)[-1].argmax()))
    return ids[len(prompt) :]


def in_transformers(
    model: Pretrained, folder: Path, rows: list[list[int]], prompts: list[list[int]],
    lines: list[str],
) -> None:  # fmt: skip
    """Logits, greedy replies and ids of a folder."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    theirs: Any = transformers.AutoModelForCausalLM.from_pretrained(folder).float().eval()
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    theirs.generation_config.eos_token_id = None  # the markers, too, are taken
    theirs.generation_config.min_new_tokens = None
    is_arcee = theirs.config.model_type == "arcee"
    exact = NumpyArcee(folder, np.float64).logits if is_arcee else None
    found: dict[str, list[float]] = {"vidya": [], "ours": [], "theirs": []}
    with torch.inference_mode():
        for row in rows:
            logits, ours = (
                theirs(torch.tensor([row])).logits[0].numpy(),
                own_logits(model.model, row),
            )
            found["vidya"].append(_largest(logits, ours))
            if exact is not None:
                true = exact(row)
                found["ours"].append(_largest(ours, true))
                found["theirs"].append(_largest(logits, true))
        same = 0
        for prompt in prompts:
            given = torch.tensor([prompt])
            written = theirs.generate(
                given, attention_mask=torch.ones_like(given), do_sample=False,
                max_new_tokens=GREEDY,
            )  # fmt: skip
            same += written[0, len(prompt) :].tolist() == greedily(model, prompt)
    ids = tokenizer(lines, add_special_tokens=False).input_ids
    equal = sum(
        one == model.tokenizer.encode_marked(line) for one, line in zip(ids, lines, strict=True)
    )
    print(
        f"  transformers: {len(rows)} times {len(rows[0])} tokens, largest |Δ logit| "
        f"{max(found['vidya']):.1e}, in the median one {np.median(found['vidya']):.1e}; {GREEDY} "
        f"greedy tokens equal after {same} of {len(prompts)} prompts; ids of {equal:,} of "
        f"{len(lines):,} lines equal"
    )
    if exact is not None:
        print(
            f"  from the same weights in float64: vidya {max(found['ours']):.1e}, transformers "
            f"{max(found['theirs']):.1e}"
        )


def _largest(one: Any, other: Any) -> float:
    return float(np.abs(one - other).max())


def in_llama_cpp(
    model: Pretrained, file: Path, rows: list[list[int]], places: int
) -> None:  # fmt: skip
    """Log-probabilities of a file."""
    with LlamaCpp.loaded(file, model.model.config.context) as loaded:
        found = [log_probabilities(model, loaded, row, places) for row in rows]
    ours, theirs = (np.concatenate(one) for one in zip(*found, strict=True))
    apart = np.abs(ours - theirs)
    ratio = np.exp(ours.mean() - theirs.mean()) - 1
    print(
        f"  llama.cpp: {len(ours):,} tokens, mean |Δ log-probability| "
        f"{apart.mean():.5f}, largest {apart.max():.4f}; perplexity {np.exp(-ours.mean()):.4f} "
        f"-> {np.exp(-theirs.mean()):.4f} ({ratio:+.3%})"
    )


def text_in_llama_cpp(
    model: Pretrained, file: Path, lines: list[str], conversations: list[list[str]]
) -> None:
    """Ids of lines and of conversations, and replies that end."""
    tokenizer, twin = model.tokenizer, as_llama_cpp_cuts(model.tokenizer)
    with LlamaCpp.loaded(file, model.model.config.context) as loaded:
        equal = as_told = 0
        for line in map(normalised, lines):
            ids = loaded.ids(line)
            equal += ids == tokenizer.encode_marked(line)
            as_told += ids == twin.encode(line, add_special_tokens=False).ids
        chats = sum(
            [0, *loaded.ids(loaded.prompt(turns))] == chat_prompt(tokenizer, turns, 1 << 30)
            for turns in conversations
        )
        replies = [loaded.reply(turns, temperature=0, max_tokens=200) for turns in conversations]
    ended = sum(end for _, end in replies)
    print(
        f"  llama.cpp: ids of {equal:,} of {len(lines):,} lines equal ({as_told:,} as the export "
        f"counts them), of {chats} of {len(conversations)} conversations; it ended {ended} replies"
    )
    for turns, (reply, _) in zip(conversations[:5], replies, strict=False):
        print(f"    {turns[-1][:60]!r} -> {reply.strip()[:80]!r}")


def main() -> None:
    """Export RUN to everything and print how near it comes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--lines", type=int, default=10_000)
    asked = parser.parse_args()
    model = load_pretrained(asked.run)
    context = model.model.config.context
    held_out = HeldOutTextSource(None, asked.prompts * context).of(model).tokens
    rows = [row.tolist() for row in np.split(held_out[: asked.prompts * context], asked.prompts)]
    told = itertools.islice(corpus_lines(model), 3 * asked.prompts)
    turns = [found for line in told if (found := turns_of(line)) is not None]
    # llama.cpp refuses what does not fit
    messages = [one[: len(one) - 1 + len(one) % 2][-1:] for one in turns]
    prompts = [chat_prompt(model.tokenizer, one, 1 << 30) for one in messages]
    fit = [len(prompt) < context - GREEDY for prompt in prompts]
    conversations = list(itertools.compress(messages, fit))[: asked.prompts]
    prompts = list(itertools.compress(prompts, fit))[: asked.prompts]
    with open(asked.text, encoding="utf-8") as file:
        lines = [line.strip() for line in itertools.islice(file, asked.lines)]
    counted, left = [], asked.tokens
    for row in rows:
        counted.append(row[: left + 1])
        left -= len(counted[-1]) - 1
        if left < 1:
            break
    with tempfile.TemporaryDirectory() as folder:
        for name, target in TARGETS.items():
            for precision in target.precisions:
                out = Path(folder) / f"{precision}{target.ending}"
                say_export(model, name, precision, out)
                if target.is_folder:
                    some = lines if precision == target.precisions[0] else lines[:100]
                    in_transformers(model, out, rows, prompts, some)
                    continue
                in_llama_cpp(model, out, counted, asked.tokens)
                if precision == target.precisions[0]:
                    text_in_llama_cpp(model, out, lines, conversations)


def say_export(
    model: Pretrained, name: TargetName, precision: ExportPrecision, out: Path
) -> None:  # fmt: skip
    """Export, and print what the export says of itself."""
    lines, _ = export(model, name, precision, out, allow_other_ids=name == "gguf")
    print(f"{name}, {precision}")
    for line in lines:
        print(f"  {line}")


if __name__ == "__main__":
    main()
