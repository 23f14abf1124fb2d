#!/bin/sh
# The last step of each environment: the code goes in, what nobody runs goes out. Called by the Dockerfile alone.
#   trim.sh with|without     whether PyMuPDF stays
set -eu
pip() { /opt/pip/bin/pip --python /opt/rag/bin/python "$@"; }
pip install --no-deps --force-reinstall .
case "$1" in
    with) ;;
    without) pip uninstall --yes pymupdf pymupdf-layout pymupdf4llm onnxruntime ;;
    *) echo "received PYMUPDF=$1; valid: with, without" >&2; exit 2 ;;
esac
# torch asks for it to compile extensions, which no image could.
pip uninstall --yes setuptools
packages=$(/opt/rag/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
find "$packages" -depth -type d -name tests -exec rm -rf {} +
find "$packages" -type f \( -name '*.h' -o -name '*.hpp' -o -name '*.cuh' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.a' \) -delete
