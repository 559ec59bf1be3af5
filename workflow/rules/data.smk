rule data:
    input:
        code("datasets", "stages/data.py"),
    output:
        directory(f"{DATA}/sets/generated"),
        directory(f"{DATA}/sets/train"),
        directory(f"{DATA}/sets/pretrain"),
        directory(f"{DATA}/sets/evaluate"),
        report=f"{DATA}/sets/report.json",
    log:
        f"logs/{PROFILE}/data.log",
    params:
        profile=PROFILE,
        out=lambda wildcards, output: Path(output.report).parent,
        data=SETTINGS["data"],
    shell:
        "oneshot-vos data --profile {params.profile} --out {params.out} > {log} 2>&1"


rule labels:
    input:
        code("datasets", "stages/labels.py"),
        sets=f"{DATA}/sets/train",
    output:
        directory(f"{DATA}/labels/{{kind}}"),
    log:
        f"logs/{PROFILE}/labels/{{kind}}.log",
    params:
        profile=PROFILE,
    shell:
        "oneshot-vos labels --profile {params.profile} --kind {wildcards.kind}"
        " --sets {input.sets} --out {output} > {log} 2>&1"
