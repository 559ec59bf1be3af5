"""Stage `infer`: segment the evaluation sets with a trained network."""

from contextlib import suppress
from pathlib import Path

import torch

from oneshot_vos.datasets.index import read_index
from oneshot_vos.files import fingerprint, replacing_folder, sha256_of
from oneshot_vos.inference.plan import InferenceSettings
from oneshot_vos.inference.writer import clear_state, segment_set
from oneshot_vos.networks import build_network
from oneshot_vos.networks.precision import choose_precision
from oneshot_vos.networks.weights import load_weights
from oneshot_vos.params import Params


def run(params: Params, run_key: str, weights: Path, sets: Path, out: Path) -> None:
    """Write `out/<set>.zip`, the masks of every frame, for every evaluation set of the profile.

    Only the first mask of a video is given to the network. An interrupted stage goes on with the first unfinished
    video.
    """
    profile, chosen = params.profile, params.run(run_key)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build_network(chosen.model, profile.networks[chosen.model])
    load_weights(weights, network)
    network.to(device).eval()
    settings = InferenceSettings(**profile.infer.model_dump())
    dtype = choose_precision(device, "auto")
    made_from = {
        "dtype": str(dtype),
        "weights": sha256_of(weights),
        "network": profile.networks[chosen.model],
        "infer": profile.infer.model_dump(),
    }
    finished = Path("state") / params.profile_name / f"infer-{run_key}"
    with replacing_folder(out) as folder:
        for name in profile.data.evaluate:
            index = sets / f"{name}.json"
            segment_set(
                network,
                read_index(index),
                settings,
                folder / f"{name}.zip",
                state=finished / name,
                fingerprint=fingerprint({**made_from, "set": sha256_of(index)}),
                device=device,
                dtype=dtype,
                progress=f"{run_key} {name}",
                keep_state=True,
            )
    # Only now that the output stands in its place may the finished videos be forgotten.
    for name in profile.data.evaluate:
        clear_state(finished / name)
    with suppress(OSError):
        finished.rmdir()
