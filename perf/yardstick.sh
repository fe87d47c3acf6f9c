#!/usr/bin/env bash
# The load generator against wrk: the same nginx, the same GET, the two alternating. Prints the
# rate, the generator's CPU time a request, and the latencies that it reports, then medians.
#
#   perf/yardstick.sh [--rounds N] [--seconds N] [--connections N]
#
# Needs wrk and nginx (Debian packages wrk, nginx-light) and
# `cargo build --release -p souk-perf --example get`.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=5 seconds=4 connections=1000
while (($#)); do
  case $1 in
    --rounds) rounds=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --connections) connections=$2; shift 2 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done
get=${GET:-${CARGO_TARGET_DIR:-target}/release/examples/get}
for program in wrk nginx "$get"; do
  command -v "$program" >/dev/null || {
    echo "yardstick.sh: $program is missing: apt-get install wrk nginx-light," \
      "cargo build --release -p souk-perf --example get" >&2
    exit 1
  }
done

work=$(mktemp -d)
nginx_pid=''
trap '[[ -z $nginx_pid ]] || { kill "$nginx_pid"; wait "$nginx_pid" || true; }; rm -rf "$work"' EXIT
address=127.0.0.1:$((20000 + RANDOM % 10000))
body=$(printf '%230s' '' | tr ' ' x)
sed -e "s/ADDRESS/$address/; s#DIR#$work#; s/PLACES/location \/ { return 200 \"$body\"; }/" \
  perf/nginx.conf >"$work/nginx.conf"
nginx -p "$work" -c "$work/nginx.conf" &
nginx_pid=$!
for _ in $(seq 100); do
  ! (exec 3<>"/dev/tcp/${address/://}") 2>/dev/null || break
  sleep 0.1
done

by_wrk() {
  local out TIMEFORMAT='CPU %U %S'
  out=$({ time wrk -t1 -c"$connections" -d"${seconds}s" --latency "http://$address/"; } 2>&1)
  if grep -E 'Non-2xx|Socket errors' <<<"$out" >&2; then return 1; fi
  awk '/requests in/ { n = $1 } /Requests\/sec/ { rate = $2 } /50%/ { p50 = $2 } /99%/ { p99 = $2 }
    $1 == "CPU" { cpu = $2 + $3 } END { printf "%.0f %.2f %s %s\n", rate, cpu / n * 1e6, p50, p99 }' \
    <<<"$out"
}

by_souk() {
  "$get" "$address" --connections "$connections" --seconds "$seconds"
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for program in wrk souk; do "by_$program" >/dev/null; done
for _ in $(seq "$rounds"); do
  for program in wrk souk; do
    line=$("by_$program")
    echo "$program: requests/s, CPU µs a request, p50, p99: $line"
    echo "$line" >>"$work/$program"
  done
done
for program in wrk souk; do
  echo "$program, medians: $(cut -d' ' -f1 "$work/$program" | median) requests/s," \
    "$(cut -d' ' -f2 "$work/$program" | median) µs of CPU a request"
done
paste -d' ' "$work/wrk" "$work/souk" >"$work/pairs"
echo "souk over wrk, medians of pairs: $(awk '{ printf "%.3f\n", $5 / $1 }' "$work/pairs" | median)" \
  "of the rate, $(awk '{ printf "%.3f\n", $6 / $2 }' "$work/pairs" | median) of the CPU"
