#!/usr/bin/env bash
# fsspec: an option that every cloud driver takes keeps `sftp://` from opening, because it goes to the server's login.
#
# Library    fsspec 2026.9.0 with paramiko 5.1.0
# Behaviour  `use_listings_cache=False` is how a long-running reader of S3, Google or Azure asks for listings
#            that are not kept. The SFTP driver hands every option to `SSHClient.connect`, which knows none of
#            them: a TypeError, before any connection. `skip_instance_cache`, which fsspec takes away itself,
#            is no fault.
# Seen       memory             opened
#            sftp               TypeError: SSHClient.connect() got an unexpected keyword argument 'use_listings_cache'
#            sftp, without it   tried to connect: NoValidConnectionsError
# Who        Anybody who opens roots of several kinds by one function. Here listings that a driver keeps are
#            dropped by `invalidate_cache()` before each one (`connectors/file_trees.py`).
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'fsspec==2026.9.0' 'paramiko==5.1.0' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

def probe() -> None:
    import fsspec

    found = {}
    for protocol, options in {
        "memory": {"use_listings_cache": False},
        "sftp": {"host": "127.0.0.1", "port": 9, "use_listings_cache": False},
        "sftp, without it": {"host": "127.0.0.1", "port": 9, "skip_instance_cache": True},
    }.items():
        try:
            fsspec.filesystem(protocol.partition(",")[0], **options)
            found[protocol] = "opened"
        except TypeError as error:
            found[protocol] = f"TypeError: {error}"
        except OSError as error:
            found[protocol] = f"tried to connect: {type(error).__name__}"
        print(f"{protocol:<18} {found[protocol]}")
    assert found["memory"] == "opened", found
    assert "use_listings_cache" in found["sftp"], found
    assert found["sftp, without it"].startswith("tried to connect"), found


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
