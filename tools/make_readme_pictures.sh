#!/usr/bin/env bash
# Draws the pictures of the README with the built-in model, seed 1 everywhere: nothing is picked.
set -euo pipefail
cd "$(dirname "$0")/.."
flux2=${FLUX2:-build/release/bin/flux2}
out=docs/pictures
mkdir -p "$out"

draw() {  # name, then arguments
  local name=$1
  shift
  "$flux2" generate --seed 1 --compute f32 --progress none -q -o "$out/$name.png" "$@"
}

draw circle   -p "a red circle on a white background"
draw star     -p "a small yellow star in the top left corner on a navy background"
draw relation -p "a blue square above a green circle on a beige background"
draw hearts   -p "three pink hearts in a row on a black background"
draw ring     -p "a large purple ring on a mint background"
draw edited   -p "make the circle blue" --image "$out/circle.png"
draw added    -p "add a green star on the right" --image "$out/circle.png"
# The mask is white where the circle is: the part that is painted.
draw painted  -p "make the circle blue" --inpaint "$out/circle.png" --mask "$out/mask.png" \
              --strength 1 --keep-unmasked
draw outpainted -p "a large purple ring on a mint background" --inpaint "$out/ring.png" \
              --outpaint 32,32,32,32 --keep-unmasked
