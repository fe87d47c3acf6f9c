#!/usr/bin/env bash
# Souk's figures against nginx's `return 200` with a body of the same size: the same machine, the
# same wrk script, the two alternating, one line of Markdown a scenario.
#
#   perf/run.sh [--dir DIR] [--users N] [--rounds N] [--seconds N] [--connections N] [SCENARIO…]
#
# Scenarios: by-name login me by-name-uncached login-uncached login-full (default: all).
# Needs wrk and nginx (Debian packages wrk, nginx-light) and a release build; DIR (default ./var)
# is that of `souk up`; users that it lacks are seeded first.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=var users=10000000 rounds=5 seconds=6 connections=1000 scenarios=()
while (($#)); do
  case $1 in
    --dir) dir=$2; shift 2 ;;
    --users) users=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --connections) connections=$2; shift 2 ;;
    -*) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
    *) scenarios+=("$1"); shift ;;
  esac
done
((${#scenarios[@]})) || scenarios=(by-name login me by-name-uncached login-uncached login-full)
for program in wrk nginx curl; do
  command -v "$program" >/dev/null || {
    echo "run.sh: $program is missing: apt-get install wrk nginx-light curl" >&2
    exit 1
  }
done

bin=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d)
base_port=$((20000 + RANDOM % 10000))
http=127.0.0.1:$base_port
yard=127.0.0.1:$((base_port + 1))
souk_pid='' nginx_pid=''

stop() {
  if [[ -n $nginx_pid ]]; then kill "$nginx_pid" && wait "$nginx_pid" || true; nginx_pid=''; fi
  if [[ -n $souk_pid ]]; then kill "$souk_pid" && wait "$souk_pid" || true; souk_pid=''; fi
}
trap 'stop; rm -rf "$work"' EXIT

wait_for() { # URL
  for _ in $(seq 3000); do
    curl -fsS -o /dev/null "$1" 2>/dev/null && return
    if [[ -n $souk_pid ]] && ! kill -0 "$souk_pid" 2>/dev/null; then break; fi
    sleep 0.1
  done
  echo "run.sh: $1 did not come up; see $work/souk.log" >&2
  tail -5 "$work/souk.log" >&2
  exit 1
}

start_souk() { # flags
  "$bin/souk" up --dir "$dir" --http "$http" --users "$users" --no-limits "$@" \
    >"$work/souk.log" 2>&1 &
  souk_pid=$!
  wait_for "http://$http/ready"
}

start_nginx() { # body length
  local body
  body=$(printf "%$1s" '' | tr ' ' x)
  sed -e "s/ADDRESS/$yard/; s#DIR#$work#; s/PLACES/location \/ { return 200 \"$body\"; }/" \
    perf/nginx.conf >"$work/nginx.conf"
  nginx -p "$work" -c "$work/nginx.conf" &
  nginx_pid=$!
  wait_for "http://$yard/"
}

json_login() { # user number
  curl -fsS "http://$http/api/v1/login" -H 'Content-Type: application/json' \
    -d "{\"username\":\"user$1\",\"password\":\"password\"}"
}

# The median of each column.
medians() {
  local table column
  table=$(cat)
  for column in $(seq "$(head -1 <<<"$table" | wc -w)"); do
    awk -v c="$column" '{ print $c }' <<<"$table" | median
  done | tr '\n' ' '
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# Who serves at an address, in the order in which CPU times are printed.
servers() { # address
  local program
  if [[ $1 == "$yard" ]]; then
    pgrep -P "$nginx_pid"
  else
    for program in souk-front soukd redis-server mariadbd; do
      pgrep -P "$souk_pid" -x "$program"
    done
  fi
}

# CPU time of processes so far, in clock ticks, one a line.
ticks() { # pids
  local pid
  for pid in "$@"; do sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 }'; done
}

# One wrk run; prints requests/s, p50 and p99, and notes if any answer was an error. CPU time a
# request goes to cpu-ADDRESS: wrk's, then each server's.
hit() { # address, script, arguments
  local out pids TIMEFORMAT='%U %S'
  mapfile -t pids < <(servers "$1")
  ticks "${pids[@]}" >"$work/before"
  out=$({ time wrk -t1 -c"$connections" -d"${seconds}s" --latency --timeout 10s \
    -s "perf/wrk/$2" "http://$1" -- "${@:3}" 2>&1; } 2>"$work/wrk-time")
  ticks "${pids[@]}" >"$work/after"
  {
    awk '{ printf "%.0f\n", ($1 + $2) * 1e6 }' "$work/wrk-time"
    paste "$work/before" "$work/after" |
      awk -v hz="$(getconf CLK_TCK)" '{ print ($2 - $1) / hz * 1e6 }'
  } | awk -v n="$(awk '/requests in/ { print $1 }' <<<"$out")" \
    '{ printf("%s%.1f", (NR > 1 ? " " : ""), (n ? $1 / n : 0)) } END { print "" }' >>"$work/cpu-$1"
  if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then
    grep -E 'Non-2xx|Socket errors' <<<"$out" >&2
    echo 1 >>"$work/errors"
  fi
  awk '/Requests\/sec/ { rps = $2 } / 50%/ { p50 = $2 } / 99%/ { p99 = $2 }
       END { print rps, p50, p99 }' <<<"$out"
}

# Alternates nginx and Souk and prints a row of the table.
compare() { # name, required ratio, body length, script, arguments
  local name=$1 required=$2 length=$3 script=$4 ours theirs
  shift 4
  : >"$work/errors" >"$work/ours" >"$work/theirs" >"$work/ratios"
  start_nginx "$length"
  hit "$http" "$script" "$@" >/dev/null # warm-up
  rm -f "$work"/cpu-*
  for _ in $(seq "$rounds"); do
    theirs=$(hit "$yard" "$script" "$@")
    ours=$(hit "$http" "$script" "$@")
    echo "$theirs" >>"$work/theirs"
    echo "$ours" >>"$work/ours"
    awk -v a="${ours%% *}" -v b="${theirs%% *}" 'BEGIN { printf "%.3f\n", a / b }' >>"$work/ratios"
  done
  kill "$nginx_pid" && wait "$nginx_pid" || true
  nginx_pid=''
  printf '| %s | %s | %.0f | %.0f | %s | %s | %s–%s | %s | %s |\n' "$name" "$required" \
    "$(cut -d' ' -f1 "$work/ours" | median)" "$(cut -d' ' -f1 "$work/theirs" | median)" \
    "$(cut -d' ' -f3 "$work/ours" | sort | head -1)" "$(median <"$work/ratios")" \
    "$(sort -n "$work/ratios" | head -1)" "$(sort -n "$work/ratios" | tail -1)" \
    "$(wc -l <"$work/errors")" "$(memory)"
  printf '%s: CPU µs a request, wrk nginx: %s; wrk front daemon Redis MariaDB: %s\n' "$name" \
    "$(medians <"$work/cpu-$yard")" "$(medians <"$work/cpu-$http")" >>"$work/costs"
}

memory() { # resident MiB of front and daemon
  local program pid
  for program in souk-front soukd; do
    pid=$(pgrep -P "$souk_pid" -x "$program" | head -1)
    awk -v name="$program" '/VmRSS/ { printf "%s %.0f ", name, $2 / 1024 }' "/proc/$pid/status"
  done
}

by_name_length() { curl -fsS "http://$http/api/v1/users/by-name/user1" | wc -c; }

run() { # scenario
  case $1 in
    by-name) compare "by-name, 200 hot users" 0.85 "$(by_name_length)" by_name.lua 200 ;;
    by-name-uncached)
      compare "by-name, $users users, no cache" 0.45 "$(by_name_length)" by_name.lua "$users" ;;
    login | login-uncached)
      for n in $(seq 200); do json_login "$n" >"$work/login.json"; done
      local required=0.55
      [[ $1 == login-uncached ]] && required=0.35
      compare "$1, 200 users, memo warm" $required "$(wc -c <"$work/login.json")" login.lua 200 ;;
    me)
      for n in $(seq 200); do
        json_login "$n" | sed -E 's/.*"token":"([^"]+)".*/\1/'
        echo
      done | grep . >"$work/tokens"
      local length
      length=$(curl -fsS "http://$http/api/v1/me" \
        -H "Authorization: Bearer $(head -1 "$work/tokens")" | wc -c)
      compare "me, 200 sessions" 0.75 "$length" me.lua "$work/tokens" ;;
  esac
}

