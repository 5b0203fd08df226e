"""Plans that were made before on this machine: a first answer before anything is measured."""

from __future__ import annotations

import dataclasses
import datetime
import json
from dataclasses import dataclass
from typing import Any

import vidya
from vidya import kernels
from vidya.planning.run_plan import PreparedCorpora, RunPlan
from vidya.planning.trial_run import Trial, TrialMemory
from vidya.system import processor, user_cache
from vidya.training.memory_plan import MemoryPlan
from vidya.training.options import TrainOptions
from vidya.training.run_corpora import corpora_key
from vidya.training.run_length import StepSpeed

_NO_MATTER = (
    "out", "resume", "overwrite", "steps", "minutes", "passes", "eval_every", "checkpoint_every",
    "keep", "lr", "warmup", "lr_floor", "on_spike", "verbose", "profile", "tensorboard",
)  # fmt: skip
"""Options that change nothing of what was measured: where a run is kept, how long it is."""


@dataclass(frozen=True)
class RememberedPlans:
    """Plans of the same runs, on this machine and of files that have not changed since."""

    day: str
    """When they were made."""
    plans: list[RunPlan]


def recall_plans(runs: list[TrainOptions]) -> RememberedPlans | None:
    """What `remember_plans` kept of these runs; None if anything is another than then."""
    plans, days = [], []
    for options in runs:
        key = _key(options)
        kept = None if key is None else user_cache.recall("plans", key)
        try:
            found = json.loads(kept or b"null")
            plans.append(RunPlan(options, PreparedCorpora(**found["prepared"]), _trial(found)))
            days.append(datetime.date.fromisoformat(found["day"]).isoformat())
        except (ValueError, KeyError, TypeError):  # none, or not as it should be
            return None
    return RememberedPlans(min(days), plans)


def remember_plans(plans: list[RunPlan]) -> None:
    """Keep plans for the next time, where their corpora are files that can be told apart."""
    day = datetime.date.today().isoformat()
    for plan in plans:
        if (key := _key(plan.options)) is not None:
            content = {
                "day": day,
                "prepared": dataclasses.asdict(plan.prepared),
                "trial": dataclasses.asdict(plan.trial),
            }
            user_cache.remember("plans", key, json.dumps(content).encode())


def _key(options: TrainOptions) -> dict[str, Any] | None:
    """What must be the same for a plan to hold; None where the corpora cannot be relied on."""
    corpora = corpora_key(options)
    if corpora is None or options.init is not None or options.tokenizer is not None:
        return None  # files that may become others under the same name
    settings = {name: of for name, of in options.plain().items() if name not in _NO_MATTER}
    return {
        "vidya": vidya.__version__, "processor": processor.processor_name(),
        "instructions": kernels.get_isa(), "cores": kernels.usable_cores(),
        "corpora": corpora, "settings": settings,
    }  # fmt: skip


def _trial(found: dict[str, Any]) -> Trial:
    """The trial that was written down; TypeError or KeyError if it is another's."""
    values = dict(found["trial"])
    memory = values["memory"]
    values["memory"] = TrialMemory(**{**memory, "planned": MemoryPlan(**memory["planned"])})
    for name in ("batched", "documents"):
        values[name] = StepSpeed(**values[name])
    return Trial(**values)
