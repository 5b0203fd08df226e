"""Names of the files in a run folder: every one that vidya writes there is named here.

A command that only looks uses `RunFiles`, which neither creates the folder nor takes its
lock; one that writes there uses `vidya.storage.run_folder.RunFolder`, which does both.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from vidya.errors import PlaceError
from vidya.model.presets import PRESETS, checkpoint_base
from vidya.storage.checkpoint_folder import (
    base_of,
    checkpoint_name,
    finetuned_name,
    training_checkpoints,
)
from vidya.storage.own_files import (
    Recognise,
    begins,
    has_line,
    holds,
    is_checkpoint,
    is_checkpoint_head,
    is_own,
    is_tokenizer_head,
)
from vidya.system.atomic_file import StrPath

EXPORTED_WEIGHTS = "model.safetensors"
"""The weights in a folder that `vidya.export --to hf` wrote, which is no run folder."""


class _File:
    """A file of a run folder: an attribute of `RunFiles` that gives its path."""

    def __init__(
        self, name: str, recognise: Recognise, *, of_model: bool, set_aside: bool = False
    ) -> None:
        """Declare a file.

        Args:
            name: of the file, or a folder and a pattern of the files in it.
            recognise: tells a file that vidya wrote from somebody else's of that name.
            of_model: whether it tells of the model that stands in the folder. If so it is
                deleted when another model takes that one's place; the others are made again
                where they do not fit.
            set_aside: whether older ones may be kept beside it (`RunFiles.numbered`).
        """
        self.of_model, self._name, self._set_aside = of_model, Path(name), set_aside
        self._recognise = recognise
        self.is_pattern = "*" in name

    def __get__(self, run: RunFiles, _: type[RunFiles]) -> Path:
        return run.path / self._name

    def found(self, folder: Path) -> list[Path]:
        """Those of its files that are there, set aside ones and links that lead nowhere too."""
        if self.is_pattern:
            files = sorted(folder.glob(str(self._name)))
        else:
            files = [path for path in [folder / self._name] if path.is_symlink() or path.exists()]
        if self._set_aside:
            files += _set_aside(folder, self._name.name)
        return files

    def foreign(self, folder: Path) -> list[Path]:
        """Those of them that vidya did not write."""
        return [path for path in self.found(folder) if not is_own(path, self._recognise)]


def _set_aside(folder: Path, name: str) -> list[Path]:
    """The files that were set aside under a number in place of `name`."""
    stem, dot, suffix = name.rpartition(".")
    number = re.compile(rf"{re.escape(stem)}\.\d+{re.escape(dot + suffix)}")
    return [path for path in sorted(folder.iterdir()) if number.fullmatch(path.name)]


_OF_RUN = rb'^\{"kind": ?"run"|^\{"step": \d+, "tokens": \d+, "loss": [^\n]*"rss_bytes": '
"""A line that describes a run, or one of a step, should that be damaged."""
_is_token_cache = begins(b"VIDYATOK")
_is_board = holds(b"train/grad_norm")


class RunFiles:
    """Paths in a run folder, which need not be there."""

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)

    lock = _File(".lock", begins(rb"\d*\s*(preparing: [^\n]*\n)?$"), of_model=False)
    """Locked by the process that trains in the folder: its number, and what it prepares."""
    tokenizer = _File("tokenizer.json", is_tokenizer_head, of_model=False, set_aside=True)
    """The tokenizer, as the `tokenizers` library reads it."""
    tokenizer_origin = _File("tokenizer.meta.json", begins(rb'\{\s*"recipe":'), of_model=False)
    """What the tokenizer was made for (`vidya.text.tokenizer`)."""
    summaries = _File("corpora.json", begins(rb'\{\s*"key":\s*\{\s*"version":'), of_model=False)
    """What was learned of the corpora by reading them (`vidya.storage.file_stamp_cache`)."""
    train_tokens = _File("train.tokens", _is_token_cache, of_model=False)
    """The training documents as token ids (`vidya.text.token_cache`)."""
    held_out_tokens = _File("val.tokens", _is_token_cache, of_model=False)
    """The held-out documents as token ids."""
    replay_tokens = _File("replay.tokens", _is_token_cache, of_model=False)
    """A corpus that fine-tuning was told to replay in place of the training documents."""
    replay_held_out_tokens = _File("replay_val.tokens", _is_token_cache, of_model=False)
    """What was held out of that corpus."""
    metrics = _File("metrics.jsonl", has_line(_OF_RUN), of_model=True)
    """One JSON object a line (`vidya.storage.metrics_log`)."""
    samples = _File(
        "samples.txt",
        has_line(rb"^step \d+\n  ['\"].*['\"] \xe2\x86\x92 ['\"]"),
        of_model=True,
    )
    """Replies sampled during training."""
    board_events = _File("tensorboard/events.*", _is_board, of_model=True)
    """What TensorBoard reads; the name is a pattern."""
    finetune_metrics = _File("finetune.jsonl", has_line(rb'^\{"kind": ?"finetune"'), of_model=True)
    """What fine-tuning measured, as `metrics`."""
    rl_metrics = _File("rl.jsonl", has_line(rb'^\{"kind": ?"rl"'), of_model=True)
    """What reinforcement learning measured, as `metrics`."""
    lessons = _File("teach.jsonl", begins(rb'\{"journal":'), of_model=True, set_aside=True)
    """The journal of teaching (`vidya.posttraining.teaching.journal`)."""
    lessons_base = _File(
        "teach_base.safetensors",
        is_checkpoint_head,
        of_model=True,
        set_aside=True,
    )
    """The checkpoint that the lessons began with."""
    question = _File("teach_question.json", begins(rb'\{"taught":'), of_model=True)
    """What `teach --ask` leaves for `--pick`, `--answer` and `--reject`."""

    def checkpoint(self, base: str, step: int | None = None) -> Path:
        """The checkpoint after `step` steps, or the final weights for None."""
        return self.path / checkpoint_name(base, step)

    def finetuned(self, base: str) -> Path:
        """The weights after fine-tuning, teaching or reinforcement learning."""
        return self.path / finetuned_name(base)

    def checkpoints(self) -> list[Path]:
        """The checkpoints of all presets that are there, those that were set aside too."""
        return sorted(path for path in self._named_as_checkpoints() if path.exists())

    def _named_as_checkpoints(self) -> list[Path]:
        """What stands under the names of checkpoints, dangling links too."""
        found: list[Path] = []
        for base in map(checkpoint_base, PRESETS):
            one = [self.checkpoint(base), self.finetuned(base)]
            found += [path for path in one if path.is_symlink() or path.exists()]
            found += training_checkpoints(self.path, base)
            found += _set_aside(self.path, finetuned_name(base))
        return found

    def has_metrics(self) -> bool:
        """Whether a run has begun to write its metrics here."""
        return self.metrics.is_file() and self.metrics not in self.foreign()

    def writes(self, name: str) -> bool:
        """Whether a file of that name is one that vidya writes to a run folder."""
        one = self.path / name
        bases = [checkpoint_base(preset) for preset in PRESETS]
        known = [one == getattr(self, attribute) for attribute in _declared_names()]
        return any(known) or base_of(one) in bases

    def token_caches(self) -> list[Path]:
        """The token caches that are there."""
        caches = (
            self.train_tokens, self.held_out_tokens, self.replay_tokens,
            self.replay_held_out_tokens,
        )  # fmt: skip
        return [path for path in caches if path.exists()]

    def of_model(self) -> list[Path]:
        """All files that belong to the model that stands in the folder: its checkpoints first."""
        found = [
            [path for path in file.found(self.path) if path not in file.foreign(self.path)]
            for file in _declared()
            if file.of_model
        ]
        own = [path for path in self.checkpoints() if is_own(path, is_checkpoint_head)]
        return [*own, *itertools.chain(*found)]

    def own(self) -> list[Path]:
        """Every file in the folder that vidya wrote, other checkpoints of its too."""
        found = [
            path
            for file in _declared()
            for path in file.found(self.path)
            if path not in file.foreign(self.path)
        ]
        named = [*self._named_as_checkpoints(), *self.path.glob("*.bin")]
        own = [path for path in named if is_own(path, is_checkpoint_head)]
        return sorted({*found, *own})

    def foreign(self) -> list[Path]:
        """Files under vidya's names that vidya did not write: a run there would replace them.

        Not those beside whose like vidya only puts its own, as in the folder of TensorBoard.
        """
        found = [file.foreign(self.path) for file in _declared() if not file.is_pattern]
        there = [
            path for path in self._named_as_checkpoints() if not is_own(path, is_checkpoint_head)
        ]
        return sorted([*there, *itertools.chain(*found)])

    def journals(self) -> list[Path]:
        """The journals of lessons that are there: what somebody has taught the model."""
        return [p for p in self.of_model() if p.match(f"{self.lessons.stem}.*jsonl")]

    def free_number(self, *paths: Path) -> int:
        """The first number under which none of the paths has been set aside."""
        return next(
            number
            for number in itertools.count(1)
            if not any(self.numbered(path, number).exists() for path in paths)
        )

    @staticmethod
    def numbered(path: Path, number: int) -> Path:
        """The name under which an older file is set aside: `teach.1.jsonl`."""
        return path.with_suffix(f".{number}{path.suffix}")


def require_not_of_model(path: Path) -> None:
    """Refuse to replace the tokenizer beside a model, which is of no use without it.

    Raises:
        PlaceError: names the model.
    """
    run = RunFiles(path.parent)
    models = [one for one in sorted(run.path.glob("*.bin")) if is_checkpoint(one)]
    if path.name == run.tokenizer.name and path.exists() and models:
        raise PlaceError(f"{path} is the tokenizer of {models[0].name}", "name another file")


def _declared() -> list[_File]:
    return [file for file in vars(RunFiles).values() if isinstance(file, _File)]


def _declared_names() -> list[str]:
    return [name for name, file in vars(RunFiles).items() if isinstance(file, _File)]
