#!/usr/bin/env bash
# What one GPU makes of the method, beside PyTorch on the same GPU, in under eight minutes. It needs the program of
# gpu.rs (GPU_BENCH=FILE; else the newest that cargo has built) and a Python with PyTorch 2.11 and safetensors (PYTHON),
# and nothing else: no Rust, no network. DEVICE=cpu tries it out on tiny networks.
#
# Writes OUT/gpu.jsonl, a line a measurement, and OUT/gpu.md; prints the tables. OUT is artifacts/bench.
set -eu -o pipefail
unset LD_LIBRARY_PATH
cd "$(dirname "$0")/../.."

DEVICE=${DEVICE:-cuda}
PYTHON=${PYTHON:-python3}
OUT=${OUT:-artifacts/bench}
LIMIT=${LIMIT:-330} # seconds, after which no new measurement is begun; one takes 150 at most
if [ "$DEVICE" = cpu ]; then
    WIDTH=${WIDTH:-4} BATCH=${BATCH:-2} CROP=${CROP:-64} STEPS=${STEPS:-2} ACCURACY_STEPS=${ACCURACY_STEPS:-6}
    NUMERICS=${NUMERICS:-f32 bf16}
else
    WIDTH=${WIDTH:-64} BATCH=${BATCH:-16} CROP=${CROP:-192} STEPS=${STEPS:-30} ACCURACY_STEPS=${ACCURACY_STEPS:-60}
    NUMERICS=${NUMERICS:-f32 tf32 bf16}
fi
program=${GPU_BENCH:-$(ls -t target/release/deps/gpu-* 2>/dev/null | grep -v '\.d$' | head -1 || true)}
[ -x "$program" ] || { echo "gpu.sh: there is no program of gpu.rs; make gpu-bench builds it, GPU_BENCH names one" >&2; exit 78; }
torch=$("$PYTHON" -c 'import os, safetensors, torch; print(os.path.dirname(torch.__file__))') ||
    { echo "gpu.sh: '$PYTHON' has no torch or no safetensors; PYTHON names one that has" >&2; exit 78; }

mkdir -p "$OUT"
rows=$OUT/gpu.jsonl
weights=$OUT/gpu-weights.safetensors narrow=$OUT/gpu-narrow.safetensors
trap 'rm -f "$weights" "$narrow"' EXIT
: >"$rows"
begin=$SECONDS

# task WHAT NUMERICS TERMS COMPILE: width, batch, crop and steps from the variables of these names.
task() {
    printf '{"what": "%s", "device": "%s", "numerics": "%s", "terms": [%s], "width": %s, "batch": %s, "crop": %s, ' \
        "$1" "$DEVICE" "$2" "$3" "$WIDTH" "$BATCH" "$CROP"
    printf '"warmup": %s, "steps": %s, "seconds": 6, "weights": "%s"%s}' "$WARMUP" "$STEPS" "$weights" "$4"
}
# one WHO COMMAND…: a line of the file, or of why there is none. A measurement that hangs is ended.
one() {
    local who=$1; shift
    if [ $((SECONDS - begin)) -gt "$LIMIT" ]; then echo "gpu.sh: no time is left for $who" >&2; return 0; fi
    timeout 150 "$@" >>"$rows" 2>"$OUT/gpu.err" || { echo "gpu.sh: $who failed:" >&2; tail -5 "$OUT/gpu.err" >&2; }
    echo "gpu.sh: $((SECONDS - begin)) s: $who" >&2
}
# The program takes PyTorch's own libtorch. PyTorch finds that by itself, and must not find another.
program=(env LD_LIBRARY_PATH="$torch/lib" "$program")
ours() { one "camflow $1 $2 $3" "${program[@]}" "$(task "$1" "$2" "$3" "")"; }
peer() { one "PyTorch $1 $2 $3 $4" "$PYTHON" -B -W ignore tests/bench/gpu_peer.py "$(task "$1" "$2" "$3" ", \"compile\": $4")"; }

RCM='"cls", "rcm"' MAM='"cls", "rcm", "mam"' WARMUP=3
"${program[@]}" "$(task weights f32 "" "")"
one "the machine's rate, and operations" \
    "$PYTHON" -W ignore tests/bench/gpu_peer.py "$(task rates f32 "" ', "compile": false')"
# What matters most comes first.
ours train-cam bf16 "$MAM"
peer train-cam bf16 "$MAM" false
ours train-cam bf16 "$RCM"
peer train-cam bf16 "$RCM" false
for what in extract train-deeplab train-affinity; do ours $what bf16 ""; done
for what in extract train-deeplab; do peer $what bf16 "" false; done
# Sixty steps of a narrow network: does bf16 learn what f32 learns?
full="$WIDTH $BATCH $CROP $STEPS $weights"
WIDTH=$((WIDTH < 16 ? WIDTH : 16)) BATCH=$((BATCH < 8 ? BATCH : 8)) CROP=$((CROP < 128 ? CROP : 128))
STEPS=$ACCURACY_STEPS WARMUP=0 weights=$narrow
"${program[@]}" "$(task weights f32 "" "")"
accuracy() { one "accuracy of $1" "${program[@]}" "$(task train-cam "$1" "$MAM" "" | sed 's/"seconds": 6/"seconds": 1e9/')"; }
for numerics in $NUMERICS; do accuracy "$numerics"; done
read -r WIDTH BATCH CROP STEPS weights <<<"$full"
WARMUP=3
[ "$DEVICE" = cpu ] || peer train-cam bf16 "$MAM" true
for numerics in $NUMERICS; do
    [ "$numerics" = bf16 ] || for terms in "$MAM" "$RCM"; do ours train-cam "$numerics" "$terms"; done
done
peer train-cam f32 "$MAM" false
for numerics in $NUMERICS; do
    [ "$numerics" = bf16 ] || for what in extract train-affinity train-deeplab; do ours $what "$numerics" ""; done
done
peer train-cam f32 "$RCM" false
"$PYTHON" tests/bench/gpu_table.py "$rows" | tee "$OUT/gpu.md"
echo "gpu.sh: $((SECONDS - begin)) s in all" >&2
