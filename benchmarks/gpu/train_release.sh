#!/usr/bin/env bash
# The release training: maps simulated from atomic structures, on a GPU if there is one, else a CPU.
#
#     benchmarks/gpu/train_release.sh STAGE [SECONDS]
#
# STAGE holds what travels to the machine, less than 60 MiB: structures.safetensors (see `pack` below),
# config.yaml (settings that differ from the recipe) and, from call to call, the folder state. A call
# ends after SECONDS (540) by SIGTERM, its finished steps kept in STAGE/state, and the next one goes on;
# one that finds the training finished writes STAGE/checkpoint.safetensors and STAGE/history.parquet.
# Where the machine forgets, keep STAGE/state and STAGE/tokens.safetensors* between calls.
#
# To pack the structures, where the archives and the models of the evaluated maps are:
#
#     benchmarks/gpu/train_release.sh pack STAGE EVALUATED_MODELS ARCHIVE...
set -euo pipefail

if [[ ${1:?give a folder, or: pack STAGE EVALUATED_MODELS ARCHIVE...} == pack ]]; then
    stage=${2:?folder} evaluated=${3:?folder with the models of the evaluated maps}
    mkdir -p "$stage"
    exec cryosamu structures pack "${@:4}" --leave-out "$evaluated" --most-atoms 20000 \
        --output "$stage/structures.safetensors"
fi

stage=$1 seconds=${2:-540}
begun=$(date +%s)
size=$(du --bytes --total "$stage/structures.safetensors" "$stage/config.yaml" | tail -n 1 | cut -f 1)
if ((size > 60 * 1024 * 1024)); then
    echo "$stage: holds $((size / 1024 / 1024)) MiB; pack with fewer --most-atoms." >&2
    exit 1
fi

tokens=$stage/tokens.safetensors
if [[ ! -f $tokens ]]; then
    status=0
    timeout --signal TERM "$seconds" cryosamu structures embed "$stage/structures.safetensors" \
        --config "$stage/config.yaml" --output "$tokens" || status=$?
    if ((status == 124)); then
        echo "the tokens are not finished; call again to go on."
        exit 0
    fi
    if ((status != 0)); then exit "$status"; fi
fi

left=$((seconds - $(date +%s) + begun))
if ((left < 30)); then
    echo "no time is left to train in this call; call again."
    exit 0
fi
status=0
timeout --signal TERM "$left" cryosamu train --structures "$stage/structures.safetensors" \
    --tokens "$tokens" --config "$stage/config.yaml" --state "$stage/state" \
    --output "$stage/checkpoint.safetensors" --history "$stage/history.parquet" || status=$?
# 124: the time was up; 130: interrupted. Both have kept their steps.
if ((status == 124 || status == 130)); then
    echo "not finished; call again to go on."
    exit 0
fi
exit "$status"
