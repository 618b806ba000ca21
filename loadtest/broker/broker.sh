#!/usr/bin/env bash
# The reference broker: Apache Kafka, one node, at the version of pom.xml.
set -euo pipefail

usage() {
  cat <<'TEXT'
The reference broker: Apache Kafka itself, one node (KRaft), at the version pinned in pom.xml.

Usage: broker.sh VERB [--port N] [--dir DIR] [...]

  start                  start it, on the data that is there or on new data; returns when it serves
  stop                   end it in order (SIGTERM)
  kill                   end it at once (SIGKILL), as a crash would
  restart                stop and start
  status                 say whether it runs, and where; exit code 3 where it does not
  topics [NAME[:N] ...]  make topics that are not there, with N partitions; without names those of Weir
  tool CLASS [ARG ...]   run a tool of org.apache.kafka.tools against it
  wipe                   end it at once and remove its data
  run CMD [ARG ...]      start one on a free port and an empty folder, run CMD with KAFKA_BOOTSTRAP set, end it, remove the folder;
                         the exit code is that of CMD

Options, before anything else that belongs to the verb:
  --port N        where clients connect, on 127.0.0.1 [default: 29092]
  --dir DIR       data, settings and log [default: CACHE/broker-PORT]
  --partitions N  topics: for names without :N [default: 4]; run: make the topics of Weir first, with N partitions
  --set KEY=VALUE start, restart, run: a setting of the broker; may be given several times

Environment:
  WEIR_KAFKA_CACHE  CACHE, where the jars are kept (some 45 MB) [default: ${XDG_CACHE_HOME:-$HOME/.cache}/weir-kafka]
  WEIR_KAFKA_JAVA   options of the JVM [default: -Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1]

Acknowledged records survive a kill, since they are in the page cache, but not a loss of power: Kafka's own defaults about fsync stand.
A start soon after a kill takes some 10 s: the node waits for the session of the broker that was killed to expire
(--set broker.session.timeout.ms=3000 shortens it; a busy machine then loses the session sooner, too).

Examples:
  broker.sh start && broker.sh topics && export KAFKA_BOOTSTRAP=127.0.0.1:29092
  broker.sh kill; sleep 120; broker.sh start
  broker.sh start --port 29192 --dir /mnt/disk/kafka
  broker.sh topics --partitions 2 weir.events weir.decisions:8
  broker.sh tool TopicCommand --describe
  broker.sh tool consumer.group.ConsumerGroupCommand --describe --all-groups
  broker.sh run --partitions 4 cargo test --features kafka --test kafka
TEXT
}

fail() {
  echo "broker.sh: $*" >&2
  exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${WEIR_KAFKA_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set, set WEIR_KAFKA_CACHE}/.cache}/weir-kafka}
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
read -r -a jvm <<<"${WEIR_KAFKA_JAVA:--Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1}"
topics_of_weir=(weir.events weir.decisions weir.decisions.internal weir.alerts weir.rejected)

verb=${1:-}
[ $# -gt 0 ] && shift
port=29092 port_given='' dir='' partitions='' settings=()
while [ $# -gt 0 ]; do
  case $1 in
    --port | --dir | --partitions | --set)
      [ $# -ge 2 ] || fail "$1 has no value"
      case $1 in
        --port) port=$2 port_given=1 ;;
        --dir) dir=$2 ;;
        --partitions) partitions=$2 ;;
        --set)
          [[ $2 == *?=* ]] || fail "--set is '$2', expected KEY=VALUE"
          settings+=("$2")
          ;;
      esac
      shift 2
      ;;
    -h | --help) verb=--help; break ;;
    --) shift; break ;;
    *) break ;;
  esac
