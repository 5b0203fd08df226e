"""The model card of an exported model: what it is, what it learnt from, and how to use it.

A page of Markdown, as hubs show it. Files are told by their names alone: where they lie is nobody's
business.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from vidya.exporting.targets import ExportPrecision
from vidya.storage.metrics_log import each_line
from vidya.storage.model_story import story
from vidya.storage.pretrained import Pretrained
from vidya.storage.run_files import RunFiles
from vidya.training.samples import PROMPTS, sample_replies

_USE = """\
```python
from transformers import pipeline

chat = pipeline("text-generation", "./{name}")
messages = [{{"role": "user", "content": "hello"}}]
print(chat(messages)[0]["generated_text"][-1]["content"].strip())
```

A reply ends where the next turn would begin, or after {most_new} tokens. Conversations of more than
{context} tokens are longer than what the model was trained on: leave out what was said first."""


def model_card(
    model: Pretrained, architecture: str, precision: ExportPrecision, name: str, most_new: int
) -> str:
    """The text of the page.

    Args:
        model: what is exported.
        architecture: what its layers are called elsewhere.
        precision: of the weights in the file.
        name: of the folder.
        most_new: tokens after which a reply is cut off.
    """
    config = model.model.config
    use = _USE.format(name=name, most_new=most_new, context=config.context)
    lines = [
        "---", "library_name: transformers", "pipeline_tag: text-generation", "tags: [vidya]",
        "---", "",
        f"# {name}", "",
        f"A small chat model of {config.parameter_count() / 1e6:.1f} M parameters, trained from "
        "scratch on a CPU with vidya. It talks; it knows little, and what it says may be wrong.",
        "", "## How to use it", "", use, "",
        "## What it is", "",
        "| | |", "|---|---|",
        f"| architecture | decoder with RMSNorm, rotary positions and GELU, as {architecture}: "
        f"{config.n_layer} layers, {config.n_head} heads, {config.n_embd} columns |",
        f"| context | {config.context} tokens |",
        f"| vocabulary | {config.vocab_size:,}: byte-level BPE whose tokens may cross words |",
        f"| weights | {precision} |",
        *(f"| {name} | {what} |" for name, what in _training(model)),
        "", "## What it says", "",
        "| | |", "|---|---|",
    ]  # fmt: skip
    replies = sample_replies(model.model, model.tokenizer, len(PROMPTS))
    lines += [f"| {_cell(prompt)} | {_cell(reply)} |" for prompt, reply in replies]
    return "\n".join(lines) + "\n"


def _training(model: Pretrained) -> list[tuple[str, str]]:
    """What is known of how the model came to be, as rows of a table."""
    meta, run = model.meta, RunFiles(model.checkpoint_path.parent)
    lines = each_line(run.metrics, lambda _: None) if run.has_metrics() else iter(())
    measured = [line for line in lines if "val_loss" in line or line.get("kind") == "run"]
    options: dict[str, Any] = {}
    for one in (meta, *measured):
        options = options or one.get("options") or {}
    rows = [("trained for", f"{meta.get('step', 0):,} steps, {meta.get('tokens', 0):,} tokens")]
    if options:
        names = [Path(str(name)).name for name in options.get("data") or ()]
        rows.insert(0, ("trained on", ", ".join(map(_cell, names)) or "chitchat-dataset"))
    if since := story(model.checkpoint_path, meta):
        rows.append(("since then", _cell(", ".join(since))))
    evaluated = [
        line for line in measured
        if "val_loss" in line and line.get("step", math.inf) <= meta.get("step", 0)
    ]  # fmt: skip
    if evaluated and not since:
        last = evaluated[-1]
        rows.append((
            "measured", f"{last['val_loss']:.4f} nats per token, {last['val_bpb']:.4f} bits per "
            "byte on text that was held out",
        ))  # fmt: skip
    return rows


def _cell(text: str) -> str:
    """Text as it can stand in a table."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
