# Three nodes on one machine (DESIGN 15): what bench.sh --cluster measures. Read by bench.sh, whose functions
# it uses. First a small registry that three nodes found together; then a large one that one node filled and
# two others join while it serves.

small=${small:-20000}
founded=$base/cluster # dcann cluster init --dir
grown=$base/grown
large=$base/large # data of the node that is filled, as of bench.sh without --cluster
declare -A address=() web=() socket=() taken=()

# --- nodes ---

# next_port: sets port to one that nobody listens on, below those that the system gives away by itself
next_port() {
  while :; do
    port=$((20000 + RANDOM % 12000))
    [ -z "${taken[$port]:-}" ] || continue
    taken[$port]=1
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
  done
}

# plan NAME DATA: gives a node its addresses
plan() {
  next_port; address[$1]=127.0.0.1:$port
  next_port; web[$1]=127.0.0.1:$port
  socket[$1]=$2/admin.sock
}

planned() { echo "$1=${address[$1]},${web[$1]}"; }
urls() { local name list=(); for name in "$@"; do list+=("http://${web[$name]}"); done; (IFS=,; echo "${list[*]}"); }

# start_member DIR NAME [flag …]
start_member() {
  rm -f "$base/$2.ready"
  "$bin/dcann" serve --config "$1/$2/node.yaml" --ready-file "$base/$2.ready" "${@:3}" >>"$base/$2.log" 2>&1 &
  pids[$2]=$!
}

await_member() {
  for _ in $(seq 1200); do
    [ ! -s "$base/$1.ready" ] || return 0
    kill -0 "${pids[$1]}" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$base/$1.log" >&2
  die "node $1 does not start"
}

# operate NAME COMMAND …: an operator's command, told to that node
operate() { "$bin/dcann" -o json cluster "$2" --admin "unix:${socket[$1]}" "${@:3}"; }

