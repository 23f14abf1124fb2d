#!/usr/bin/env bash
# ragas: a plain installation brings a langchain-community beside which it cannot be imported.
#
# Library    ragas 0.4.3 and langchain-community 0.4.2, which `pip install ragas` chooses in November 2026
# Behaviour  `ragas.llms.base` imports `langchain_community.chat_models.vertexai` at the top, also for who uses
#            no model of Vertex; langchain-community 0.4.2 has no such module any more, and ragas names no bound.
# Seen       `from ragas import EvaluationDataset` raises ModuleNotFoundError; with langchain-community 0.3.31 it
#            reads a file of samples.
# Who        Whoever exports a run for RAGAS and installs that beside it. docs/how-to/golden-sets.md names the bound.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'ragas==0.4.3' 'langchain-community==0.4.2' || exit 2

cat > probe.py <<'PYTHON'
import json
from importlib.metadata import version
from pathlib import Path

print("ragas", version("ragas"), "beside langchain-community", version("langchain-community"))
Path("samples.jsonl").write_text(
    json.dumps({"user_input": "When?", "retrieved_contexts": ["In May."], "reference_contexts": ["May"]}) + "\n"
)
try:
    from ragas import EvaluationDataset
except ModuleNotFoundError as error:
    print("import fails:", error)
else:
    print("samples read:", len(EvaluationDataset.from_jsonl("samples.jsonl").samples))
PYTHON

fails=$(venv/bin/python probe.py)
echo "$fails"
venv/bin/pip install --quiet --disable-pip-version-check 'langchain-community==0.3.31' || exit 2
reads=$(venv/bin/python probe.py)
echo "$reads"
[[ $fails == *"import fails: No module named 'langchain_community.chat_models.vertexai'"* ]] || exit 1
[[ $reads == *"samples read: 1"* ]] || exit 1