done
[[ $port =~ ^[0-9]+$ ]] && [ "$port" -ge 1 ] && [ "$port" -le 65535 ] || fail "--port is '$port', expected 1 to 65535"
[ -z "$partitions" ] || { [[ $partitions =~ ^[0-9]+$ ]] && [ "$partitions" -ge 1 ]; } || fail "--partitions is '$partitions', expected 1 or more"
dir=${dir:-$cache/broker-$port}
[[ $dir == /* ]] || dir=$PWD/$dir

need_java() {
  local found
  command -v "$java" >/dev/null || fail "found no java, expected 17 or newer (Debian: apt-get install openjdk-17-jre-headless; or set JAVA_HOME)"
  found=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
  [ "${found:-0}" -ge 17 ] || fail "found java ${found:-of unknown version}, expected 17 or newer"
}

# Sets `libs` to a folder with exactly what pom.xml names; a changed pom.xml has another folder.
need_jars() {
  local tag fetched
  tag=$(cksum <"$here/pom.xml" | cut -d ' ' -f 1)
  libs=$cache/libs-$tag
  [ -d "$libs" ] && return
  command -v mvn >/dev/null || fail "found no mvn to fetch the broker with (Debian: apt-get install maven)"
  mkdir -p "$cache"
  fetched=$(mktemp -d "$cache/fetching.XXXXXX")
  echo "fetching Apache Kafka from Maven Central into $libs" >&2
  mvn -q -B -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$fetched" -DincludeScope=runtime >&2 ||
    { rm -rf "$fetched"; fail "mvn could not fetch what $here/pom.xml names"; }
  # Whoever fetched beside us and was first has the same jars.
  mv -T "$fetched" "$libs" 2>/dev/null || rm -rf "$fetched"
  [ -d "$libs" ] || fail "$libs: cannot be written"
}

is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port below those that the system gives to outgoing connections, so that it does not vanish between the look and the use.
free_port() {
  local candidate
  for _ in $(seq 1 200); do
    candidate=$((20000 + (RANDOM * 32768 + RANDOM) % 10000))
    is_open "$candidate" || { echo "$candidate"; return; }
  done
  fail "found no free port between 20000 and 29999"
}

# The process, where the one whose id was noted is still this broker and no stranger with the same id.
running_pid() {
  local pid command
  pid=$(cat "$dir/pid" 2>/dev/null) || return 1
  if [ -r "/proc/$pid/cmdline" ]; then
    command=$(tr '\0' ' ' <"/proc/$pid/cmdline")
  else
    command=$(ps -p "$pid" -o args= 2>/dev/null) || return 1
  fi
  [[ $command == *"kafka.Kafka $dir/server.properties"* ]] && echo "$pid"
}

served_port() { sed -n 's/^advertised.listeners=.*://p' "$dir/server.properties" 2>/dev/null; }

write_settings() {
  local controller
  controller=$(free_port)
  cat >"$dir/server.properties" <<TEXT
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$dir/data
auto.create.topics.enable=false
default.replication.factor=1
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
TEXT
  # Of a key that is there twice the later counts.
  [ ${#settings[@]} -eq 0 ] || printf '%s\n' "${settings[@]}" >>"$dir/server.properties"
}

start() {
  local pid from deadline
  need_java
  need_jars
  if pid=$(running_pid); then
    [ "$(served_port)" = "$port" ] || fail "$dir: its broker runs on port $(served_port), process $pid"
    echo "runs already: 127.0.0.1:$port, process $pid, $dir"
    return
  fi
  is_open "$port" && fail "port $port is taken, give another with --port"
  mkdir -p "$dir"
  # The way to the controller may change from start to start; the data bears no address.
  write_settings
  if [ ! -e "$dir/data/meta.properties" ]; then
    local id
    id=$("$java" -cp "$libs/*" kafka.tools.StorageTool random-uuid 2>/dev/null)
    "$java" -cp "$libs/*" kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" >>"$dir/broker.log" 2>&1 ||
      { tail -n 5 "$dir/broker.log" >&2; fail "$dir: cannot be formatted"; }
  fi
  from=$(($(wc -c <"$dir/broker.log" 2>/dev/null || echo 0) + 1))
  # A daemon of its own: no terminal, no signals of the caller's group, and no open files of the caller (a lock that is held by
  # `flock FILE broker.sh start` would else be held until the broker ends).
  (
    for descriptor in /proc/self/fd/*; do
      descriptor=${descriptor##*/}
      [ "$descriptor" -gt 2 ] && eval "exec $descriptor>&-"
    done 2>/dev/null
    exec setsid "$java" "${jvm[@]}" -Dorg.slf4j.simpleLogger.showDateTime=true "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS" \
      -cp "$libs/*" kafka.Kafka "$dir/server.properties" </dev/null >>"$dir/broker.log" 2>&1
  ) &
  pid=$!
  echo "$pid" >"$dir/pid"
  deadline=$((SECONDS + 120))
  until tail -c "+$from" "$dir/broker.log" | grep -q 'Kafka Server started'; do
    if ! kill -0 "$pid" 2>/dev/null; then
      grep -E 'ERROR|FATAL|Exception|Error' "$dir/broker.log" | tail -n 5 >&2
      fail "the broker has ended while it started, see $dir/broker.log"
    fi
    [ "$SECONDS" -lt "$deadline" ] || fail "the broker does not serve after 120 s, see $dir/broker.log"
    sleep 0.05
  done
  echo "serves: 127.0.0.1:$port, process $pid, $dir"
}

