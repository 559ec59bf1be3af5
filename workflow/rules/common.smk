# Names that all rules share. Every choice is part of a path, so rules need no conditions.
from pathlib import Path

PROFILE = config["profile"]
SETTINGS = config["profiles"][PROFILE]
MODELS = config["networks"]
RUNS = config["runs"]
DATA = f"data/{PROFILE}"
RESULTS = f"results/{PROFILE}"
# What a training leaves in its folder of curves.
CURVES = ["plots", "run.json"]


wildcard_constraints:
    network="|".join(MODELS),
    run="|".join(RUNS),
    kind="first|every",


def code(*names):
    """Files of the package that a rule uses; a folder stands for every file in it, as it does in dvc.yaml."""
    paths = [Path("src/oneshot_vos", name) for name in names]
    found = [sorted(path.rglob("*")) if path.is_dir() else [path] for path in paths]
    return [
        str(file)
        for files in found
        for file in files
        if not file.is_dir() and "__pycache__" not in file.parts
    ]


def run_weights(wildcards):
    run = RUNS[wildcards.run]
    return f"{RESULTS}/init/{run['network']}/{run['init']}.safetensors"


def run_labels(wildcards):
    return f"{DATA}/labels/{RUNS[wildcards.run]['labels']}"


def run_values(wildcards):
    return RUNS[wildcards.run]


def run_settings(section):
    """What `section` of the profile holds for the network of a run."""
    return lambda wildcards: SETTINGS[section][RUNS[wildcards.run]["network"]]


def model_settings(section):
    """What `section` of the profile holds for the network of a rule."""
    return lambda wildcards: SETTINGS[section][wildcards.network]


def run_iterations(wildcards):
    """How long the network of a run is trained."""
    return SETTINGS["train"][RUNS[wildcards.run]["network"]]["iterations"]
