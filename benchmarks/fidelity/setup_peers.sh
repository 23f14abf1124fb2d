#!/bin/sh
# Creates one environment a peer of the fidelity benchmark, under $RAG_PEERS_HOME. Those that are there are
# left alone. Torch, where a peer needs it, is pinned first so that no other build of it is chosen.
set -u
H=${RAG_PEERS_HOME:-$HOME/.cache/rag-peers}; mkdir -p "$H"; cd "$H"
peer() {  # name of the environment, then what is installed into it
  name=$1; shift
  [ -e "$name/ready" ] && return
  rm -rf "$name"; python3 -m venv "$name" || return
  for wanted in "$@"; do
    "$name/bin/pip" install -q "$wanted" || { echo "$name: $wanted cannot be installed" >&2; return; }
  done
  "$name/bin/pip" freeze > "$name/ready"
}
peer markitdown "markitdown[docx,outlook,pdf,pptx,xls,xlsx]"
peer pymupdf4llm "pymupdf4llm[layout]"
peer kreuzberg kreuzberg
peer xberg xberg
peer unstructured "unstructured[docx,doc,epub,md,msg,odt,ppt,pptx,rtf,xlsx]"
peer docling torch==2.13.0 transformers \
  "docling-slim[convert-core,format-email,format-html,format-office,format-opendocument,format-pdf-pypdfium2]"
