rule init:
    input:
        code("networks", "stages/init.py"),
    output:
        f"{RESULTS}/init/{{network}}/backbone.safetensors",
    log:
        f"logs/{PROFILE}/init/{{network}}.log",
    params:
        profile=PROFILE,
        init=SETTINGS["init"],
        network=model_settings("networks"),
    shell:
        "oneshot-vos init --profile {params.profile} --network {wildcards.network} --out {output} > {log} 2>&1"


rule pretrain:
    input:
        code(
            "datasets",
            "networks",
            "supervision",
            "training",
            "stages/pretrain.py",
            "stages/train.py",
        ),
        weights=f"{RESULTS}/init/{{network}}/backbone.safetensors",
        sets=f"{DATA}/sets/pretrain",
    output:
        weights=f"{RESULTS}/init/{{network}}/static.safetensors",
        plots=directory(f"{RESULTS}/curves/pretrain-{{network}}/plots"),
        record=f"{RESULTS}/curves/pretrain-{{network}}/run.json",
    log:
        f"logs/{PROFILE}/pretrain/{{network}}.log",
    resources:
        gpu=1,
    params:
        profile=PROFILE,
        curves=lambda wildcards, output: Path(output.record).parent,
        pretrain=model_settings("pretrain"),
        network=model_settings("networks"),
        data=SETTINGS["data"]["pretrain"],
    shell:
        "oneshot-vos pretrain --profile {params.profile} --network {wildcards.network}"
        " --weights {input.weights} --sets {input.sets}"
        " --out {output.weights} --curves {params.curves} > {log} 2>&1"


rule train:
    input:
        code("datasets", "networks", "supervision", "training", "stages/train.py"),
        weights=run_weights,
        labels=run_labels,
    output:
        weights=f"{RESULTS}/train/{{run}}/weights.safetensors",
        snapshots=directory(f"{RESULTS}/train/{{run}}/snapshots"),
        plots=directory(f"{RESULTS}/curves/{{run}}/plots"),
        record=f"{RESULTS}/curves/{{run}}/run.json",
    log:
        f"logs/{PROFILE}/train/{{run}}.log",
    resources:
        gpu=1,
    params:
        profile=PROFILE,
        curves=lambda wildcards, output: Path(output.record).parent,
        train=run_settings("train"),
        network=run_settings("networks"),
        data=SETTINGS["data"]["train"],
        curve=SETTINGS["curve"],
        run=run_values,
    shell:
        "oneshot-vos train --profile {params.profile} --run {wildcards.run}"
        " --weights {input.weights} --labels {input.labels}"
        " --out {output.weights} --snapshots {output.snapshots}"
        " --curves {params.curves} > {log} 2>&1"
