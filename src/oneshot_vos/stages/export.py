"""Command `export`: the weights of a training that has not ended, as its end would write them."""

import logging
from pathlib import Path
from typing import Any

from oneshot_vos.errors import UserError
from oneshot_vos.files import fingerprint, read_json
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.official import load_strictly
from oneshot_vos.networks.common.weights import UnreadableTensorsError, read_tensors, save_weights
from oneshot_vos.training.checkpoint import CHECKPOINT, RECORD

_EXPECTED = f"a {CHECKPOINT} of a training, or its folder state/<profile>/<run>"
_log = logging.getLogger(__name__)


def run(checkpoint: Path, out: Path | None) -> None:
    """Write the weights of a checkpoint, a file or the folder that holds it, as safetensors to `out`.

    The default is `<run>-<iteration>.safetensors` in the working directory. Raises `UserError` for a file of another
    kind, and for a checkpoint without the record beside it, which says what network it is of.
    """
    file = checkpoint / CHECKPOINT if checkpoint.is_dir() else checkpoint
    stored, record = _read(file), file.parent / RECORD
    made_from = read_json(record, f"what {CHECKPOINT} beside it was made from; both are needed")
    if fingerprint(made_from) != stored["fingerprint"]:
        raise UserError(
            f"{record}: says what another checkpoint than {file} was made from; expected that of this one. Copy both "
            "from the same folder"
        )
    name, iteration = file.absolute().parent.name, int(stored["iteration"])
    target = out or Path(f"{name}-{iteration:07}.safetensors")
    network = build_network(made_from["network"], made_from["settings"])
    load_strictly(network, stored["network"], str(file))
    metadata = {"model": made_from["network"], "settings": made_from["settings"], "run": name, "iterations": iteration}
    save_weights(target, network, metadata)
    total = made_from["recipe"]["iterations"]
    _log.info("%s: weights of %s after %d of %d iterations", target, made_from["network"], iteration, total)


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise UserError(f"{file}: no such file; expected {_EXPECTED}. A training that has ended keeps no checkpoint")
    try:
        stored = read_tensors(file)
    except UnreadableTensorsError as error:
        raise UserError(
            f"{file}: not readable as a checkpoint ({error}); expected {_EXPECTED}. Name another file"
        ) from error
    if not isinstance(stored, dict) or not {"fingerprint", "iteration", "network"} <= stored.keys():
        raise UserError(f"{file}: no checkpoint; expected {_EXPECTED}. Weights need no export")
    return stored
