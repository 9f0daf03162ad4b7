#!/usr/bin/env bash
# Measures one node against the numbers that the design wants it to reach (DESIGN 15) and prints a table.
#
#   scripts/bench.sh [-n PASSPORTS] [-s PASSPORTS] [-d SECONDS] [-r ROUNDS] [-k DIR | -u DIR]
#
#   -n  passports in the large registry (default 1000000; the design's numbers are for 10000000)
#   -s  passports in the small registry that it is compared with (default 100000)
#   -d  length of each measurement (default 10)
#   -r  rounds (default 5); a figure is the median of them
#   -k  keep everything in DIR, to be used again
#   -u  use DIR, which an earlier run kept: the large registry is not filled again
#
# Every figure stands beside its reference, measured in the same run by turns: node, reference, node, …
# Only answers with a status of 2xx are counted; a single error fails the run. The node runs as shipped, on
# loopback, and shares the machine with the load. Passports are made by their own signed operations, over
# HTTP. What this script starts, it ends; what it wrote, it removes, unless -k.
set -euo pipefail

n=1000000 small=100000 duration=10 rounds=5 keep='' reuse=''
while getopts 'n:s:d:r:k:u:h' option; do
  case $option in
    n) n=$OPTARG ;;
    s) small=$OPTARG ;;
    d) duration=${OPTARG%s} ;;
    r) rounds=$OPTARG ;;
    k) keep=$OPTARG ;;
    u) reuse=$OPTARG ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 2 ;;
  esac
done

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
base=${reuse:-${keep:-$(mktemp -d "${TMPDIR:-/tmp}/dcann-bench.XXXXXX")}}
mkdir -p "$base"
base=$(cd "$base" && pwd)
bin=$base/bin
http='' echo_http='' # host:port; free ones are found at the first start
node_pid='' echo_pid=''
probe=$((duration < 3 ? duration : 3)) # seconds to find the best number of connections

say() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }
die() { say "$*"; exit 1; }

finish() {
  [ -z "$echo_pid" ] || { kill "$echo_pid" 2>/dev/null && wait "$echo_pid" 2>/dev/null; } || true
  [ -z "$node_pid" ] || { kill "$node_pid" 2>/dev/null && wait "$node_pid" 2>/dev/null; } || true
  [ -n "$keep$reuse" ] || rm -rf "$base"
}
trap finish EXIT
trap 'exit 130' INT TERM

# --- small things ---

median() { sort -g | awk '{v[NR]=$1} END {print NR%2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.3f", b ? a/b : 0}'; }
whole() { awk -v a="$1" 'BEGIN {printf "%.0f", a}'; }
# field NAME: a number of a report of dcann bench -o json
field() { sed -n "s/^ *\"$1\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" | head -n 1; }

bench() { bench_at "$http" "$@"; }
bench_at() { "$bin/dcann" --registry "http://$1" -o json bench "${@:2}"; }

# errorless REPORT: fails the run if one request was not answered with 2xx
errorless() {
  tr -d ' \n' <"$1" | grep -q '"errors":{}' || die "not every answer was a success: $(cat "$1")"
}

# --- node and reference ---

start_node() {
  rm -f "$base/ready.json"
  "$bin/dcann" serve --dev --country xz --data "$1" --http "${http:-127.0.0.1:0}" --ready-file "$base/ready.json" >"$base/node.log" 2>&1 &
  node_pid=$!
}

await_node() {
  for _ in $(seq 600); do
    if [ -s "$base/ready.json" ]; then
      http=$(sed -n 's/.*"http":"http:\/\/\([^"]*\)".*/\1/p' "$base/ready.json")
      return
    fi
    kill -0 "$node_pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$base/node.log" >&2
  die 'the node does not start'
}

stop_node() { # [signal]
  kill "-${1:-TERM}" "$node_pid"
  wait "$node_pid" 2>/dev/null || true
  node_pid=''
}

processor_ticks() { awk '{print $14 + $15}' "/proc/$node_pid/stat"; }

