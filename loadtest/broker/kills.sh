#!/usr/bin/env bash
# Weir between topics, killed at random: what the topics hold at the end, and whether the journal gives the same.
set -euo pipefail

usage() {
  cat <<'TEXT'
Weir between topics of the reference broker, killed by SIGKILL at random moments while events come: does each payment and transfer have
its one decision at the end, and does the journal that is left give the same decisions and the same state?

Usage: kills.sh [--events N] [--kills K] [...]

  --events N        events sent to the topic [default: 2000000]
  --rate R          a second [default: 12000]
  --kills K         of Weir [default: 50]; one in five while it starts, the others once it serves
  --seed S          other moments, other events [default: 1]
  --layer FILE      a topology layer over that of the demo, with its model; may be given several times
  --weir PATH       [default: target/release/weir], built with --features kafka
  --loadtest PATH   [default: target/release/weir-loadtest], built with --features kafka
  --keep            leave the data directory, the logs and what was compared where they are

The broker is started by broker.sh, on a free port and new data. What is left of each run besides the topics is in a folder that the first
line names. Needs curl.

Exit codes: 0 nothing is wrong; 1 something is; 2 not done.

Examples:
  cargo build --release --features kafka && cargo build --release -p weir-loadtest --features kafka
  loadtest/broker/kills.sh
  loadtest/broker/kills.sh --events 100000 --kills 5 --seed 7 --keep
TEXT
}

fail() {
  echo "kills.sh: $*" >&2
  exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
events=2000000 rate=12000 kills=50 seed=1 keep='' layers=()
weir=$root/target/release/weir loadtest=$root/target/release/weir-loadtest
while [ $# -gt 0 ]; do
  case $1 in
    --events | --rate | --kills | --seed | --layer | --weir | --loadtest)
      [ $# -ge 2 ] || fail "$1 has no value"
      case $1 in
        --layer) layers+=(-t "$(realpath "$2")") ;;
        --weir) weir=$(realpath "$2") ;;
        --loadtest) loadtest=$(realpath "$2") ;;
        *)
          [[ $2 =~ ^[0-9]{1,9}$ ]] || fail "$1 is '$2', expected a number"
          declare "${1#--}=$2"
          ;;
      esac
      shift 2
      ;;
    --keep) keep=1; shift ;;
    -h | --help) usage; exit ;;
    *) fail "found '$1' (--help)" ;;
  esac
done
[ "$events" -ge 1 ] && [ "$rate" -ge 1 ] || fail "--events is $events and --rate $rate, expected 1 or more"
for program in "$weir" "$loadtest"; do
  [ -x "$program" ] || fail "$program: found no program (--help says how they are built)"
done
command -v curl >/dev/null || fail "found no curl"

# Inside of `broker.sh run`, which started a broker and will wipe it.
if [ -z "${KILLS_INSIDE:-}" ]; then
  work=$(mktemp -d "${TMPDIR:-/tmp}/weir-kills.XXXXXX")
  echo "$work" >&2
  code=0
  KILLS_INSIDE=$work "$here/broker.sh" run --partitions 4 "$0" --events "$events" --rate "$rate" --kills "$kills" --seed "$seed" \
    --weir "$weir" --loadtest "$loadtest" ${layers[@]+"${layers[@]/#-t/--layer}"} || code=$?
  [ -n "$keep" ] || rm -rf "$work"
  exit "$code"
fi

cd "$KILLS_INSIDE"
cat >kafka.toml <<TEXT
[model]
file = "built-in:company"
[kafka]
brokers = "$KAFKA_BOOTSTRAP"
[source.stream]
topic = "weir.events"
TEXT
topology=(-t "$root/src/runtime/demo/demo.toml" -t kafka.toml ${layers[@]+"${layers[@]}"})
pid='' producing=''
trap '[ -z "$pid$producing" ] || kill -9 $pid $producing 2>/dev/null || true' EXIT
RANDOM=$seed

now_ms() { echo $(($(date +%s%N) / 1000000)); }
say() { printf '%s %s\n' "$(date +%T)" "$*"; }
# A number below $1, into `chance`: no subshell, which would have a chance of its own.
draw() { chance=$(((RANDOM * 32768 + RANDOM) % $1)); }
rest_ms() { sleep "$(($1 / 1000)).$(printf '%03d' $(($1 % 1000)))"; }

# Starts Weir; where it listens is the first line of weir.out.
start() {
  : >weir.out
  "$weir" run "${topology[@]}" --data data --listen 127.0.0.1:0 >weir.out 2>>weir.log &
  pid=$!
  began=$(now_ms)
}

# Waits until it listens, at most $1 ms; 1 where it does not yet. It must not end by itself.
serves() {
  local until=$(($(now_ms) + $1))
  until grep -q '^listening on' weir.out; do
    kill -0 "$pid" 2>/dev/null || { tail -n 5 weir.log >&2; fail "Weir has ended by itself"; }
    [ "$(now_ms)" -lt "$until" ] || return 1
    sleep 0.01
  done
  url=$(sed -n 's/^listening on \([^,]*\),.*/\1/p' weir.out)
}