# Logins that pay Argon2 in full, against the bare crate on the same cores.
full_cost() {
  : >"$work/errors" >"$work/ours" >"$work/theirs" >"$work/ratios"
  local ours theirs
  for _ in $(seq "$rounds"); do
    theirs=$("$bin/souk" bench argon2 --seconds "$seconds")
    ours=$(connections=16 hit "$http" login.lua "$users" | cut -d' ' -f1)
    echo "$theirs" >>"$work/theirs"
    echo "$ours" >>"$work/ours"
    awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.3f\n", a / b }' >>"$work/ratios"
  done
  echo
  echo "Full-cost logins/s $(median <"$work/ours"), bare argon2 $(median <"$work/theirs")," \
    "ratio $(median <"$work/ratios") (required 0.90), errors $(wc -l <"$work/errors")"
}

echo "Souk $("$bin/souk" version | head -1), Linux $(uname -r), $(nproc) cores," \
  "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1); $rounds rounds of $seconds s," \
  "$connections connections, $users users"
echo
echo '| scenario | required | Souk/s | nginx/s | p99 (best) | ratio (median) | spread | failed runs | MiB |'
echo '|---|---|---|---|---|---|---|---|---|'
for mode in cached uncached full; do
  picked=()
  for scenario in "${scenarios[@]}"; do
    case $mode:$scenario in
      cached:*-uncached | cached:*-full | uncached:*-full) ;;
      cached:* | uncached:*-uncached | full:*-full) picked+=("$scenario") ;;
    esac
  done
  ((${#picked[@]})) || continue
  flags=()
  [[ $mode == uncached ]] && flags=(--no-cache)
  [[ $mode == full ]] && export SOUK_PASSWORDS_MEMO_TTL_S=0
  start_souk "${flags[@]}"
  for scenario in "${picked[@]}"; do
    if [[ $mode == full ]]; then full_cost; else run "$scenario"; fi
  done
  stop
done
[[ ! -s $work/costs ]] || { echo; cat "$work/costs"; }
