"""Names of the files in a run folder: every one that vidya writes there is named here.

A command that only looks uses `RunFiles`, which neither creates the folder nor takes its
lock; one that writes there uses `vidya.storage.run_folder.RunFolder`, which does both.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from vidya.model.presets import PRESETS, checkpoint_base
from vidya.storage.checkpoint_folder import checkpoint_name, finetuned_name, training_checkpoints
from vidya.system.atomic_file import StrPath


class _File:
    """A file of a run folder: an attribute of `RunFiles` that gives its path."""

    def __init__(self, name: str, *, of_model: bool, set_aside: bool = False) -> None:
        """Declare a file.

        Args:
            name: of the file, or a folder and a pattern of the files in it.
            of_model: whether it tells of the model that stands in the folder. If so it is
                deleted when another model takes that one's place; the others are made again
                where they do not fit.
            set_aside: whether older ones may be kept beside it (`RunFiles.numbered`).
        """
        self.of_model, self._name, self._set_aside = of_model, Path(name), set_aside

    def __get__(self, run: RunFiles, _: type[RunFiles]) -> Path:
        return run.path / self._name

    def found(self, folder: Path) -> list[Path]:
        """Those of its files that are there, the ones that were set aside too."""
        files = sorted(folder.glob(str(self._name)))
        if self._set_aside:
            number = re.compile(rf"{self._name.stem}\.\d+{re.escape(self._name.suffix)}")
            files += [path for path in sorted(folder.iterdir()) if number.fullmatch(path.name)]
        return files


class RunFiles:
    """Paths in a run folder, which need not be there."""

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)

    lock = _File(".lock", of_model=False)
    """Locked by the process that trains in the folder."""
    tokenizer = _File("tokenizer.json", of_model=False)
    """The tokenizer, as the `tokenizers` library reads it."""
    tokenizer_origin = _File("tokenizer.meta.json", of_model=False)
    """What the tokenizer was made for (`vidya.text.tokenizer`)."""
    summaries = _File("corpora.json", of_model=False)
    """What was learned of the corpora by reading them (`vidya.storage.file_stamp_cache`)."""
    train_tokens = _File("train.tokens", of_model=False)
    """The training documents as token ids (`vidya.text.token_cache`)."""
    held_out_tokens = _File("val.tokens", of_model=False)
    """The held-out documents as token ids."""
    replay_tokens = _File("replay.tokens", of_model=False)
    """A corpus that fine-tuning was told to replay in place of the training documents."""
    replay_held_out_tokens = _File("replay_val.tokens", of_model=False)
    """What was held out of that corpus."""
    metrics = _File("metrics.jsonl", of_model=True)
    """One JSON object a line (`vidya.storage.metrics_log`)."""
    samples = _File("samples.txt", of_model=True)
    """Replies sampled during training."""
    board_events = _File("tensorboard/events.*", of_model=True)
    """What TensorBoard reads; the name is a pattern."""
    finetune_metrics = _File("finetune.jsonl", of_model=True)
    """What fine-tuning measured, as `metrics`."""
    rl_metrics = _File("rl.jsonl", of_model=True)
    """What reinforcement learning measured, as `metrics`."""
    lessons = _File("teach.jsonl", of_model=True, set_aside=True)
    """The journal of teaching (`vidya.posttraining.teaching.journal`)."""
    lessons_base = _File("teach_base.safetensors", of_model=True, set_aside=True)
    """The checkpoint that the lessons began with."""
    question = _File("teach_question.json", of_model=True)
    """What `teach --ask` leaves for `--pick`, `--answer` and `--reject`."""

    def checkpoint(self, base: str, step: int | None = None) -> Path:
        """The checkpoint after `step` steps, or the final weights for None."""
        return self.path / checkpoint_name(base, step)

    def finetuned(self, base: str) -> Path:
        """The weights after fine-tuning, teaching or reinforcement learning."""
        return self.path / finetuned_name(base)

    def checkpoints(self) -> list[Path]:
        """The checkpoints of all presets that are there."""
        some = [
            [self.checkpoint(base), self.finetuned(base), *training_checkpoints(self.path, base)]
            for base in map(checkpoint_base, PRESETS)
        ]
        return sorted(path for path in itertools.chain(*some) if path.exists())

    def token_caches(self) -> list[Path]:
        """The token caches that are there."""
        caches = (
            self.train_tokens, self.held_out_tokens, self.replay_tokens,
            self.replay_held_out_tokens,
        )  # fmt: skip
        return [path for path in caches if path.exists()]

    def of_model(self) -> list[Path]:
        """All files that belong to the model that stands in the folder: its checkpoints first."""
        declared = [file for file in vars(RunFiles).values() if isinstance(file, _File)]
        found = [file.found(self.path) for file in declared if file.of_model]
        return [*self.checkpoints(), *itertools.chain(*found)]

    def journals(self) -> list[Path]:
        """The journals of lessons that are there: what somebody has taught the model."""
        return [p for p in self.of_model() if p.match(f"{self.lessons.stem}.*jsonl")]

    @staticmethod
    def numbered(path: Path, number: int) -> Path:
        """The name under which an older `lessons` or `lessons_base` is set aside."""
        return path.with_suffix(f".{number}{path.suffix}")