# settle waits until the node has nothing left to do from before, such as compaction; at most 10 minutes.
settle() {
  local before after quiet=0
  for _ in $(seq 300); do
    before=$(processor_ticks); sleep 2; after=$(processor_ticks)
    if [ $((after - before)) -lt 10 ]; then quiet=$((quiet + 1)); else quiet=0; fi
    [ $quiet -lt 3 ] || return 0
  done
}

start_echo() {
  : >"$base/echo.log"
  "$bin/echo" -node "http://$http" -id "$(head -n 1 "$1")" -created "$base/created.http" >"$base/echo.log" 2>&1 &
  echo_pid=$!
  for _ in $(seq 100); do
    echo_http=$(sed -n 's/^http:\/\///p' "$base/echo.log")
    if [ -n "$echo_http" ]; then return; fi
    sleep 0.1
  done
  die "the reference does not start: $(cat "$base/echo.log")"
}

stop_echo() { kill "$echo_pid"; wait "$echo_pid" 2>/dev/null || true; echo_pid=''; }

# wrk_run ADDRESS IDS DIST CONNECTIONS SECONDS: requests a second
wrk_run() {
  local answered seconds bad
  read -r _ answered seconds bad _ < <(wrk -t1 -c"$4" -d"$5s" -s "$repository/scripts/bench/resolve.lua" "http://$1" -- "$2" "$3" | grep ^RESULT)
  [ "$bad" = 0 ] || die "$bad requests to $1 were not answered with a success"
  awk -v a="$answered" -v s="$seconds" 'BEGIN {print a/s}'
}

# --- measurements; each prints or stores medians ---

rows=()
row() { # what, reach, measured, detail
  rows+=("| $1 | $2 | $3 | $4 |")
  say "$1: $3 ($4)"
}

# against NAME DIST IDS: the node against its reference by turns; sets node_rate and echo_rate
against() {
  local dist=$1 ids=$2 nodes=() echos=() i
  wrk_run "$http" "$ids" "$dist" 64 "$probe" >/dev/null
  wrk_run "$echo_http" "$ids" "$dist" 64 1 >/dev/null
  for i in $(seq "$rounds"); do
    nodes+=("$(wrk_run "$http" "$ids" "$dist" 64 "$duration")")
    echos+=("$(wrk_run "$echo_http" "$ids" "$dist" 64 "$duration")")
    say "  $dist round $i: node $(whole "${nodes[-1]}")/s, reference $(whole "${echos[-1]}")/s"
  done
  node_rate=$(printf '%s\n' "${nodes[@]}" | median)
  echo_rate=$(printf '%s\n' "${echos[@]}" | median)
}

# best_connections DIST IDS: at which number of connections single requests are fastest
best_connections() {
  local c rate best=0 at_best=64
  for c in 16 64 256; do
    rate=$(wrk_run "$http" "$2" "$1" "$c" "$probe")
    if awk -v a="$rate" -v b="$best" 'BEGIN {exit !(a > b)}'; then best=$rate at_best=$c; fi
  done
  echo "$at_best"
}

# batches DIST IDS: sets batch_rate and single_rate
batches() {
  local dist=$1 ids=$2 many=() single=() i c conns rate best=0 connections=4
  c=$(best_connections "$dist" "$ids")
  for conns in 2 4 8 16; do
    bench batch --ids "$ids" --dist "$dist" --conns $conns --duration "${probe}s" >"$base/report"
    errorless "$base/report"
    rate=$(field itemsPerSecond <"$base/report")
    if awk -v a="$rate" -v b="$best" 'BEGIN {exit !(a > b)}'; then best=$rate connections=$conns; fi
  done
  for i in $(seq "$rounds"); do
    single+=("$(wrk_run "$http" "$ids" "$dist" "$c" "$duration")")
    bench batch --ids "$ids" --dist "$dist" --conns "$connections" --duration "${duration}s" >"$base/report"
    errorless "$base/report"
    many+=("$(field itemsPerSecond <"$base/report")")
    say "  batch $dist round $i: $(whole "${many[-1]}") identifiers/s, single $(whole "${single[-1]}")/s at $c connections"
  done
  batch_rate=$(printf '%s\n' "${many[@]}" | median)
  single_rate=$(printf '%s\n' "${single[@]}" | median)
}

