#!/usr/bin/env bash
# Everything that is asked of a GPU, in one go of under eight minutes; tables on stdout.
# Smaller for a trial on a CPU:
# MODEL=tiny FRAMES=2 REPEATS=1 SIZES=64x36 TILES=48 CLIP=64x36 LARGE=160x90 benchmarks/gpu.sh
set -euo pipefail
MODEL=${MODEL:-srgan} FRAMES=${FRAMES:-96} REPEATS=${REPEATS:-5} CLIP=${CLIP:-854x480}
SIZES=${SIZES:-320x180 854x480 1920x1080} TILES=${TILES:-256 512} LARGE=${LARGE:-1920x1080}
VSR=${VSR:-vsr} PYTHON=${PYTHON:-python}
sizes=() tiles=()
for size in $SIZES; do sizes+=(--size "$size"); done
for tile in $TILES; do tiles+=(--tile "$tile"); done

echo "## what is tested on a GPU alone"
$PYTHON -m pytest -q tests/infer/test_copies.py
echo "## the network alone, and its share of a matrix product"
$VSR bench model "$MODEL" "${sizes[@]}" --repeats "$REPEATS"
$VSR bench model "$MODEL" --size "$CLIP" --batch 8 --repeats "$REPEATS"
echo "## the same in tiles"
$VSR bench model "$MODEL" --size "$LARGE" "${tiles[@]}" --repeats "$REPEATS"
echo "## the pipeline; the row 'encoder off' is without x264"
$VSR bench pipeline moving --model "$MODEL" --size "$CLIP" --frames "$FRAMES" --preset ultrafast --repeats "$REPEATS"
echo "## large frames without the encoder, and the same within 4 GB"
for budget in "" --vram=4GB; do
  $VSR bench pipeline moving --model "$MODEL" --size "$LARGE" --frames $((FRAMES / 4 + 1)) \
    --only enlarge --only "encoder off" --repeats "$REPEATS" $budget
done
echo "## the usual way"
$VSR bench peers --model "$MODEL" --size "$CLIP" --frames "$FRAMES" --preset ultrafast --repeats 3
