#!/bin/sh
# Trains the demonstration's model, company.safetensors, from the simulated company itself: eight companies of other people than the
# demonstration's, each in its first hours at another time of day, as a demonstration is. What they really were is told behind each.
#
#   cargo build --release --features learn && src/runtime/demo/train.sh
#
# WEIR names another program, OUT another file to write; it takes a few minutes, 5 GiB of memory and 3 GiB of disk.
set -eu
weir=${WEIR:-target/release/weir}
out=${OUT:-src/runtime/demo/company.safetensors}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for part in 0 1 2 3 4 5 6 7; do
  start=$(printf '2025-03-0%dT%02d:00:00Z' $((part + 1)) $((part * 3)))
  "$weir" simulate --world company --people 500000 --rate 13000000 --events 1000000 --seed $((part + 100)) --start "$start" \
    --out "$dir/$part.jsonl" --labels "$dir/$part-labels.jsonl"
done
"$weir" train "$dir"/*.jsonl -t src/runtime/demo/demo.toml --from 2025-03-01 --until 2025-03-10 --label-delay 1d --out "$out"
