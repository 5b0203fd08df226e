"""The trained run that the tests of growing share."""

from support.growing_runs import growing_home, growing_work  # noqa: F401
