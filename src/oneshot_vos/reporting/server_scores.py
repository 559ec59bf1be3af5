"""Scores that a user received from the YouTube-VOS server, written down in one small file.

    scores:
      - run: stcn-two_step-static      # a run of params.yaml
        set: youtube18                 # or youtube19
        G: 71.0                        # percent
        Js: 70.0
        Fs: 74.0
        Ju: 66.0
        Fu: 74.0
        date: 2026-01-31
        source: CodaLab 7685, submission 123456

The numbers here are an example. No number of this file is ever mixed with one that was computed here.
"""

import datetime as dt
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from oneshot_vos.errors import UserError
from oneshot_vos.params import Strict
from oneshot_vos.registry import suggest
from oneshot_vos.strict_yaml import explain, read_yaml

MEASURES = {"G": "G", "Js": "J_seen", "Fs": "F_seen", "Ju": "J_unseen", "Fu": "F_unseen"}  # here: elsewhere
_ROUNDING = 0.1001  # percentage points: five numbers, each rounded to one decimal
Percent = Annotated[float, Field(ge=0.0, le=100.0)]


class _Entry(Strict):
    """One score of the file."""

    run: Annotated[str, Field(min_length=1)]
    set: Literal["youtube18", "youtube19"]
    G: Percent
    Js: Percent
    Fs: Percent
    Ju: Percent
    Fu: Percent
    date: dt.date
    source: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> "_Entry":
        four = (self.Js, self.Fs, self.Ju, self.Fu)
        if 0 < max(self.G, *four) <= 1:
            raise ValueError("the scores are fractions; write them in percent, 79.3 for 0.793")
        mean = sum(four) / 4
        if abs(self.G - mean) > _ROUNDING:
            raise ValueError(
                f"G is {self.G:g}, but the mean of Js, Fs, Ju and Fu is {mean:.2f}; G must be their mean. Compare the "
                "numbers with the server's"
            )
        return self


def read_server_scores(path: Path, runs: Collection[str]) -> list[dict[str, Any]]:
    """The entries of the file, in its order; none if there is no file at `path`.

    An entry: run, set, scores (percent by G, J_seen, F_seen, J_unseen, F_unseen), date, and origin, the file's source.

    `runs` are the known runs. Raises one `UserError` with every finding: unknown or missing keys, numbers that are no
    percent or do not average to G, unknown runs, two scores for one run and set.
    """
    if not path.exists():
        return []
    content = read_yaml(path)
    listed = content.get("scores") if isinstance(content, dict) and set(content) == {"scores"} else None
    if not isinstance(listed, list):
        raise UserError(f"{path}: expected one key 'scores' with a list; write 'scores: []' for none")
    findings: list[str] = []
    entries: list[_Entry] = []
    for place, each in enumerate(listed, start=1):
        try:
            entry = _Entry.model_validate(each)
        except ValidationError as error:
            findings += [
                f"score {place}: {f'{where}: ' if where else ''}{message}" for where, message in explain(error, _Entry)
            ]
            continue
        if entry.run not in runs:
            findings.append(f"score {place}: run '{entry.run}' is not in params.yaml; {suggest(entry.run, list(runs))}")
        if any((entry.run, entry.set) == (other.run, other.set) for other in entries):
            findings.append(
                f"score {place}: a second score of run '{entry.run}' on {entry.set}; expected one. Keep one"
            )
        entries.append(entry)
    if findings:
        raise UserError("\n".join([f"{path}: {len(findings)} problem(s) in the server's scores:", *findings]))
    return [
        {
            "run": entry.run,
            "set": entry.set,
            "scores": {name: float(getattr(entry, short)) for short, name in MEASURES.items()},
            "date": entry.date.isoformat(),
            "origin": entry.source,
        }
        for entry in entries
    ]