# write_run ADDRESS SECONDS …: operations a second; each run signs its own beforehand
write_run() {
  bench_at "$1" write --provider "$provider" --country xz --conns 64 --duration "$2s" --presign "$(($2 * 15000))" "${@:3}" >"$base/report" 2>/dev/null
  errorless "$base/report"
  field perSecond <"$base/report"
}

# writes SECONDS: sets write_rate and, with a reference running, echo_write_rate
writes() {
  local nodes=() echos=() i
  for i in $(seq "$rounds"); do
    nodes+=("$(write_run "$http" "$1")")
    [ -z "$echo_pid" ] || echos+=("$(write_run "$echo_http" "$1" --again)")
    say "  write round $i: node $(whole "${nodes[-1]}")/s${echos[0]:+, reference $(whole "${echos[-1]}")/s}"
  done
  write_rate=$(printf '%s\n' "${nodes[@]}" | median)
  [ -z "$echo_pid" ] || echo_write_rate=$(printf '%s\n' "${echos[@]}" | median)
}

# steady IDS: sets p50 and p99, in µs, of reads at a fixed 5,000 a second
steady() {
  local p50s=() p99s=() i
  bench resolve --ids "$1" --dist uniform --rate 5000 --conns 32 --duration "${probe}s" >/dev/null
  for i in $(seq "$rounds"); do
    bench resolve --ids "$1" --dist uniform --rate 5000 --conns 32 --duration "${duration}s" >"$base/report"
    errorless "$base/report"
    p50s+=("$(field p50Micros <"$base/report")") p99s+=("$(field p99Micros <"$base/report")")
  done
  p50=$(printf '%s\n' "${p50s[@]}" | median)
  p99=$(printf '%s\n' "${p99s[@]}" | median)
  say "  5,000 reads a second: median $p50 µs, p99 $p99 µs"
}

# restarts DATA IDS SIGNAL: sets first_read, milliseconds from start to the first bounded read; leaves the
# node running
restarts() {
  local began all=()
  for _ in 1 2 3; do
    # Something that is not yet flushed, as a node in use always has.
    bench write --provider "$provider" --country xz --duration "${probe}s" --conns 64 --presign 5000 >/dev/null 2>&1
    stop_node "$3"
    began=$(date +%s%N)
    start_node "$1"
    all+=("$(bench first --id "$(head -n 1 "$2")" --since "$began" --patience 300s)")
  done
  say "  after $3: ${all[*]} ms"
  first_read=$(printf '%s\n' "${all[@]}" | median)
}

# fill DATA IDS REPORT COUNT: starts the node and brings it to COUNT passports, unless an earlier run did;
# sets provider, accepted and fill_rate
fill() {
  start_node "$1"
  await_node
  if [ ! -s "$3" ] || [ "$(field passports <"$3")" != "$4" ]; then
    bench fill -n "$4" --ids "$2" --accreditation-key "$1/accreditation.pem" --accept "$((10000 < $4 ? 10000 : $4))" >"$3.new"
    mv "$3.new" "$3"
  fi
  provider=$(field provider <"$3")
  accepted=$(field accepted <"$3")
  fill_rate=$(field perSecond <"$3")
  say "filled to $4 passports at $(whole "$fill_rate") a second"
}

resident() { awk '/^VmHWM/ {print int($2 / 1024)}' "/proc/$node_pid/status"; }

# --- the run ---

command -v wrk >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends wrk >/dev/null; }
mkdir -p "$bin"
say "building"
(cd "$repository" && go build -o "$bin/dcann" ./cmd/dcann && go build -o "$bin/echo" ./scripts/bench/echo)
say "$(nproc) processors, $(awk '/MemTotal/ {printf "%.0f GB", $2/1e6}' /proc/meminfo), $(go version | cut -d' ' -f3), $("$bin/dcann" version)"

