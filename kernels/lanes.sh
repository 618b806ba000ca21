#!/usr/bin/env bash
# Runs the kernels under the emulator: plain, under the sanitizers for addresses and undefined behaviour, and under the one for races. Then
# plants faults in copies of them, one at a time, and expects each lane that a fault is planted for to find it. Needs g++ 12 or newer, for
# x86-64.
set -euo pipefail
cd "$(dirname "$0")"
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT

# The sanitizer for races wants memory where it expects it, which some systems place at random.
steady=()
if setarch "$(uname -m)" -R true 2>/dev/null; then steady=(setarch "$(uname -m)" -R); fi

words="-std=c++17 -Wall -Wextra -Werror -Wno-unknown-pragmas -ffp-contract=off"
declare -A flags=(
  [plain]="-O2"
  [addresses]="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
  [races]="-O1 -g -fsanitize=thread"
)
# The scheduler and the loops beside are no part of what is looked at for races.
declare -A around=([plain]="-O2" [addresses]="${flags[addresses]}" [races]="-O1 -g -DRACES")

# lane, folder of the kernels, where to: the kernels' part of a lane
kernels() {
  local file
  for file in forward resident; do
    # shellcheck disable=SC2086
    g++ $words ${flags[$1]} -include emulator/words.h -x c++ -c "$2/$file.cu" -o "$3/$1.$file.o"
  done
  # shellcheck disable=SC2086
  g++ ${flags[$1]} "$3/$1.forward.o" "$3/$1.resident.o" "$built/$1.run.o" "$built/$1.lanes.o" -o "$3/$1"
}

for lane in plain addresses races; do
  # shellcheck disable=SC2086
  g++ $words ${around[$lane]} -c emulator/run.cpp -o "$built/$lane.run.o"
  # shellcheck disable=SC2086
  g++ $words ${around[$lane]} -include emulator/words.h -c lanes.cpp -o "$built/$lane.lanes.o"
  kernels "$lane" . "$built"
  printf '%-10s ' "$lane"
  TSAN_OPTIONS=halt_on_error=1 "${steady[@]}" "$built/$lane"
done

missed=0
# name, file, what stands there, what is planted, then lanes and what each must say
plant() {
  local name=$1 file=$2 from=$3 to=$4 copy="$built/planted" lane said
  shift 4
  rm -rf "$copy"
  mkdir "$copy"
  cp ./*.cu ./*.cuh "$copy"
  FROM=$from TO=$to python3 - "$copy/$file" <<'PYTHON'
import os, sys
path = sys.argv[1]
text = open(path).read()
assert text.count(os.environ["FROM"]) == 1, f"{path}: found {text.count(os.environ['FROM'])} of {os.environ['FROM']!r}, expected one"
open(path, "w").write(text.replace(os.environ["FROM"], os.environ["TO"]))
PYTHON
  while [ $# -gt 0 ]; do
    lane=$1 said=$2
    shift 2
    kernels "$lane" "$copy" "$copy"
    case $lane in
      plain) caught "$name" "$lane" "$said" "$copy/$lane" ;;
      *) caught "$name" "$lane" "$said" "$copy/$lane" unjudged ;;
    esac
  done
}

# name, lane, what it must say, command
caught() {
  local name=$1 lane=$2 said=$3 status=0
  shift 3
  TSAN_OPTIONS=halt_on_error=1 "${steady[@]}" "$@" >"$built/told" 2>&1 || status=$?
  if [ $status -ne 0 ] && grep -q "$said" "$built/told"; then
    printf '%-10s found: %s\n' "$lane" "$name"
  else
    printf '%-10s MISSED: %s (status %s, expected to read "%s")\n' "$lane" "$name" "$status" "$said"
    tail -5 "$built/told"
    missed=$((missed + 1))
  fi
}

wrong="is not the plain one"
plant "a barrier missing behind the sums" forward.cu \
  $'= sums.w;\n        }\n    }\n    __syncwarp();' $'= sums.w;\n        }\n    }' \
  plain "$wrong" races "data race"
plant "a barrier missing before codes are written anew" forward.cu \
  $'hidden.y + step.w);\n        }\n        __syncwarp();' $'hidden.y + step.w);\n        }' \
  plain "$wrong" races "data race"
plant "a barrier that a block's idle warps never reach" forward.cu \
  'Scratch& scratch = shared[warp_in_block()];' 'Scratch& scratch = shared[warp_in_block()]; __syncthreads();' \
  plain "a barrier of the block that"
plant "a mask without the last lane" common.cuh 'ALL_LANES = 0xffffffffu' 'ALL_LANES = 0x7fffffffu' plain "mask"
plant "the next row" forward.cu 'rows + place * (STATE / 2)' 'rows + (place + 1) * (STATE / 2)' plain "$wrong" addresses "AddressSanitizer"
plant "one resident row too far" forward.cu 'resident + place *' 'resident + (place + 1) *' plain "$wrong" addresses "AddressSanitizer"
plant "one place too many" common.cuh 'place < count' 'place <= count' addresses "AddressSanitizer"
plant "another warp's shared memory" forward.cu 'shared[warp_in_block()]' 'shared[warp_in_block() + 1]' addresses "AddressSanitizer"
plant "all warps at one shared memory" forward.cu 'shared[warp_in_block()]' 'shared[0]' races "data race"
plant "sixteen bytes read at a multiple of eight" forward.cu \
  'at<Edge>(staged, header.edges_at)' 'at<Edge>(staged, header.edges_at + 8)' addresses "misaligned address"
plant "every edge with the weights of the oldest" forward.cu 'model.time[slot][scratch.buckets[edge]]' \
  'model.time[slot][scratch.buckets[end - 1]]' plain "$wrong"
plant "a product rounded before it is added" forward.cu 'out = fmaf(values.z, weights.z, out);' 'out = values.z * weights.z + out;' plain "$wrong"
plant "a sum that is a fused one" common.cuh 'const float variance = square / count - mean * mean;' \
  'const float variance = fmaf(-mean, mean, square / count);' plain "$wrong"
plant "a logarithm of the bits of no number" common.cuh 'sum == sum ? bits_of(sum) : 0x7fc00000u' 'bits_of(sum)' plain "$wrong"
caught "two rows for one slot" races "data race" "$built/races" slot-twice
caught "two rows for one slot" plain "rows that stayed are not the staged ones" "$built/plain" slot-twice
[ "$missed" -eq 0 ] || { echo "$missed faults missed"; exit 1; }