# whole_cluster NAME …: waits until these are all members and healthy; sets lead and followers
whole_cluster() {
  local name healthy
  for _ in $(seq 1200); do
    for name in "$@"; do
      operate "$name" status >"$base/status" 2>/dev/null || continue
      lead=$(field leader <"$base/status")
      healthy=$(grep -c '"healthy": true' "$base/status") || true
      if [ "$healthy" = $# ] && [ -n "${web[$lead]:-}" ]; then
        followers=()
        for name in "$@"; do [ "$name" = "$lead" ] || followers+=("$name"); done
        return 0
      fi
    done
    sleep 0.1
  done
  cat "$base/status" >&2
  die "nodes $* do not become one healthy cluster"
}

member_pids() { local name; for name in "$@"; do echo "${pids[$name]}"; done; }

# background REPORT NAME WHAT …: dcann bench at a node, as pids[load]
background() {
  "$bin/dcann" --registry "http://${web[$2]}" -o json bench "${@:3}" >"$1" & pids[load]=$!
}

# foreground [end]: waits for it; with end it is told to end now. It must not have failed.
foreground() {
  [ "${1:-}" != end ] || kill "${pids[load]}"
  wait "${pids[load]}" || die 'the load failed'
  pids[load]=''
}

# --- measurements of the small registry; each adds its rows ---

# reference ENTRIES: operations a second of bare Raft with so many entries under way
reference() {
  "$bin/raft" -dir "$base/raft" -duration "${duration}s" -inflight "$1" >"$base/report" || die 'the reference failed'
  field perSecond <"$base/report"
}

# failures REPORT: how many requests were not answered with 2xx, and says which
failures() {
  local all
  all=$(tr -d ' \n' <"$1" | sed -n 's/.*"errors":{\([^}]*\)}.*/\1/p')
  [ -z "$all" ] || say "  not answered with a success: $all"
  awk '{n = split($0, part, /":/); for (i = 2; i <= n; i++) sum += part[i]} END {print sum + 0}' <<<"$all"
}

refusals() { [ "$1" = 0 ] || echo ", and $1 requests without a success"; }

# signed_writes ADDRESS CONNECTIONS: operations a second, and how many were refused
signed_writes() {
  bench_at "$1" write --provider "$provider" --country xz --conns "$2" --duration "${duration}s" --presign "$((duration * 8000))" >"$base/report" 2>/dev/null
  echo "$(field perSecond <"$base/report") $(failures "$base/report")"
}

# against_raft CONNECTIONS ENTRIES: nodes and reference by turns, with equally many operations under way
against_raft() {
  local nodes=() bare=() i a b refused
  signed_writes "${web[$lead]}" "$1" >/dev/null
  for i in $(seq "$rounds"); do
    whole_cluster n1 n2 n3
    nodes+=("$(signed_writes "${web[$lead]}" "$1")")
    bare+=("$(reference "$2")")
    say "  write round $i with $1 operations under way: nodes $(whole "${nodes[-1]% *}")/s, reference $(whole "${bare[-1]}")/s"
  done
  a=$(column 1 "${nodes[@]}") b=$(printf '%s\n' "${bare[@]}" | median) refused=$(total 2 "${nodes[@]}")
  row "signed writes over HTTP to the leader of 3 nodes, $1 at a time" '≥ 0.35 of bare Raft' "$(ratio "$a" "$b")" "$(whole "$a")/s of $(whole "$b")/s$(refusals "$refused")"
}

# spread_writes CONNECTIONS: one load shared out among the nodes
spread_writes() {
  local all=() i refused
  for i in $(seq "$rounds"); do
    "$bin/dcann" -o json bench spread --node "$(urls n1 n2 n3)" --provider "$provider" --country xz --conns "$1" \
      --duration "${duration}s" --presign "$((duration * 8000))" >"$base/report" 2>/dev/null
    all+=("$(field perSecond <"$base/report") $(failures "$base/report")")
    say "  spread round $i: $(whole "${all[-1]% *}")/s, p99 $(whole "$(field p99Micros <"$base/report")") µs"
  done
  refused=$(total 2 "${all[@]}")
  row "the same spread over all 3 nodes" '' "$(whole "$(column 1 "${all[@]}")")/s" "$1 connections, two thirds of them to nodes that forward$(refusals "$refused")"
}

# column N LINE …: the median of the N-th words
column() { printf '%s\n' "${@:2}" | cut -d' ' -f"$1" | median; }
# total N LINE …: their sum
total() { printf '%s\n' "${@:2}" | awk -v n="$1" '{sum += $n} END {print sum + 0}'; }

# reads_of NAME WHAT: linearizable against bounded reads of one node, by turns
reads_of() {
  local sure=() near=() i refused
  wrk_report "${web[$1]}" "$ids" uniform 64 "$probe" >/dev/null
  for i in $(seq "$rounds"); do
    near+=("$(wrk_report "${web[$1]}" "$ids" uniform 64 "$duration")")
    sure+=("$(wrk_report "${web[$1]}" "$ids" uniform 64 "$duration" consistency=linearizable)")
    say "  reads of the $2, round $i (a second, p50 and p99 in µs, refused): bounded ${near[-1]}, linearizable ${sure[-1]}"
  done
  refused=$(total 4 "${near[@]}" "${sure[@]}")
  row "linearizable reads on the $2" '' \
    "$(whole "$(column 1 "${sure[@]}")")/s, p50 $(column 2 "${sure[@]}") µs, p99 $(column 3 "${sure[@]}") µs" \
    "bounded: $(whole "$(column 1 "${near[@]}")")/s, p50 $(column 2 "${near[@]}") µs, p99 $(column 3 "${near[@]}") µs$(refusals "$refused")"
}

# span REPORT PART: median and most, in ms, of a part of a report of dcann bench visible
span() { sed -n "/\"$2\": {/,/}/p" "$1" | awk -F'[:,]' '/p50Millis/ {p = $2} /maxMillis/ {m = $2} END {print p + 0, m + 0}'; }

# revocations: at rest, and with 200 writes a second
revocations() {
  local calm busy calm_p50 calm_max busy_p50 busy_max refused count=$((rounds * 8))
  see() { bench_at "${web[$lead]}" visible --node "$(urls n1 n2 n3)" --ids "$ids" --accreditation-key "$founded/accreditation.pem" --count "$count" >"$1"; }
  see "$base/calm"
  background "$base/report" "$lead" gap --node "$(urls "$lead")" --read "$(urls "$lead")" --ids "$ids" --rate 200 --duration 10m
  sleep 1
  see "$base/busy"
  foreground end
  [ "$(field readFailed <"$base/report")" = 0 ] && [ "$(field unfinished <"$base/report")" = 0 ] || die "not every answer was a success: $(cat "$base/report")"
  refused=$(($(field readsRefused <"$base/calm") + $(field readsRefused <"$base/busy")))
  read -r calm_p50 calm_max < <(span "$base/calm" everywhere)
  read -r busy_p50 busy_max < <(span "$base/busy" everywhere)
  row 'revocation seen on every node' '≤ 1000 ms' "at most $(printf '%s\n' "$calm_max" "$busy_max" | most) ms" \
    "at rest $calm_p50 ms, at most $calm_max ms; with 200 writes/s $busy_p50 ms, at most $busy_max ms; each of $((2 * count)) statements from when it was sent; $refused reads refused"
}

# leader_kills: each is restarted and caught up before the next
leader_kills() {
  local i gaps=() failed=0 reads=0 writes=0 unfinished=0 slowest=0 killed
  for i in $(seq "$kills"); do
    whole_cluster n1 n2 n3
    killed=$lead
    background "$base/gap" "$lead" gap --node "$(urls "$lead" "${followers[@]}")" --read "$(urls "${followers[@]}")" --ids "$ids" \
      --provider "$provider" --country xz --duration 9s
    sleep 3
    end "$killed" KILL
    foreground
    gaps+=("$(field gapMillis <"$base/gap")")
    failed=$((failed + $(field readFailed <"$base/gap"))) reads=$((reads + $(field reads <"$base/gap")))
    writes=$((writes + $(field writes <"$base/gap"))) unfinished=$((unfinished + $(field unfinished <"$base/gap")))
    slowest=$(printf '%s\n' "$slowest" "$(field readMaxMicros <"$base/gap")" | most)
    say "  kill $i: $killed led; $(tr -d '\n' <"$base/gap" | tr -s ' ')"
    start_member "$founded" "$killed"
    await_member "$killed"
  done
  whole_cluster n1 n2 n3
  row 'leader killed: longest time without an acknowledged write' '≤ 2000 ms' "at most $(whole "$(printf '%s\n' "${gaps[@]}" | most)") ms" \
    "median $(whole "$(printf '%s\n' "${gaps[@]}" | median)") ms of $kills kills; $writes writes acknowledged, $unfinished unfinished"
  row 'leader killed: bounded reads that failed on the survivors' '0' "$failed" "of $((reads + failed)); the slowest took $(whole "$slowest") µs"
}

small_registry() {
  local name
  say 'three nodes that found a registry'
  rm -rf "$founded" "$base"/n[123].log "$base/three.ids" "$base/raft"
  for name in n1 n2 n3; do plan "$name" "$founded/$name/data"; done
  "$bin/dcann" cluster init --dir "$founded" --country xz --node "$(planned n1)" --node "$(planned n2)" --node "$(planned n3)" >/dev/null
  for name in n1 n2 n3; do start_member "$founded" "$name"; done
  for name in n1 n2 n3; do await_member "$name"; done
  whole_cluster n1 n2 n3
  ids=$base/three.ids
  bench_at "${web[$lead]}" fill -n "$small" --ids "$ids" --accreditation-key "$founded/accreditation.pem" --accept "$((100 < small ? 100 : small))" >"$base/report"
  provider=$(field provider <"$base/report")
  say "filled to $small passports at $(whole "$(field perSecond <"$base/report")") a second, on 3 nodes"
  settle $(member_pids n1 n2 n3)

  against_raft 256 4
  against_raft 64 1
  spread_writes 256
  whole_cluster n1 n2 n3
  reads_of "$lead" leader
  reads_of "${followers[0]}" follower
  revocations
  leader_kills
  for name in n1 n2 n3; do kill "${pids[$name]}"; done
  for name in n1 n2 n3; do end "$name"; done
}

# --- the large registry ---

# grow NAME: starts a fresh node and joins it while writes go on and reads are asked for; sets took, in ms,
# held, the bytes of its state, and how, which is through the log if that reaches back to the first entry
grow() {
  local began
  plan "$1" "$grown/$1/data"
  "$bin/dcann" cluster init --dir "$grown" --add "$(planned "$1")" >/dev/null
  start_member "$grown" "$1" --policy=
  background "$base/during.$1" "$first" gap --node "$(urls "$first")" --read "$(urls "$first")" --ids "$ids" \
    --provider "$provider" --country xz --conns 8 --rate 200 --duration 10h
  sleep 1
  began=$(date +%s%N)
  operate "$first" join "$1=${address[$1]}" >/dev/null 2>&1 || die "node $1 does not become a member: $(tail -n 5 "$base/$1.log")"
  took=$((($(date +%s%N) - began) / 1000000))
  foreground end
  await_member "$1"
  held=$(du -sb --exclude=raft "$grown/$1/data" | cut -f1)
  how='through the log'
  [ ! -e "$grown/$1/data/state.current" ] || how='by a checkpoint'
  say "  $1 joined $how in $took ms with $held bytes; meanwhile $(tr -d '\n' <"$base/during.$1" | tr -s ' ')"
}

# install_row NAME MEMBERS
install_row() {
  local d=$base/during.$1
  row "a fresh node joins $2 with $n passports" '' "$took ms, $(awk -v b="$held" -v t="$took" 'BEGIN {printf "%.0f", b / 1e3 / (t > 0 ? t : 1)}') MB/s" \
    "$(whole "$(awk -v b="$held" 'BEGIN {print b / 1e6}')") MB $how, until it votes; meanwhile at 200 writes/s $(field writes <"$d") acknowledged, the longest time without one $(whole "$(field gapMillis <"$d")") ms, $(field readFailed <"$d") of $(field reads <"$d") reads failed"
}

# back NAME …: from when began to the first bounded read on each of these; prints the longest, in ms
back() {
  local name all=()
  for name in "$@"; do all+=("$(bench_at "${web[$name]}" first --id "$(head -n 1 "$ids")" --since "$began" --patience 600s)"); done
  printf '%s\n' "${all[@]}" | most
}

start_large() { # NAME
  if [ "$1" = "$first" ]; then start_member "$grown" "$1" --policy= --data "$large"; else start_member "$grown" "$1" --policy=; fi
}

restarts_of_three() {
  local one=() three=() name
  for _ in 1 2 3; do
    whole_cluster "$first" n2 n3
    # Something that is not yet flushed, as a node in use always has.
    bench_at "${web[$lead]}" write --provider "$provider" --country xz --duration "${probe}s" --conns 64 --presign 5000 >/dev/null 2>&1
    name=${followers[0]}
    end "$name" KILL
    began=$(date +%s%N)
    start_large "$name"
    one+=("$(back "$name")")
    await_member "$name"
  done
  for _ in 1 2 3; do
    whole_cluster "$first" n2 n3
    bench_at "${web[$lead]}" write --provider "$provider" --country xz --duration "${probe}s" --conns 64 --presign 5000 >/dev/null 2>&1
    for name in "$first" n2 n3; do kill -KILL "${pids[$name]}"; done
    for name in "$first" n2 n3; do end "$name" KILL; done
    began=$(date +%s%N)
    for name in "$first" n2 n3; do start_large "$name"; done
    three+=("$(back "$first" n2 n3)")
    for name in "$first" n2 n3; do await_member "$name"; done
  done
  say "  to the first bounded read after kill -9: a follower ${one[*]} ms; all three ${three[*]} ms"
  row "restart with $n passports, one of three nodes" '≤ 2000 ms' "$(whole "$(printf '%s\n' "${one[@]}" | median)") ms" 'after kill -9, to the first bounded read, with a leader'
  row "restart with $n passports, all three nodes at once" '' "$(whole "$(printf '%s\n' "${three[@]}" | median)") ms" 'after kill -9, to the first bounded read on the last of them'
}

large_registry() {
  local first began took held how
  say 'a registry that one node filled'
  first=node-1 # what a node calls itself that is told nothing
  rm -rf "$grown" "$base"/n[23].log "$base/$first.log"
  ids=$base/large.ids
  plan "$first" "$large"
  "$bin/dcann" cluster init --dir "$grown" --country xz --node "$(planned "$first")" >/dev/null
  if [ -e "$base/joined" ]; then # an earlier run ended before it took the others out again
    DCANN_DATA=$large "$bin/dcann" cluster recover --config "$grown/$first/node.yaml"
    rm "$base/joined"
  fi
  fill "$large" "$ids" "$base/filled" "$n"
  settle "$node_pid"
  stop_node
  bench store --data "$large" >"$base/report"
  row "snapshot of $n passports" 'size makes no difference' "$(field snapshotMillis <"$base/report") ms" "$(field bytes <"$base/report") bytes on disk"

  start_large "$first"
  await_member "$first"
  whole_cluster "$first"
  touch "$base/joined"
  grow n2
  install_row n2 'one node'
  whole_cluster "$first" n2
  grow n3
  install_row n3 'two nodes'
  whole_cluster "$first" n2 n3
  restarts_of_three

  # The filled node is left as it was: alone.
  whole_cluster "$first" n2 n3
  [ "$lead" = "$first" ] || operate "$lead" transfer --to "$first"
  operate "$first" remove n3
  end n3
  operate "$first" remove n2
  end n2
  end "$first"
  rm "$base/joined"
}

[ "$small" = 0 ] || small_registry
[ "$n" = 0 ] || large_registry
table "three nodes; $small passports, and $n"