# end SIGNAL SECONDS
end() {
  local pid deadline
  if ! pid=$(running_pid); then
    echo "does not run: $dir"
    return
  fi
  kill "-$1" "$pid" 2>/dev/null || true
  deadline=$((SECONDS + $2))
  while running_pid >/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || fail "process $pid has not ended $2 s after SIG$1"
    sleep 0.05
  done
  rm -f "$dir/pid"
  echo "ended: process $pid, $dir"
}

tool() {
  need_java
  need_jars
  local class=$1
  shift
  "$java" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$libs/*" \
    "org.apache.kafka.tools.$class" --bootstrap-server "127.0.0.1:$port" "$@"
}

topics() {
  local topic
  [ $# -gt 0 ] || set -- "${topics_of_weir[@]}"
  for topic in "$@"; do
    local count=${partitions:-4}
    if [[ $topic == *:* ]]; then
      count=${topic##*:}
      topic=${topic%:*}
    fi
    # Its warning about dots and underscores is not for names that have only dots.
    tool TopicCommand --create --if-not-exists --topic "$topic" --partitions "$count" --replication-factor 1 | sed '/^WARNING: Due to/d'
  done
}

wipe() {
  [ -e "$dir/server.properties" ] || [ ! -e "$dir" ] || fail "$dir: found no server.properties, expected the folder of a broker"
  end KILL 10
  rm -rf "$dir"
}

run() {
  local code=0
  [ -n "$port_given" ] || port=$(free_port)
  dir=$(mktemp -d "${TMPDIR:-/tmp}/weir-kafka.XXXXXX")
  trap 'wipe >/dev/null' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  start >&2
  [ -z "$partitions" ] || topics >&2
  KAFKA_BOOTSTRAP=127.0.0.1:$port "$@" || code=$?
  exit "$code"
}

case $verb in
  start) start ;;
  stop) end TERM 60 ;;
  kill) end KILL 10 ;;
  restart)
    end TERM 60
    start
    ;;
  status)
    if pid=$(running_pid); then
      echo "runs: 127.0.0.1:$(served_port), process $pid, $dir"
    else
      echo "does not run: $dir"
      exit 3
    fi
    ;;
  topics) topics "$@" ;;
  tool)
    [ $# -gt 0 ] || fail "tool has no class, expected one such as TopicCommand"
    tool "$@"
    ;;
  wipe) wipe ;;
  run)
    [ $# -gt 0 ] || fail "run has no command"
    run "$@"
    ;;
  --help | -h | help) usage ;;
  '')
    usage >&2
    exit 2
    ;;
  *) fail "verb is '$verb', expected start, stop, kill, restart, status, topics, tool, wipe or run (--help)" ;;
esac
