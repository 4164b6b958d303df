#!/usr/bin/env bash
# Under a real systemd, with the lines of our own unit: the daemon is killed, hangs, and is restarted;
# what it stored comes back, and a client's blocks and calls do not notice.
#
# Needs root and a mount namespace of its own: the root file system is read-only there and /run is
# empty, so that `systemd --user` believes itself alone. Nothing outside is touched.
set -euo pipefail
source_dir=${ALLOT_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
build_dir=${ALLOT_BINARY_DIR:-$source_dir/build/dev}
allotd=${ALLOT_ALLOTD_PATH:-$build_dir/daemon/allotd}
allotctl=${ALLOT_ALLOTCTL_PATH:-$build_dir/tools/allotctl/allotctl}
systemd=/lib/systemd/systemd

if [[ ${1:-} != inside ]]; then
  [[ -x $systemd ]] || { echo "skipped: no systemd"; exit 77; }
  unshare -m --propagation private true 2>/dev/null || { echo "skipped: no mount namespace"; exit 77; }
  exec unshare -m --propagation private "$0" inside
fi

fail() { echo "FAIL: $*" >&2; cat /run/user/log >&2 || true; exit 1; }

mount --bind / / && mount -o remount,ro,bind /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/systemd/user
export XDG_RUNTIME_DIR=/run/user HOME=/run/user XDG_CONFIG_HOME=/run/user/config
units=$XDG_RUNTIME_DIR/systemd/user

# What a user's systemd cannot do is left out; all about starting, storing and ending is ours.
sed '/^Socket\(User\|Group\)=/d' "$source_dir/systemd/allotd.socket" >"$units/allotd.socket"
sed '/^Socket\(User\|Group\)=/d' "$source_dir/systemd/allotd-control.socket" \
  >"$units/allotd-control.socket"
{
  sed -n '/^\[Unit\]/,/^\[Service\]/p' "$source_dir/systemd/allotd.service"
  grep -E '^(Type|NotifyAccess|Restart|RestartSec|RestartPreventExitStatus|TimeoutStopSec|Environment|FileDescriptorStoreMax|LimitNOFILE)=' \
    "$source_dir/systemd/allotd.service"
  echo "WatchdogSec=2"
  echo "ExecStart=$allotd --runtime-dir /run/allot"
} >"$units/allotd.service"

"$systemd" --user >/run/user/log 2>&1 &
manager=$!
trap 'kill "$manager" 2>/dev/null || true; wait "$manager" 2>/dev/null || true' EXIT
# wait_until COMMAND...: 30 s at most, between tries as long as a systemctl takes.
wait_until() {
  local end=$((SECONDS + 30))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "never: $*"
    kill -0 "$manager" || fail "systemd --user has ended"
  done
}
wait_until systemctl --user list-units
show() { systemctl --user show -P "$1" allotd.service; }

systemctl --user start allotd.socket allotd-control.socket
export ALLOT_RUNTIME_DIR=/run/allot
coproc client { exec "$build_dir/tests/load_client" --step; }
# Ends of our own, that the shell does not forget when the client ends.
exec {to_client}>&"${client[1]}" {from_client}<&"${client[0]}" {client[1]}>&- {client[0]}<&-
client_pid=$client_PID
# One round of the client: prints what load_client says of it.
round() {
  local line
  echo >&"$to_client"
  read -r -t 60 line <&"$from_client" || fail "the client does not answer"
  read -r operations failures wrong _ _ longest <<<"$line"
  ((failures == 0 && wrong == 0)) || fail "$1: $line"
  echo "$1: $operations operations, 0 failures, longest call $longest us, pid $(show MainPID)," \
    "$(show NFileDescriptorStore) descriptors stored"
}
round "started by its socket"
[[ $(show FileDescriptorStoreMax) == 16384 ]] || fail "not our unit"
stored=$(show NFileDescriptorStore)
((stored >= 6)) || fail "a region has four descriptors and a session two, stored are $stored"

another_daemon() { [[ $(show ActiveState) == active && $(show MainPID) != "$1" ]]; }
for i in {1..10}; do
  pid=$(show MainPID)
  kill -KILL "$pid"
  wait_until another_daemon "$pid"
  round "killed, $i"
done
pid=$(show MainPID)
systemctl --user restart allotd.service
another_daemon "$pid" || fail "no restart"
round "systemctl restart"
pid=$(show MainPID)
kill -STOP "$pid"  # hangs
wait_until another_daemon "$pid"
round "ended by the watchdog"
[[ $(show NFileDescriptorStore) == "$stored" ]] || fail "descriptors pile up in the store"

"$allotctl" check >/dev/null || fail "$("$allotctl" check)"
exec {to_client}>&-
read -r -t 60 <&"$from_client" || fail "the client does not end"
while kill -0 "$client_pid" 2>/dev/null; do read -r -t 1 <&"$from_client" || true; done
without_session() { (($(show NFileDescriptorStore) == stored - 2)); }
wait_until without_session
"$allotctl" --json stats | grep -qE '"granted_bytes": *0\b' || fail "$("$allotctl" stats)"
echo "restarts counted by systemd: $(show NRestarts)"
