#!/usr/bin/env bash
# Runs a command in an image as it is meant to run: as 10001, with a read-only root file system, of which /tmp,
# /var/lib/rag and /var/lib/dagster can be written. For machines without a container engine; needs root and buildah.
# The network is the machine's own.
#
#   deploy/run.sh IMAGE [--mount FROM:TO]… [--env NAME=VALUE]… COMMAND…      FROM is read-only inside
set -euo pipefail
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
if ! command -v buildah > /dev/null || [[ $EUID -ne 0 ]]; then
  echo "SKIPPED: this needs buildah and root"
  exit 0
fi

image=$1; shift
mounts=() variables=()
while [[ ${1:-} == --mount || ${1:-} == --env ]]; do
  if [[ $1 == --mount ]]; then mounts+=("$2"); else variables+=("$2"); fi
  shift 2
done
container=$(buildah from --pull-never "$image")
root=$(buildah mount "$container")
trap 'buildah rm "$container" > /dev/null' EXIT
# The lines of its Env, as `env -i` takes them.
mapfile -t defaults < <(buildah inspect --format '{{range .Docker.Config.Env}}{{println .}}{{end}}' "$container" | sed '/^$/d')
for mount in "${mounts[@]}"; do
  if [[ -d ${mount%%:*} ]]; then mkdir -p "$root${mount#*:}"; else mkdir -p "$(dirname "$root${mount#*:}")"; touch "$root${mount#*:}"; fi
done

export ROOT=$root MOUNTS="${mounts[*]}"
# Mounts of a namespace of its own go with its last process; the shell becomes the command, which gets the signals.
exec 3< <(printf '%s\0' "${defaults[@]}" "${variables[@]}")
unshare --mount bash -c '
  set -euo pipefail
  mount --bind "$ROOT" "$ROOT"
  for place in /tmp /var/lib/rag /var/lib/dagster; do
    mount -t tmpfs -o uid=10001,gid=10001,mode=0700 none "$ROOT$place"
  done
  mount -t proc none "$ROOT/proc"
  mount --rbind /dev "$ROOT/dev"
  for mount in $MOUNTS; do
    mount --bind "${mount%%:*}" "$ROOT${mount#*:}"
    mount -o remount,ro,bind "$ROOT${mount#*:}"
  done
  mount -o remount,ro,bind "$ROOT"
  mapfile -d "" -t variables <&3
  exec chroot --userspec=10001:10001 "$ROOT" /usr/bin/env -i -C /var/lib/rag "${variables[@]}" "$@"
' run "$@"
