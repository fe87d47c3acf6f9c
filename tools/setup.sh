#!/bin/bash
# Installs what Souk needs from Debian's packages and says what it does. Nothing is missing: nothing
# happens.
#   tools/setup.sh run    what `make run` needs
#   tools/setup.sh test   and what the tests need
set -euo pipefail

# Debian keeps servers where not every user's PATH looks.
PATH=$PATH:/usr/sbin:/usr/local/sbin

wanted=(mariadbd:mariadb-server redis-server:redis-server cc:build-essential)
case "${1:-}" in
  run) ;;
  test) wanted+=(chromium:chromium chromedriver:chromium-driver nginx:nginx-light \
    perf:linux-perf promtool:prometheus) ;;
  *) echo "usage: $0 run|test" >&2; exit 2 ;;
esac

if ! command -v cargo >/dev/null; then
  echo "setup: Rust is missing. Install it from https://rustup.rs, then run this again." >&2
  exit 1
fi

# `make test` formats and lints; a minimal Rust has neither tool. rustup's stand-ins for them exist
# even then, so ask them.
if [[ $1 == test ]] && ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
  if ! command -v rustup >/dev/null; then
    echo "setup: cargo fmt or cargo clippy is missing, and there is no rustup to install them." \
      "Install rustfmt and clippy where your Rust came from, then run this again." >&2
    exit 1
  fi
  echo "setup: installing rustfmt and clippy with rustup"
  rustup component add rustfmt clippy
fi

missing=()
for entry in "${wanted[@]}"; do
  command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
done
if ((${#missing[@]} == 0)); then exit 0; fi

if ! command -v apt-get >/dev/null; then
  echo "setup: missing: ${missing[*]} (names of Debian's packages)." \
    "This system has no apt-get: install them its own way, then run this again." >&2
  exit 1
fi
as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "setup: missing: ${missing[*]}. As root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "setup: installing ${missing[*]} with apt-get"
# Souk starts servers of its own: policy-rc.d keeps Debian's from starting beside them.
keep_quiet=/usr/sbin/policy-rc.d
if [[ ! -e $keep_quiet ]]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$keep_quiet" >/dev/null
  "${as_root[@]}" chmod 755 "$keep_quiet"
  trap '"${as_root[@]}" rm -f "$keep_quiet"' EXIT
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends "${missing[@]}"
