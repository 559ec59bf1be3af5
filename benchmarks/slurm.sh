#!/usr/bin/env bash
# The pipeline as batch jobs on a real SLURM of one node, made for this and taken down afterwards.
#
#   benchmarks/slurm.sh [WORK]      as root on Debian, from the checkout, in the project's environment
#
# Installs slurm-wlm and munge, starts them with settings, key and sockets of their own below WORK (build/slurm), and
# runs two STCN trainings of the profile `smoke` in a copy of the checkout: with the profile `slurm` as it ships, edited
# as docs/pipeline.md says, with a job cancelled and one at its time limit, and with the node drained. The weights must
# be those of a copy in which nothing was interrupted. Prints a table; the last line says whether all of it held.
# ITERATIONS (4000): of the training that is interrupted, which must last longer than the shortest limit, a minute.
set -uo pipefail
work=$(realpath -m "${1:-build/slurm}")
iterations=${ITERATIONS:-4000}
node=$(hostname -s)
table=$work/outcome.md
failed=0
export OMP_NUM_THREADS=1
etc=/etc/slurm # what a job starts looks here, not in the environment

row() { # step, outcome, whether it held
    printf '| %s | %s |\n' "$1" "$2" | tee -a "$table"
    [ "$3" = 0 ] || { failed=1; echo "did not hold: $1" >&2; }
}

stop() { # what this script started, by its number, newest first
    for name in slurmd slurmctld munged; do
        [ -s "$work/$name.pid" ] && kill "$(cat "$work/$name.pid")" 2>/dev/null
    done
    for name in slurm gres; do
        [ "$(readlink "$etc/$name.conf")" = "$work/$name.conf" ] && rm "$etc/$name.conf"
    done
}
[ ! -e $etc/slurm.conf ] || { echo "$etc/slurm.conf: this machine has a SLURM already; expected none" >&2; exit 2; }
trap stop EXIT
trap 'exit 1' INT TERM

install_and_start() {
    # RUNLEVEL: the packages start no services of their own.
    command -v slurmctld sbatch munged >/dev/null || {
        apt-get update -q && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -qy --no-install-recommends slurm-wlm munge
    } >"$work/apt.log" 2>&1 || return 1
    mkdir -p "$work"/{munge,state,spool}
    chmod 711 "$work/munge"
    dd if=/dev/urandom of="$work/munge/key" bs=32 count=1 status=none
    chmod 400 "$work/munge/key"
    munged --force --socket "$work/munge/socket" --key-file "$work/munge/key" --pid-file "$work/munged.pid" \
        --log-file "$work/munged.log" --seed-file "$work/munge/seed" || return 1
    cat >"$work/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
KillWait=60
MinJobAge=3600
ReturnToService=2
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc --all) RealMemory=$(awk '/MemTotal/ {print int($2 / 1100)}' /proc/meminfo) Gres=gpu:2
PartitionName=main Nodes=$node Default=YES MaxTime=120 State=UP
CONF
    # Jobs ask for cards; there need not be any.
    printf 'NodeName=%s Name=gpu File=/dev/%s\n' "$node" null "$node" zero >"$work/gres.conf"
    mkdir -p $etc && ln -sf "$work/slurm.conf" "$work/gres.conf" $etc/ || return 1
    slurmctld -c && sleep 2 && slurmd && sleep 5
    scontrol update nodename="$node" state=resume 2>/dev/null
    for _ in $(seq 30); do sinfo -h -o %T | grep -q idle && return 0; sleep 1; done
    return 1
}

copy() { # a checkout with the profile smoke and two STCN runs, the second of them long
    python - "$1" "$iterations" <<'PY'
import re, sys
from pathlib import Path
sys.path.insert(0, "benchmarks")
from seeds import copy_checkout
target = Path(sys.argv[1])
copy_checkout(target)
file = target / "params.yaml"
text = file.read_text().replace("\nprofile: mini\n", "\nprofile: smoke\n").replace("[stcn, xmem, cutie]", "[stcn]")
kept = ("stcn-two_step-static", "stcn-two_step-backbone")
lines = [line for line in text.splitlines() if ": {network: " not in line or line.split(":")[0].strip() in kept]
long = f"seed: 0, train: {{iterations: {sys.argv[2]}, checkpoint_every: 20, log_every: 20}}}}"
lines = [line.replace("seed: 0}", long) if "stcn-two_step-backbone:" in line else line for line in lines]
file.write_text("\n".join(lines) + "\n")
PY
}

