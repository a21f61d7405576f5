#!/bin/sh
# A sweep as a Slurm job array: each task runs one shard of the points.
#
#   sbatch slurm-array.sh memcached --vary cores=1,2,4 --vary connections=1..1024:x2 --vary mechanism=all
#   sbatch --array=3 slurm-array.sh …            # run a lost task again, with the same options
#   ringscope merge parts/part-*.jsonl -o results.jsonl
#
#SBATCH --job-name=ringscope
#SBATCH --array=1-8
#SBATCH --cpus-per-task=1
#SBATCH --requeue
#SBATCH --output=ringscope-%A_%a.log
set -eu

# Not SLURM_ARRAY_TASK_COUNT: it is 1 when a single task is run again. Change it together with --array above.
shards=8

mkdir -p parts
# --resume: a task that was requeued or is run again goes on where it was killed, with the points that its file has.
exec "${RINGSCOPE:-ringscope}" sweep "$@" \
    --shard "$SLURM_ARRAY_TASK_ID/$shards" \
    --output "parts/part-$SLURM_ARRAY_TASK_ID.jsonl" \
    --resume --quiet --threads "${SLURM_CPUS_PER_TASK:-1}"