# Kills it; the next one needs the lock that goes with the process.
end_at_once() {
  kill -0 "$pid" 2>/dev/null || { tail -n 5 weir.log >&2; fail "Weir has ended by itself"; }
  kill -9 "$pid"
  wait "$pid" 2>/dev/null || true
}

metric() { curl -s "$url/metrics" | awk -v name="$1" 'index($1, name) == 1 { sum += $2; found = 1 } END { print found ? sum : "?" }'; }

say "$events events at $rate/s, $kills kills, seed $seed, broker $KAFKA_BOOTSTRAP"
start
serves 120000 || fail "Weir does not serve after 120 s, see weir.log"
first=$(now_ms)
"$loadtest" kafka produce --brokers "$KAFKA_BOOTSTRAP" --rate "$rate" --events "$events" --seed "$seed" --json >produced.json 2>produced.log &
producing=$!
slot=$((events * 1000 / rate / (kills > 0 ? kills : 1)))
recoveries=() early=0
for ((number = 1; number <= kills; number++)); do
  draw 5
  if [ "$chance" = 0 ] && [ ${#recoveries[@]} -gt 0 ]; then
    draw $((recoveries[-1] + 1))
    serves "$chance" || true
  else
    serves 120000 || fail "Weir does not serve after 120 s, see weir.log"
    draw $((2 * slot))
    rest_ms "$chance"
  fi
  before=early
  if grep -q '^listening on' weir.out; then before=serving; else early=$((early + 1)); fi
  behind=''
  [ $before = early ] || behind=", $(metric kafka_lag_records) records unread, $(metric sink_lag_records) unsent"
  end_at_once
  say "kill $number of $kills, $(($(now_ms) - began)) ms after its start, $before$behind"
  start
  if [ $before = serving ]; then
    serves 120000 || fail "Weir does not serve after 120 s, see weir.log"
    recoveries+=($(($(now_ms) - began)))
  fi
done
serves 120000 || fail "Weir does not serve after 120 s, see weir.log"
say "the last kill was $(($(now_ms) - first)) ms after the first event"
wait "$producing" || fail "not every event was acknowledged: $(tail -n 3 produced.log produced.json)"
producing=''
say "all events are sent; waiting until all of them are read and all outputs sent"
quiet=0 until=$(($(now_ms) + 600000))
while [ $quiet -lt 3 ]; do
  sleep 1
  [ "$(now_ms)" -lt $until ] || fail "Weir is not caught up after 10 minutes: $(metric kafka_lag_records) unread, $(metric sink_lag_records) unsent"
  if [ "$(metric kafka_lag_records)" = 0 ] && [ "$(metric sink_lag_records)" -lt 100 ]; then quiet=$((quiet + 1)); else quiet=0; fi
done
say "caught up $(($(now_ms) - first)) ms after the first event"
kill "$pid"
wait "$pid" || fail "Weir has not ended in order, see weir.log"
pid=''
state=$(sed -n 's/.* ended .*state=\([0-9a-f]*\).*/\1/p' weir.log | tail -n 1)
records=$(sed -n 's/.* ended .*records=\([0-9]*\).*/\1/p' weir.log | tail -n 1)
say "Weir has ended in order: $records records, state $state"

code=0
"$weir" tail decisions --data data >decisions.jsonl
"$loadtest" kafka reconcile --brokers "$KAFKA_BOOTSTRAP" --replay decisions.jsonl --wait 5s || code=$?
[ $code -le 1 ] || fail "the topics could not be read"
say "stepping the journal anew"
"$weir" replay data --json >replay.json
"$weir" journal verify data --json >verified.json || { [ $? -eq 1 ] || fail "the journal is damaged, see verified.json"; }
field() { sed -n "s/.*\"$1\": *\"\([0-9a-f]*\)\".*/\1/p" "$2" | head -n 1; }
# equal NAME ONE OTHER: says whether they are, and notes where they are not.
equal() {
  local word=equal
  [ -n "$2" ] && [ "$2" = "$3" ] || { word="different: $3"; code=1; }
  printf '%-36s%s, %s\n' "$1" "$2" "$word"
}
mapfile -t sorted < <(printf '%s\n' ${recoveries[@]+"${recoveries[@]}"} | sort -n)
count=${#recoveries[@]}
echo
echo "kills                               $kills ($early while it started)"
[ "$count" -eq 0 ] ||
  echo "until it served again               median $((sorted[count / 2])) ms, longest $((sorted[count - 1])) ms, of $count"
equal "state at the end, of the replay" "$state" "$(field state_hash replay.json)"
equal "digest of outputs, of the replay" "$(field digest verified.json)" "$(field digest replay.json)"
[ $code -eq 0 ] && echo "nothing is wrong" || echo "something is wrong"
exit $code
