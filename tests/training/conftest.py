"""The runs that the tests of the training loop share."""

from support.small_runs import new_run, options, stopped, straight  # noqa: F401
