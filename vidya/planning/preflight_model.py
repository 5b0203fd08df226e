"""Preflight's checks of the model: its parameters, its first loss, and that it learns."""

from __future__ import annotations

import math

import numpy as np

from vidya.model.initialisation import INIT_STD, expected_first_loss, initial_std
from vidya.model.parameters import parameter_parts
from vidya.planning.preflight_run import CheckedRun, fail_unless, take_step

SIGMAS = 6.0
"""Standard errors that a standard deviation of the first weights may be off."""
FIRST_LOSS_BAND = 1.25
"""Nats around the expected first loss; real text repeats itself, which takes a little off."""
STEPS = 20
LEAST_FALL = 0.01
"""Share of the loss that must be gone after `STEPS` steps."""


def parameters(checked: CheckedRun) -> str:
    """The model has as many numbers as the arithmetic says, each of them in a named matrix."""
    made, parts = checked.run.model, parameter_parts(checked.run.model.config)
    named, expected = sum(view.size for view in made.parameters.values()), sum(parts.values())
    fail_unless(
        named == made.flat.size == expected,
        f"the model holds {made.flat.size:,} numbers, {named:,} of them named; the "
        f"arithmetic says {expected:,}",
    )
    listed = ", ".join(f"{name} {count:,}" for name, count in parts.items())
    return f"{named:,} ({named / 1e6:.1f} M): {listed}"


def initialisation(checked: CheckedRun) -> str:
    """Residual outputs have std 0.08/√(2L), all other matrices 0.08, gains are 1."""
    made = checked.run.model
    residual_std = initial_std("attn_out", made.config.n_layer)
    found: dict[float, list[float]] = {residual_std: [], INIT_STD: []}
    for name, values in made.parameters.items():
        if name.endswith("norm"):
            fail_unless(bool((values == 1).all()), f"{name} is not 1 everywhere")
            continue
        wanted = initial_std(name, made.config.n_layer)
        std, mean = float(values.std(dtype=np.float64)), float(values.mean(dtype=np.float64))
        slack = SIGMAS / math.sqrt(2 * values.size)
        fail_unless(
            abs(std / wanted - 1) < slack and abs(mean) < SIGMAS * wanted / math.sqrt(values.size),
            f"{name} has std {std:.5f} and mean {mean:.5f}, not {wanted:.5f} and 0",
        )
        found[wanted].append(std)
    residual, others = (np.mean(found[std]) for std in (residual_std, INIT_STD))
    return f"residual std {residual:.5f} (0.08/√(2L) = {residual_std:.5f}), others {others:.4f}"


def loss_at_step_0(checked: CheckedRun) -> str:
    """The loss of the first step is finite, and where this initialisation puts it."""
    run = checked.run
    batch = run.plan.batch(0)
    loss, expected = run.gradients(batch), expected_first_loss(run.model.config)
    uniform = math.log(run.model.config.vocab_size)
    fail_unless(
        math.isfinite(loss) and abs(loss - expected) <= FIRST_LOSS_BAND,
        f"the loss is {loss:.4f}, and this initialisation puts it near {expected:.2f}",
    )
    return (
        f"{loss:.4f} (this initialisation: {expected - FIRST_LOSS_BAND:.1f} to "
        f"{expected + FIRST_LOSS_BAND:.1f}; all tokens alike: {uniform:.2f})"
    )


def loss_falls(checked: CheckedRun) -> str:
    """The loss falls in 20 steps at the peak rate, looked at on text that they did not see."""
    made = checked.run
    unseen = made.plan.batch(min(STEPS, made.plan.steps_in_epoch(0) - 1))

    def mean_loss() -> float:
        return float(made.model.losses(unseen).mean(dtype=np.float64))

    before = mean_loss()
    for _ in range(STEPS):
        take_step(made)
    after = mean_loss()
    fail_unless(
        math.isfinite(after) and after <= (1 - LEAST_FALL) * before,
        f"it was {before:.4f} and is {after:.4f} after {STEPS} steps",
    )
    return f"{before:.4f} → {after:.4f} on unseen text, {STEPS} steps at {made.options.peak_lr():g}"
