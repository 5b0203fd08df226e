"""What fine-tuning makes of a persona, with several sets of options side by side.

    python bench/persona.py RUN PERSONA [PERSONA ...] [--try "LABEL: OPTIONS OF FINETUNE" ...]
        [--ablate] [--seeds 0 1 2] [--jobs 2] [--out FILE.json] [--picture FILE.png]

Each set of options fine-tunes the model of RUN anew, by the command and in a folder of its own, on
one thread; the last evaluation of that run is a row of the table: questions answered as taught, in
generated other words, in one conversation, leaks and forgetting
(vidya/measuring/persona_scores.py). Where there are rewordings of the persona
(bench/data/README.md) the model is asked these, too. `--ablate` adds a set without any form of
augmentation, one with all of them, and each form alone and left out (`--forms` of finetune).
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personas import BenchPersona, markdown, read_bench_persona, spread

from vidya import kernels
from vidya.generation.replies import MOST_TOGETHER, reply_generator
from vidya.measuring.persona_scores import count_answered
from vidya.measuring.taught_recall import Question
from vidya.posttraining.finetuning.persona import read_persona
from vidya.posttraining.rewording.forms import FORMS
from vidya.storage.pretrained import load_pretrained

SCORES = {
    "as_taught": "as taught", "written": "in other words, written",
    "in_other_words": "in other words, generated", "in_conversation": "in conversation",
    "leaks": "leaks", "forgotten": "forgotten",
}  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """A fine-tuning to be measured."""

    label: str
    options: Sequence[str]
    persona: BenchPersona
    seed: int


def finetune(arguments: Sequence[str]) -> None:
    """Run the command; SystemExit with its last line if it fails."""
    words = [sys.executable, "-m", "vidya.finetune", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(words[2:])}: {done.stderr.strip().splitlines()[-1]}")


def measure(
    run: Path, trial: Trial, call: Callable[[Sequence[str]], None] = finetune
) -> dict[str, Any]:
    """Fine-tune in a folder that goes away, and read what came of it."""
    persona = trial.persona
    with tempfile.TemporaryDirectory(prefix="persona-") as scratch:
        out = Path(scratch) / "out"
        call([
            str(persona.path), "--model", str(run), "--out", str(out), "--threads", "1",
            "--seed", str(trial.seed), *trial.options,
        ])  # fmt: skip
        lines = [json.loads(one) for one in (out / "finetune.jsonl").read_text().splitlines()]
        described, steps = lines[0], [one for one in lines if "tokens_per_s" in one]
        first, *_, last = (one for one in lines if "persona_loss" in one)
        written = ask_in_written_words(out, persona, described) if persona.written else None
    base, now = first["base_bpb"], last["base_bpb"]
    return {
        "label": trial.label, "options": list(trial.options), "persona": persona.name,
        "seed": trial.seed, "steps": len(steps), "evaluation": last,
        "questions": last["questions"],
        "as_taught": share(last, "answered", "questions"), "written": written,
        **{name: share(last, name, f"{name}_asked")
           for name in ("in_other_words", "in_conversation", "leaks")},
        "forgotten": now / base - 1 if base and now else None,
        "seconds": seconds_of(steps),
    }  # fmt: skip


def seconds_of(steps: Sequence[dict[str, Any]]) -> float:
    """What the steps of a log took, without evaluations."""
    seconds, before = 0.0, 0
    for step in steps:
        seconds += (step["tokens"] - before) / step["tokens_per_s"]
        before = step["tokens"]
    return seconds


def share(figures: dict[str, Any], hits: str, of: str) -> float | None:
    """One figure of an evaluation by another; None of nothing."""
    return figures[hits] / figures[of] if figures.get(of) else None


def ask_in_written_words(
    out: Path, persona: BenchPersona, described: dict[str, Any]
) -> float | None:
    """Share of the written rewordings of the questions taught that get their answer."""
    pretrained = load_pretrained(out)
    taught = read_persona(
        [persona.path], pretrained.tokenizer, loss=described["options"]["loss"],
        val_fraction=described["options"]["val_fraction"],
    )  # fmt: skip
    known = {question.turns for question in taught.questions}
    reworded = [
        Question((text,), question.answers)
        for question, texts in persona.rewordings.items() if question.turns in known
        for text in texts
    ]  # fmt: skip
    generator = reply_generator(pretrained.model, pretrained.tokenizer, MOST_TOGETHER)
    count = count_answered(generator, pretrained.tokenizer, reworded)
    return count.share if count and count.of else None


def ablations() -> dict[str, list[str]]:
    """Options that use no form of augmentation, all, each alone, and all but each."""
    sets = {"no forms": [], "all forms": list(FORMS)}
    sets |= {f"{form} alone": [form] for form in FORMS}
    sets |= {f"without {form}": [one for one in FORMS if one != form] for form in FORMS}
    return {label: ["--forms", *(forms or ["none"])] for label, forms in sets.items()}


def parse_trial(text: str) -> tuple[str, list[str]]:
    """`LABEL: OPTIONS`, or options alone, which are their own label."""
    label, colon, how = text.partition(":")
    return (label.strip(), shlex.split(how)) if colon else (text.strip(), shlex.split(text))


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: means over the seeds with the least and the most, a row a set of options."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["persona"], result["label"]), []).append(result)
    rows = []
    for (persona, label), some in groups.items():
        cells = [
            spread(
                (one[name] for one in some if one[name] is not None),
                {"leaks": "{:.1%}", "forgotten": "{:+.1%}"}.get(name, "{:.0%}"),
            )
            for name in SCORES
        ]
        seconds = spread((one["seconds"] for one in some), "{:.0f}")
        rows.append([persona, label, *cells, seconds])
    return markdown(["persona", "options", *SCORES.values(), "seconds"], rows)


def draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    """A panel a score, a bar a set of options, the mean over seeds and personas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(one["label"] for one in results))
    figure = Figure(figsize=(15, 1.5 + 0.25 * len(labels)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(SCORES), sharey=True)
    for panel, (name, title) in zip(panels, SCORES.items(), strict=True):
        means = []
        for label in labels:
            values = [one[name] for one in results if one["label"] == label]
            known = [value for value in values if value is not None]
            means.append(100 * sum(known) / len(known) if known else 0.0)
        panel.barh(labels, means)
        panel.set_title(f"{title} (%)", fontsize=8)
        panel.grid(axis="x", alpha=0.3)
    panels[0].invert_yaxis()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main(
    arguments: list[str] | None = None, call: Callable[[Sequence[str]], None] = finetune
) -> int:
    """Fine-tune with every set of options, print the table, write JSON and a picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("personas", type=Path, nargs="+", metavar="persona")
    parser.add_argument("--rewordings", type=Path, nargs="+", default=[], metavar="FILE.tsv")
    parser.add_argument("--try", dest="tries", action="append", default=[], type=parse_trial,
                        metavar="'LABEL: OPTIONS'")  # fmt: skip
    parser.add_argument("--ablate", action="store_true", help="each form alone and left out")
    parser.add_argument(
        "--options", default="", help="of finetune, for every set: --options='--epochs 3'"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="fine-tunings side by side")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args(arguments)
    kernels.set_num_threads(1)
    sets = dict(given.tries) | (ablations() if given.ablate else {})
    every = shlex.split(given.options)
    personas = [read_bench_persona(path, given.rewordings) for path in given.personas]
    trials = [
        Trial(label, [*every, *how], persona, seed)
        for persona in personas for label, how in (sets or {"default": []}).items()
        for seed in given.seeds
    ]  # fmt: skip
    results: list[dict[str, Any]] = []
    with ThreadPoolExecutor(given.jobs) as pool:
        for result in pool.map(lambda trial: measure(given.run, trial, call), trials):
            results.append(result)
            print(table([result]).splitlines()[-1], file=sys.stderr, flush=True)
            if given.out:  # whole after each, so that an interrupted run has what it has
                given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    if given.picture:
        draw(results, given.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
