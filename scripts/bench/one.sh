# One node (DESIGN 15): what bench.sh without --cluster measures. Read by bench.sh, whose functions it uses.

small=${small:-100000}
echo_http='' # host:port of the reference

start_echo() {
  : >"$base/echo.log"
  "$bin/echo" -node "http://$http" -id "$(head -n 1 "$1")" -created "$base/created.http" >"$base/echo.log" 2>&1 &
  pids[echo]=$!
  for _ in $(seq 100); do
    echo_http=$(sed -n 's/^http:\/\///p' "$base/echo.log")
    if [ -n "$echo_http" ]; then return; fi
    sleep 0.1
  done
  die "the reference does not start: $(cat "$base/echo.log")"
}

stop_echo() { end echo; }

# --- measurements; each prints or stores medians ---

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
    [ -z "${pids[echo]:-}" ] || echos+=("$(write_run "$echo_http" "$1" --again)")
    say "  write round $i: node $(whole "${nodes[-1]}")/s${echos[0]:+, reference $(whole "${echos[-1]}")/s}"
  done
  write_rate=$(printf '%s\n' "${nodes[@]}" | median)
  [ -z "${pids[echo]:-}" ] || echo_write_rate=$(printf '%s\n' "${echos[@]}" | median)
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

resident() { awk '/^VmHWM/ {print int($2 / 1024)}' "/proc/$node_pid/status"; }

# --- the run ---

say "the small registry"
rm -rf "$base"/small*
fill "$base/small" "$base/small.ids" "$base/small.filled" "$small"
settle "$node_pid"
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
settle "$node_pid"
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

table "$n passports"
