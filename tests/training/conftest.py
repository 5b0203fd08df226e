"""The trainers that the tests of the training loop share."""

from support.trainers import new_trainer, options, straight  # noqa: F401