say "the small registry"
rm -rf "$base"/small*
fill "$base/small" "$base/small.ids" "$base/small.filled" "$small"
settle
steady "$base/small.ids"
small_p50=$p50 small_p99=$p99
writes 3 # not longer: it has to stay small
small_write=$write_rate
stop_node
bench store --data "$base/small" >"$base/report"
small_snapshot=$(field snapshotMillis <"$base/report")
rm -rf "$base"/small*

say "the large registry"
data=$base/large ids=$base/large.ids
fill "$data" "$ids" "$base/filled" "$n"
settle
bench write --provider "$provider" --country xz --presign 1 --sample "$base/created.http" 2>/dev/null
start_echo "$ids"

steady "$ids"
row "$n against $small passports: reads at 5,000/s" 'median ≤ 1.5 ×, p99 ≤ 3 ×' \
  "$(ratio "$p50" "$small_p50") ×, $(ratio "$p99" "$small_p99") ×" \
  "median $(whole "$p50") µs against $(whole "$small_p50") µs, p99 $(whole "$p99") µs against $(whole "$small_p99") µs"

against zipf "$ids"
row 'hot resolve' '≥ 0.90 of the echo handler' "$(ratio "$node_rate" "$echo_rate")" "$(whole "$node_rate")/s of $(whole "$echo_rate")/s"

echo 5 >"/proc/$node_pid/clear_refs"
against uniform "$ids"
memory=$(resident)
row "random resolve, uniform over $n on disk" '≥ 0.35' "$(ratio "$node_rate" "$echo_rate")" "$(whole "$node_rate")/s of $(whole "$echo_rate")/s"
row 'resident memory meanwhile' '≤ 1024 MiB' "$memory MiB" 'peak'

batches zipf "$ids"
row 'batch resolve, hot' '≥ 5 × single' "$(ratio "$batch_rate" "$single_rate") ×" "$(whole "$batch_rate") identifiers/s against $(whole "$single_rate")/s"
batches uniform "$ids"
row 'batch resolve, random' '≥ 2 × single' "$(ratio "$batch_rate" "$single_rate") ×" "$(whole "$batch_rate") identifiers/s against $(whole "$single_rate")/s"

writes "$duration"
row 'signed writes over HTTP' '≥ 0.12 of the echo handler' "$(ratio "$write_rate" "$echo_write_rate")" "$(whole "$write_rate")/s of $(whole "$echo_write_rate")/s"
row "$n against $small passports: write rate" 'slower by ≤ 1.5 ×' "$(ratio "$small_write" "$write_rate") ×" "$(whole "$write_rate")/s against $(whole "$small_write")/s"
stop_echo

restarts "$data" "$ids" KILL
killed=$first_read
restarts "$data" "$ids" TERM
stopped=$first_read
row "restart with $n passports" '≤ 2000 ms' "$(whole "$killed") ms after kill -9" "$(whole "$stopped") ms after a graceful stop"
stop_node

bench store --data "$data" --compact >"$base/report"
row "$n against $small passports: snapshot" '≤ 1.5 ×' "$(ratio "$(field snapshotMillis <"$base/report")" "$small_snapshot") ×" "$(field snapshotMillis <"$base/report") ms against $small_snapshot ms"
# Every entry of the journal made a passport, but the acceptances, the provider and its status, the policy.
passports=$(($(field entries <"$base/report") - accepted - 3))
bytes=$(field bytes <"$base/report")
row 'disk per passport' '≤ 1536 bytes' "$((bytes / passports)) bytes" "$bytes bytes for $passports passports and $accepted acceptances, after compaction"

{
  printf '\n%s passports, %s rounds of %s s, %s, %s processors\n\n' "$n" "$rounds" "$duration" "$(go version | cut -d' ' -f3)" "$(nproc)"
  printf '| what | reach | measured | medians |\n| --- | --- | --- | --- |\n'
  printf '%s\n' "${rows[@]}"
  printf '\nfilled at %s passports a second\n' "$(whole "$fill_rate")"
} | tee "$base/table.md"
