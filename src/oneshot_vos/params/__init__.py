"""`params.yaml`, the one file that people edit.

The whole file is checked before any work starts, every profile included, and all findings are reported together.
Nothing heavy is imported here: the command line reads parameters before it knows whether it needs torch.
"""

from pathlib import Path

from pydantic import ValidationError

from oneshot_vos.errors import UserError
from oneshot_vos.params.rules import check_profile, check_runs
from oneshot_vos.params.schema import (
    Data,
    DavisSet,
    FigureChoice,
    Infer,
    Labels,
    Optimiser,
    PairsSet,
    Params,
    Profile,
    Schedule,
    Strict,
    Training,
    YouTubeVideos,
)
from oneshot_vos.registry import require_arguments, suggest
from oneshot_vos.strict_yaml import explain, read_yaml

__all__ = [
    "Data",
    "DavisSet",
    "FigureChoice",
    "Infer",
    "Labels",
    "Optimiser",
    "PairsSet",
    "Params",
    "Profile",
    "Schedule",
    "Strict",
    "Training",
    "YouTubeVideos",
    "load_params",
    "require_arguments",
]


def load_params(path: Path, profile: str | None = None) -> Params:
    """Read and check `path`; `profile` takes the place of the one that the file names.

    Raises `UserError` with one line per finding.
    """
    document = read_yaml(path)
    try:
        params = Params.model_validate(document)
    except ValidationError as error:
        raise _findings(path, explain(error, Params)) from error
    findings = [*check_runs(params), *(line for name in params.profiles for line in check_profile(params, name))]
    chosen = profile if profile is not None else params.profile_name
    if chosen not in params.profiles:
        findings.append(f"profile: unknown '{chosen}'; {suggest(chosen, list(params.profiles))}")
    if findings:
        raise _findings(path, findings)
    return params.model_copy(update={"profile_name": chosen})


def _findings(path: Path, lines: list[str]) -> UserError:
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    return UserError(f"{path}: {count}\n" + "\n".join(f"  {line}" for line in lines))
