#!/usr/bin/env bash
# Builds the images with buildah, which needs no engine that runs, and says what each holds. The last line is what was
# built, or why nothing was.
#
#   deploy/build.sh [TARGET…] [-- OPTION OF `buildah bud`…]        targets: core worker serve; all by default
#
# BASE names the base image, PYMUPDF=without leaves PyMuPDF out, TAG is the tag (the version of the package).
# Without a registry, a base is made of Debian's packages, once: BASE=debootstrap deploy/build.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

targets=()
while [[ $# -gt 0 && $1 != -- ]]; do targets+=("$1"); shift; done
[[ $# -gt 0 ]] && shift
[[ ${#targets[@]} -gt 0 ]] || targets=(core worker serve)

if ! command -v buildah > /dev/null; then
  echo "SKIPPED: buildah is not installed (apt-get install buildah)"
  exit 0
fi
# In a machine without overlay or namespaces this still builds; elsewhere set them to what the machine can.
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
BASE=${BASE:-python:3.12-slim-bookworm}
VERSION=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' rag_pipelines/__init__.py)
TAG=${TAG:-$VERSION}
PYMUPDF=${PYMUPDF:-with}

if [[ $BASE == debootstrap ]]; then
  BASE=localhost/rag-pipelines-base:bookworm
  if ! buildah inspect --type image "$BASE" > /dev/null 2>&1; then
    if ! command -v debootstrap > /dev/null; then
      echo "SKIPPED: BASE=debootstrap, and debootstrap is not installed (apt-get install debootstrap)"
      exit 0
    fi
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root/debian"
    rm -rf "$root"/debian/var/lib/apt/lists/* "$root"/debian/var/cache/apt/*
    container=$(buildah from scratch)
    buildah copy --quiet "$container" "$root/debian" / > /dev/null
    buildah commit --quiet --rm "$container" "$BASE" > /dev/null
  fi
fi

for target in "${targets[@]}"; do
  image=localhost/rag-pipelines-$target:$TAG
  # The form `docker` keeps the health check, for which the form of OCI has no place.
  buildah bud --format docker --file deploy/Dockerfile --ignorefile deploy/Dockerfile.dockerignore \
    --target "$target" --tag "$image" \
    --build-arg "BASE=$BASE" --build-arg "VERSION=$VERSION" --build-arg "PYMUPDF=$PYMUPDF" \
    --build-arg "REVISION=$(git rev-parse --short HEAD 2> /dev/null || echo unknown)" "$@" .
  deploy/inspect.sh "$image"
done
echo "built: ${targets[*]}"
