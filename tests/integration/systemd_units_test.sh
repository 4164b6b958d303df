#!/usr/bin/env bash
# The units are well-formed and the service is locked down: systemd-analyze verify has nothing to
# say, and the exposure it computes is at most 0.6. Starts nothing.
set -euo pipefail
source_dir=${ALLOT_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
command -v systemd-analyze >/dev/null || { echo "skipped: no systemd-analyze"; exit 77; }
fail() { echo "FAIL: $*" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$source_dir"/systemd/*.{service,socket} "$scratch"
export SYSTEMD_LOG_COLOR=0 LC_ALL=C

# Prints what verify has to say about the units in a directory. It wants the program to exist.
verify() {
  sed -i 's|^ExecStart=/usr/sbin/allotd|ExecStart=/bin/true|' "$1/allotd.service"
  SYSTEMD_UNIT_PATH="$1:" systemd-analyze verify --man=no "$1"/allotd{.service,.socket,-control.socket} \
    2>&1 || echo "exit status $?"
}

output=$(verify "$scratch")
[[ -z $output ]] || fail "systemd-analyze verify: $output"

# A planted mistake is noticed, so silence means something.
mkdir "$scratch/planted"
cp "$scratch"/*.{service,socket} "$scratch/planted"
sed -i 's/^Restart=.*/Restart=perhaps/' "$scratch/planted/allotd.service"
[[ -n $(verify "$scratch/planted") ]] || fail "verify does not notice Restart=perhaps"

# exposure UNIT-FILE: the number in "Overall exposure level for allotd.service: 0.4 SAFE", in tenths
exposure() {
  systemd-analyze security --offline=true --no-pager "$1" |
    sed -nE 's/.*Overall exposure level for .*: ([0-9]+)\.([0-9]).*/\1\2/p'
}
tenths=$(exposure "$scratch/allotd.service")
[[ $tenths =~ ^[0-9]+$ ]] || fail "no exposure in the output of systemd-analyze security"
echo "exposure of allotd.service: $((10#$tenths / 10)).$((10#$tenths % 10))"
((10#$tenths <= 6)) || fail "the exposure is above 0.6"
sed -i '/^SystemCallFilter=/d' "$scratch/planted/allotd.service"
((10#$(exposure "$scratch/planted/allotd.service" 2>/dev/null) > 6)) || fail "a unit without a filter passes too"

# expand NAME...: system calls, with groups replaced by their members
expand() {
  local name
  for name; do
    if [[ $name != @* ]]; then echo "$name"; continue; fi
    # shellcheck disable=SC2046
    expand $(systemd-analyze syscall-filter --no-pager "$name" | sed -nE 's/^ +([@a-z0-9_-]+)$/\1/p')
  done
}

# What the daemon is built on passes the filter. Lines apply in order; `~` takes away.
allowed=
while read -r line; do
  # shellcheck disable=SC2086
  listed=$(expand ${line#\~} | sort -u)
  if [[ $line == \~* ]]; then
    allowed=$(comm -23 <(echo "$allowed") <(echo "$listed"))
  else
    allowed=$(printf '%s\n' $allowed $listed | sort -u)
  fi
done < <(sed -n 's/^SystemCallFilter=//p' "$scratch/allotd.service")
for call in memfd_create memfd_secret pidfd_open pidfd_send_signal fcntl fchmod fallocate ftruncate \
  mmap mprotect munmap madvise mlock mlock2 munlock futex getrandom prlimit64 prctl \
  accept4 sendmsg recvmsg getsockopt setsockopt epoll_wait epoll_pwait epoll_create1 epoll_ctl \
  eventfd2 timerfd_create timerfd_settime signalfd4 clock_gettime exit_group; do
  grep -qx "$call" <<<"$allowed" || fail "the filter refuses $call"
done
