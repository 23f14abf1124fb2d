#!/bin/sh
# Makes the secrets of compose.yaml, those that are not there yet, in secrets/ beside this file or in the folder given.
# Prints the new key of the caller `intranet`, which is kept nowhere.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"
cd "$folder"
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
for name in rag_password reader_password; do
  [ -e "$name" ] || random 24 > "$name"
done
if [ ! -e dagster_service ]; then
  printf '[dagster]\nhost=postgres\nport=5432\ndbname=dagster\nuser=rag\npassword=%s\n' "$(cat rag_password)" > dagster_service
fi
if [ ! -e intranet_key_sha256 ]; then
  key=rag_$(random 24)
  printf %s "$key" | sha256sum | cut -d ' ' -f 1 > intranet_key_sha256
  echo "key of intranet (for its owner, shown once): $key"
fi
# Containers read them as users of their own; the folder keeps others of this machine away.
chmod 444 ./*
