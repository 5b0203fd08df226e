"""How many rows of a file may be bad: lines that are damaged, or of another kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from vidya.errors import UserError
from vidya.terminal.formatting import plural
from vidya.user_files.located_row import BadRow

_ALWAYS = 10
"""Bad rows that a share allows, however short the file, if half of its rows are good."""
_HOPELESS = 1000
"""Bad rows after which a file is given up if they are the most of it."""
_SHOWN = 5


@dataclass(frozen=True)
class MostBad:
    """What `--max-bad` allows: a share of a file's rows, or a number of them."""

    share: float | None = 0.01
    number: int = _ALWAYS

    @staticmethod
    def of(written: str) -> MostBad:
        """`2%`, `0.02` or `20`; UserError for anything else."""
        text = written.strip()
        try:
            value = float(text.removesuffix("%"))
            if text.endswith("%") or (0 < value < 1):
                share = value / 100 if text.endswith("%") else value
                if 0 <= share <= 1:
                    return MostBad(share, _ALWAYS if share else 0)
            elif value >= 0 and value == int(value):
                return MostBad(None, int(value))
        except (ValueError, OverflowError):
            pass
        raise UserError(f"--max-bad must be a share such as 1% or a number of lines, not {written}")

    def allowed(self, rows: int) -> int:
        """Bad rows in a file of so many."""
        if self.share is None:
            return self.number
        return max(int(rows * self.share), min(self.number, rows // 2))


@dataclass
class BadRows:
    """The bad rows of one file."""

    name: str
    unit: str
    """What a row is called: a line, of files that have lines."""
    most: MostBad
    rows: int = 0
    """Read so far, good and bad."""
    bad: int = 0
    can_be_raised: bool = True
    """Whether the user can allow more."""
    shown: list[str] = field(default_factory=list)
    """A line about each of the first."""

    def add(self, row: BadRow) -> None:
        """Count a row; UserError where it is clear already that there are too many."""
        self.bad += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(f"{self.name}, {self.unit} {row.line}: {row.reason}")
        hopeless = self.bad > _HOPELESS and 2 * self.bad > self.rows
        if hopeless or (self.most.share is None and self.bad > self.most.number):
            self._refuse("so far")

    def check(self) -> None:
        """UserError if there were more than are allowed, at the end of a file."""
        if self.bad > self.most.allowed(self.rows):
            self._refuse("in all")

    def _refuse(self, when: str) -> None:
        found = f"{self.shown[0]} ({self.bad:,} bad of {plural(self.rows, self.unit)} {when}"
        if self.can_be_raised and self.bad < self.rows:
            raise UserError(f"{found}: more than --max-bad allows: mend the file, or raise it)")
        raise UserError(f"{found})")
