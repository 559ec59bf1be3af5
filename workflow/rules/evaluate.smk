rule infer:
    input:
        code(
            "clips/colours.py",
            "videos/images.py",
            "videos/index.py",
            "videos/masks.py",
            "videos/png.py",
            "videos/video.py",
            "videos/objects_index.py",
            "videos/objects.py",
            "networks",
            "inference",
            "stages/infer.py",
        ),
        weights=f"{RESULTS}/train/{{run}}/weights.safetensors",
        snapshots=f"{RESULTS}/train/{{run}}/snapshots",
        sets=f"{DATA}/sets/evaluate",
    output:
        directory(f"{RESULTS}/masks/{{run}}"),
    log:
        f"logs/{PROFILE}/infer/{{run}}.log",
    resources:
        gpu=1,
    params:
        profile=PROFILE,
        infer=run_settings("infer"),
        network=run_settings("networks"),
        data=SETTINGS["data"]["evaluate"],
        curve=SETTINGS["curve"],
        run=run_values,
    shell:
        "oneshot-vos infer --profile {params.profile} --run {wildcards.run}"
        " --weights {input.weights} --snapshots {input.snapshots} --sets {input.sets}"
        " --out {output} > {log} 2>&1"


rule baseline:
    input:
        code(
            "sets/davis.py",
            "clips/colours.py",
            "videos/images.py",
            "videos/index.py",
            "videos/masks.py",
            "videos/png.py",
            "videos/video.py",
            "videos/objects_index.py",
            "videos/objects.py",
            "networks",
            "inference",
            "evaluation",
            "stages/baseline.py",
            "stages/evaluate.py",
        ),
        sets=f"{DATA}/sets/evaluate",
    output:
        masks=directory(f"{RESULTS}/masks/copy_first"),
        metrics=directory(f"{RESULTS}/metrics/copy_first"),
    log:
        f"logs/{PROFILE}/baseline.log",
    params:
        profile=PROFILE,
        evaluate=SETTINGS["evaluate"],
        data=SETTINGS["data"]["evaluate"],
    shell:
        "oneshot-vos baseline --profile {params.profile} --sets {input.sets}"
        " --masks {output.masks} --metrics {output.metrics} > {log} 2>&1"


rule evaluate:
    input:
        code(
            "clips/colours.py",
            "sets/davis.py",
            "videos/images.py",
            "videos/index.py",
            "videos/masks.py",
            "videos/png.py",
            "videos/video.py",
            "videos/objects_index.py",
            "videos/objects.py",
            "evaluation",
            "stages/evaluate.py",
        ),
        masks=f"{RESULTS}/masks/{{run}}",
        sets=f"{DATA}/sets/evaluate",
    output:
        directory(f"{RESULTS}/metrics/{{run}}"),
    log:
        f"logs/{PROFILE}/evaluate/{{run}}.log",
    params:
        profile=PROFILE,
        evaluate=SETTINGS["evaluate"],
        data=SETTINGS["data"]["evaluate"],
        curve=SETTINGS["curve"],
        iterations=run_iterations,
        run=run_values,
    shell:
        "oneshot-vos evaluate --profile {params.profile} --run {wildcards.run}"
        " --masks {input.masks} --sets {input.sets} --out {output} > {log} 2>&1"


rule tables:
    input:
        code(
            "videos/images.py",
            "videos/masks.py",
            "videos/png.py",
            "videos/video.py",
            "videos/objects.py",
            "evaluation",
            "reporting",
            "stages/tables.py",
        ),
        expand(f"{RESULTS}/metrics/{{run}}", run=RUNS),
        expand(f"{RESULTS}/curves/{{run}}/{{file}}", run=RUNS, file=CURVES),
        curves=expand(
            f"{RESULTS}/curves/pretrain-{{network}}/{{file}}", network=MODELS, file=CURVES
        ),
        labels=expand(f"{DATA}/labels/{{kind}}", kind=["first", "every"]),
        baseline=f"{RESULTS}/metrics/copy_first",
        server="server_scores.yaml",
    output:
        report(
            expand(
                f"{RESULTS}/tables/{{table}}.csv",
                table=["table1", "table2", "table3", "table4", "runs", "curves"],
            ),
            category="Tables",
        ),
        expand(
            f"{RESULTS}/tables/{{table}}.{{kind}}",
            table=["table1", "table2", "table3", "table4", "runs"],
            kind=["md", "json"],
        ),
        f"{RESULTS}/tables/curves.png",
        f"{RESULTS}/tables/summary.md",
        f"{RESULTS}/tables/summary.json",
    log:
        f"logs/{PROFILE}/tables.log",
    params:
        profile=PROFILE,
        metrics=lambda wildcards, input: Path(input.baseline).parent,
        labels=lambda wildcards, input: Path(input.labels[0]).parent,
        curves=lambda wildcards, input: Path(input.curves[0]).parents[1],
        out=lambda wildcards, output: Path(output[0]).parent,
        runs=RUNS,
        data=SETTINGS["data"]["evaluate"],
        sets=SETTINGS["data"]["sets"],
        table1=config["table1_strategy"],
    shell:
        "oneshot-vos tables --profile {params.profile} --metrics {params.metrics} --labels {params.labels}"
        " --curves {params.curves} --server-scores {input.server} --out {params.out} > {log} 2>&1"


rule figures:
    input:
        code(
            "sets/davis.py",
            "clips/colours.py",
            "videos/images.py",
            "videos/index.py",
            "videos/masks.py",
            "videos/png.py",
            "videos/video.py",
            "videos/objects_index.py",
            "videos/objects.py",
            "evaluation",
            "reporting",
            "stages/figures.py",
        ),
        expand(f"{RESULTS}/masks/{{run}}", run=RUNS),
        baseline=f"{RESULTS}/masks/copy_first",
        sets=f"{DATA}/sets/evaluate",
    output:
        report(
            expand(f"{RESULTS}/figures/figure{{number}}.png", number=[4, 5, 6, 7]),
            category="Figures",
        ),
    log:
        f"logs/{PROFILE}/figures.log",
    params:
        profile=PROFILE,
        masks=lambda wildcards, input: Path(input.baseline).parent,
        out=lambda wildcards, output: Path(output[0]).parent,
        runs=RUNS,
        table1=config["table1_strategy"],
        figures=SETTINGS["figures"],
    shell:
        "oneshot-vos figures --profile {params.profile} --masks {params.masks} --sets {input.sets}"
        " --out {params.out} > {log} 2>&1"
