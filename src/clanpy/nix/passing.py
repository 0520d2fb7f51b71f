"""Store paths from one host to another beside it: the scripts for both ends.

The giving end runs an sshd of its own for as long as our connection lasts. It knows one account, one key that was made for this run,
and one command, which writes the store paths that it is asked for. Its host key is made there, the other key here; both end with it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from clanpy.nix.stream import AT_ONCE


MARK = "@clanpy "
PORTS = range(22022, 22030)
UNREACHED, NO_AGENT = 42, 41

_GIVE = r"""set -f
paths=$(grep -x '/nix/store/[0-9a-z]*-[-+._?=0-9A-Za-z]*') || exit 0
exec nix-store --export $paths
"""

_GIVING = r"""# passing store paths on
set -u
umask 077
dir=
for place in "${XDG_RUNTIME_DIR:-}" /dev/shm "${TMPDIR:-/tmp}"; do
  if [ -n "$place" ] && dir=$(mktemp -d "$place/clanpy-XXXXXXXX" 2>/dev/null); then break; fi
done
[ -n "$dir" ] || { echo '@clanpy failed there is no folder to write to'; exit 1; }
# Whoever ends us may say so twice: the second must not end what clears up.
trap 'trap "" HUP INT TERM; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
sshd=
for found in "$(command -v sshd)" /usr/sbin/sshd /run/current-system/sw/bin/sshd; do
  if [ -z "$sshd" ] && [ -x "$found" ]; then sshd=$found; fi
done
[ -n "$sshd" ] || { echo '@clanpy failed there is no sshd'; exit 1; }
ssh-keygen -q -t ed25519 -N '' -C '' -f "$dir/host" || { echo '@clanpy failed ssh-keygen failed'; exit 1; }
printf '%s' "PATH=$PATH; export PATH
$GIVE" >"$dir/give"
printf 'restrict,command="exec /bin/sh %s" %s\n' "$dir/give" "$KEY" >"$dir/keys"
me=$(id -un)
{
  printf '%s\n' "HostKey $dir/host" "AuthorizedKeysFile $dir/keys" "AllowUsers $me" 'PidFile none' 'StrictModes no' \
    'PermitRootLogin forced-commands-only' 'PubkeyAuthentication yes' 'PasswordAuthentication no' \
    'KbdInteractiveAuthentication no' 'DisableForwarding yes' 'PermitTTY no' 'PrintMotd no' 'UseDNS no' \
    'MaxStartups 64:30:128'
  if [ "$(id -u)" = 0 ]; then "$sshd" -T 2>/dev/null | sed -n 's/^usepam /UsePAM /p'; fi
} >"$dir/config"
for port in $PORTS; do
  "$sshd" -D -e -f "$dir/config" -p "$port" 2>&1 | while IFS= read -r line; do
    case $line in
    'Server listening'*) printf '@clanpy ready %s %s %s %s %s\n' "$port" "$me" "$(cut -d' ' -f1,2 "$dir/host.pub" | tr ' ' ,)" "$dir" "${SSH_CONNECTION:-}" ;;
    *) printf '%s\n' "$line" ;;
    esac
  done
done
echo '@clanpy failed its sshd did not start'
"""

_TAKING = r"""# taking store paths from a host beside it
set -u
umask 077
dir=$(mktemp -d) || exit 1
agent=
trap 'trap "" HUP INT TERM; [ -z "$agent" ] || kill "$agent"; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
eval "$(ssh-agent -s)" >/dev/null || exit 41
agent=$SSH_AGENT_PID
while IFS= read -r line && [ "$line" != . ]; do printf '%s\n' "$line"; done | ssh-add -q - 2>/dev/null || exit 41
cat >"$dir/paths"
printf 'peer %s\n' "$HOST_KEY" >"$dir/known"
ask() {
  ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$dir/known" -o GlobalKnownHostsFile=/dev/null \
    -o HostKeyAlias=peer -o HostKeyAlgorithms=ssh-ed25519 -o ConnectTimeout=5 -o ServerAliveInterval=5 -o ServerAliveCountMax=3 \
    -o PreferredAuthentications=publickey -p "$PORT" -l "$ACCOUNT" "$1"
}
address=
for found in $ADDRESSES; do
  if ask "$found" </dev/null >/dev/null; then address=$found; break; fi
done
[ -n "$address" ] || exit 42
from=1
while some=$(sed -n "$from,$((from + STEP - 1))p" "$dir/paths") && [ -n "$some" ]; do
  printf '%s\n' "$some" | ask "$address" | nix-store --import >/dev/null || exit 43
  from=$((from + STEP))
done
"""


@dataclass(frozen=True, slots=True)
class Giving:
    """Where a host passes on what it has: as which account, under which key of its own, at which addresses to try in order, and where its files are."""

    port: int
    account: str
    host_key: str
    addresses: tuple[str, ...]
    folder: str


def giving_script(public_key: str) -> str:
    """The script for the giving end. It says when it is ready, and runs until its connection ends."""
    ports = " ".join(map(str, PORTS))
    return f"KEY={shlex.quote(public_key)} GIVE={shlex.quote(_GIVE)} PORTS={shlex.quote(ports)}\n{_GIVING}"


def read_ready(line: str, addresses: Sequence[str]) -> Giving | None:
    """Where it is ready, if that is what a line says. Where its sshd was reached by us goes before `addresses`."""
    words = line.removeprefix(MARK).split()
    if not line.startswith(f"{MARK}ready "):
        return None
    _, port, account, key, folder, *connection = words
    own = connection[2:3]  # SSH_CONNECTION: their address and port, then its own
    return Giving(int(port), account, key.replace(",", " "), tuple(dict.fromkeys([*own, *addresses])), folder)


def taking_script(giving: Giving) -> str:
    """The script for the taking end. It reads a private key, a line with a dot, and the paths, each after those it refers to."""
    values = {
        "PORT": str(giving.port),
        "ACCOUNT": giving.account,
        "HOST_KEY": giving.host_key,
        "ADDRESSES": " ".join(giving.addresses),
        "STEP": str(AT_ONCE),
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()) + _TAKING