pipeline() { # arguments of snakemake; what it prints goes to a file
    (cd "$1" && PYTHONPATH=$PWD/src snakemake "${@:3}" >>"$2" 2>&1)
}

training() { # waits until a job of this run is at work and has left a checkpoint; its number
    for _ in $(seq 600); do
        local id
        id=$(squeue -h -t R -o '%i %k' | awk -v run="$1" '/rule_train/ && index($0, run) {print $1; exit}')
        [ -n "$id" ] && [ "$id" != "${2:-}" ] && [ -n "$(find "$batch/state" -path "*$1*" -name '*.pt' 2>/dev/null)" ] && echo "$id" && return
        sleep 1
    done
    return 1
}

mkdir -p "$work"
rm -rf "$work"/{batch,straight,state,spool,*.log}
: >"$table"
row "step" "outcome" 0
row "---" "---" 0
install_and_start
code=$?
row "install slurm-wlm and munge, start one node" "$(sinfo -h -o '%P %T, %c CPUs' 2>&1 | head -1) (SLURM $(slurmctld -V | cut -d' ' -f2))" $code
[ $code = 0 ] || exit 1

batch=$work/batch
copy "$batch" && copy "$work/straight" || exit 1
long=stcn-two_step-backbone short=stcn-two_step-static
weights() { echo "results/smoke/train/$1/weights.safetensors"; }

pipeline "$batch" "$work/shipped.log" --workflow-profile slurm "$(weights $short)"
code=$?
row "profile as it ships" "code $code, before the first job: $(grep -o 'SLURM has no partition.*expected one of [a-z, ]*' "$work/shipped.log" | head -1)" $((code == 0))

sed -i -E 's/slurm_partition: .*/slurm_partition: main/; s/mem_mb: .*/mem_mb: 1500/; s/runtime: .*/runtime: 60/; s/^(  [a-z]+): [48]$/\1: 1/' \
    "$batch/workflow/profiles/slurm/profile.v9+.yaml"
# squeue: sacct, which is asked where it is installed, knows nothing on a cluster without accounting.
slurm=(--workflow-profile slurm --slurm-status-command squeue --slurm-init-seconds-before-status-checks 5 --seconds-between-status-checks 5)

pipeline "$batch" "$work/batch.log" "${slurm[@]}" "$(weights $long)" &
engine=$!
first=$(training $long) && scancel "$first"
second=$(training $long "$first") && scontrol update jobid="$second" timelimit=1
wait $engine
code=$?
resumed=$(grep -rhoE 'resuming after iteration [0-9]+' "$batch"/logs "$batch"/.snakemake/slurm_logs 2>/dev/null | sort -u | tr '\n' ';')
states=$(scontrol show job "$first" | grep -o 'JobState=[A-Z]*'; scontrol show job "$second" | grep -o 'JobState=[A-Z]*')
row "a job cancelled, the next at its time limit" "$(echo $states | sed 's/JobState=//g'); retried by themselves, exit code $code; ${resumed:-nothing resumed}" "$code"

scontrol update nodename="$node" state=drain reason=test
pipeline "$batch" "$work/drain.log" "${slurm[@]}" "$(weights $short)" &
engine=$!
for _ in $(seq 120); do reason=$(squeue -h -t PD -o %r | head -1); [ -n "$reason" ] && [ "$reason" != None ] && break; sleep 1; done
scontrol update nodename="$node" state=resume
wait $engine
code=$?
row "the node drained, then resumed" "jobs wait: ${reason:-none seen}; after that exit code $code" "$code"

pipeline "$work/straight" "$work/straight.log" --cores 1 "$(weights $long)" "$(weights $short)"
code=$?
for run in $long $short; do
    cmp -s "$work/straight/$(weights $run)" "$batch/$(weights $run)" || code=1
done
row "weights of both runs" "$([ $code = 0 ] && echo "those of a copy without SLURM, byte for byte" || echo "differ")" $code
squeue -h | grep -q . && row "queue" "not empty" 1
exit $failed
