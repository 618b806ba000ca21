#!/bin/sh
# Learns the demo's model anew: company.safetensors with its card, beside this script. Takes two minutes, and 2 GB below TMPDIR.
#
#     cargo build --release --features learn && src/runtime/demo/company.sh target/release/weir
#
# Eight parts, each of another company of half a million people: a million events from another third hour of the day on, an hour or, at night,
# nearly four. A day lies between them, so that no label of one reaches the next: as little is known when a demo begins. Ids say their part.
set -eu
weir=${1:?the program, built with --features learn}
here=$(dirname "$0")
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for part in 0 1 2 3 4 5 6 7; do
    start=$(printf '2025-03-%02dT%02d:00:00Z' $((part + 1)) $((3 * part)))
    "$weir" simulate --world company --people 500000 --rate 13000000 --events 1000000 --seed $((part + 100)) --start "$start" \
        --out "$parts/events" --labels "$parts/labels"
    for kind in events labels; do
        sed -E "s/\"(id|target)\":\"/&$part-/g" "$parts/$kind" > "$parts/$part-$kind.jsonl"
        rm "$parts/$kind"
    done
done
"$weir" train "$parts"/*-events.jsonl "$parts"/*-labels.jsonl -t "$here/demo.toml" --from 2025-03-01 --until 2025-03-10 --label-delay 1d \
    --out "$here/company.safetensors"
