#!/usr/bin/env bash
# What the gates of GitHub and GitLab do: ask a golden set, compare the run with BASELINE, write OUTPUT/comment.md.
# Exit code 1 where something came back that must not, or nDCG fell by more than MAX_DROP.
#
#   GOLDEN=… INDEX=… [VERSION=…] [BASELINE=…] [MAX_DROP=…] [LABEL=…] OUTPUT=FOLDER evaluate.sh
set -euo pipefail
mkdir -p "$OUTPUT"
options=(--index "$INDEX" --label "${LABEL:-ci}" --md "$OUTPUT/report.md" --json)
[[ -z ${VERSION:-} ]] || options+=(--version "$VERSION")

failed=0
rag-pipelines eval run "$GOLDEN" "${options[@]}" > "$OUTPUT/run.json" || failed=$?
# Anything but 0 and 1 (something came back that must not) made no run.
[[ $failed -le 1 ]] || exit "$failed"
run=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["run"])' "$OUTPUT/run.json")
echo "run=$run" >> "${GITHUB_OUTPUT:-/dev/null}"
cp "$OUTPUT/report.md" "$OUTPUT/comment.md"

if [[ -n ${BASELINE:-} ]]; then
  rag-pipelines eval compare "$BASELINE" "$run" --md "$OUTPUT/comment.md" --json > "$OUTPUT/comparison.json"
  python3 - "$OUTPUT/comparison.json" "${MAX_DROP:-0.02}" <<'PYTHON' || failed=1
import json, sys

found = json.load(open(sys.argv[1]))["differences"]["all"]
measure = next((name for name in found if name.startswith("nDCG")), None)
if measure is None:
    sys.exit("the runs have no nDCG in common, so nothing was compared")
fell = -found[measure]["mean"]
print(f"{measure} {'fell' if fell > 0 else 'rose'} by {abs(fell):.4f}")
sys.exit(fell > float(sys.argv[2]))
PYTHON
fi
exit "$failed"
