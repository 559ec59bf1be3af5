"""Train every run of a profile with several seeds, through the pipeline itself, and keep the tables with their spread.

    python benchmarks/seeds.py [--params study.yaml] [--profile mini] [--seeds 0 1 2] [--vary 'step'] [--cores 2]

Works in a copy of the checkout, whose params.yaml is that of `--params` and lists each run (that `--vary` matches) once
per seed. Data, initial
weights and pretraining are made once and shared, as the pipeline does for runs of different seeds. Snakemake builds
it (several trainings at a time where there are cores; one thread each, so that they do not wait for one another). A
second start resumes where the first was stopped. The tables end up in results/<profile>/seeds.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from oneshot_vos.files import replacing_folder
from oneshot_vos.params import Params, load_params


def copy_checkout(target: Path) -> None:
    """Copy what git tracks, and what it does not ignore, to `target`; results of earlier runs stay behind."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if Path(name).is_file() and not name.startswith(("results/", "state/", "data/")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, target / name)


def list_seeds(file: Path, profile: str | None, seeds: list[int], vary: str) -> Params:
    """Rewrite params.yaml: each run of seed 0 whose name `vary` matches once per seed, and `profile`, if any.

    Returns the parameters that it now holds.
    """
    yaml = YAML()
    document, known = yaml.load(file), load_params(file, profile).runs
    runs = {}
    for key, entry in document["runs"].items():
        run = known[key]
        word = key.removeprefix(run.key)  # of a variant
        for seed in seeds if run.seed == 0 and re.search(vary, key) else [run.seed]:
            runs[run.model_copy(update={"seed": seed}).key + word] = {**entry, "seed": seed}
    document["profile"], document["runs"] = profile or document["profile"], runs
    yaml.dump(document, file)
    return load_params(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--profile", help="default: the one that --params names")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--vary", default="", help="regular expression: the runs that get every seed; default: all")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--gpus", type=int, default=0, help="trainings at a time; default: one per core")
    parser.add_argument("--work", type=Path, default=Path("build/seeds"))
    options = parser.parse_args()

    copy_checkout(options.work)
    top = options.work / "params.yaml"
    shutil.copyfile(options.params, top)
    params = list_seeds(top, options.profile, options.seeds, options.vary)
    print(f"{len(params.runs)} runs: {', '.join(params.runs)}", flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "snakemake", "--cores", str(options.cores)]
    command += ["--resources", f"gpu={options.gpus or options.cores}"]
    subprocess.run(command, cwd=options.work, check=True, env=environment)
    with replacing_folder(Path("results") / params.profile_name / "seeds") as folder:
        shutil.copytree(options.work / "results" / params.profile_name / "tables", folder, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
