"""How many files and connections this process may have open: raised as far as is needed."""

from __future__ import annotations

import resource

from vidya.errors import UserError


def allow_open_files(needed: int) -> None:
    """Let this process have so many files open.

    Raises:
        UserError: the system's hard limit is lower.
    """
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{limit} open files at most are too few, {needed} are needed: raise the limit "
            f"(ulimit -n {needed})"
        ) from error
