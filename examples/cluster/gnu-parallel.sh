#!/bin/sh
# A sweep as eight shards under GNU parallel, on this machine or on several.
#
#   ./gnu-parallel.sh memcached --vary cores=1,2,4 --vary connections=1..1024:x2 --vary mechanism=all
#   HOSTS=one,two ./gnu-parallel.sh memcached …  # over ssh; ringscope and this folder must be there under the same names
#
# Run it again after an interruption: finished shards are left alone, the others go on.
set -eu

shards=8
mkdir -p parts
parallel --quote --joblog parts/jobs.log --resume-failed ${HOSTS:+--sshlogin "$HOSTS" --workdir .} \
    "${RINGSCOPE:-ringscope}" sweep "$@" --shard "{}/$shards" --output "parts/part-{}.jsonl" --resume --quiet --threads 1 \
    ::: $(seq "$shards") > parts/tables.txt
rm -f results.jsonl
exec "${RINGSCOPE:-ringscope}" merge parts/part-*.jsonl --output results.jsonl
