"""What only the code of networks, losses and strategies can say about the parameters."""

from collections.abc import Iterable
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.params import Params
from oneshot_vos.stages.init import find_arguments
from oneshot_vos.stages.start import find_mismatch
from oneshot_vos.supervision.build import check_settings


def find_wrong_choices(profiles: Iterable[Params]) -> list[str]:
    """One line, with its file, for every wrong argument of a network, a loss or a strategy, under any profile."""
    findings: list[str] = []
    for params in profiles:
        for network in dict.fromkeys(params.networks):
            findings += find_arguments(params, network)
        there = {name: Path(start.weights) for name, start in params.starts.items() if Path(start.weights).is_file()}
        for name, file in there.items():
            findings += find_mismatch(params, name, file)
        for key, run in params.runs.items():
            try:
                check_settings(run.strategy, run.strategy_settings, params.layers[f"runs.{key}"].place("strategy"))
            except UserError as error:
                findings.append(str(error))
    return list(dict.fromkeys(findings))
