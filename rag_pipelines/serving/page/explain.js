// How a result came about, as tables.

import { $, element, table } from "./dom.js";

const shown = (value) => typeof value === "number" && !Number.isInteger(value) ? value.toFixed(4) : value ?? "–";

// Where every hit stood after each stage, from the two searches to the answer; then what the stages say of themselves.
// A passage without a score by one search was not found by it, and has no rank there.
export function explain(answer) {
  const { rewritten, route, steps, cached, embed_ms, search_ms } = answer.explanation;
  const columns = ["dense", "dense_rank", "lexical", "lexical_rank", "fused"];
  const found = answer.unquoted ? answer.unquoted.hits : answer.hits;
  const passages = found.map((hit, at) => {
    const { dense, dense_rank, lexical, lexical_rank, fused } = hit.scores;
    return [
      at + 1, hit.citation, dense, dense_rank, lexical || null, lexical_rank, fused,
      ...steps.flatMap((step) => {
        const place = step.places.find((one) => one.chunk_id === hit.chunk_id && one.document_id === hit.document_id);
        return place ? [place.rank, place.score] : [null, null];
      }),
    ].map(shown);
  });
  const after = steps.flatMap((step) => [`${step.stage}_rank`, step.stage]);
  const facts = [
    ["index", answer.index], ["version", answer.version], ["mode", answer.mode],
    ["embed_ms", embed_ms], ["search_ms", search_ms], ["cached", cached ? "yes, of an earlier search" : "no"],
  ];
  if (route) {
    facts.push(["route", route.exact ? "everything that you may see was compared" : "along the vector index"]);
    facts.push(["words", route.thorough ? "every passage with a word was looked at" : "common words alone were left out"]);
  }
  if (rewritten) {
    const changes = rewritten.changes.map((one) => `${one.old} → ${one.new} (${one.kind})`);
    facts.push(["asked", rewritten.text], ["rewriting", [...changes, rewritten.note].filter(Boolean).join("; ")]);
  }
  const parts = [
    element("h3", "Ranks and scores"),
    table(["place", "passage", ...columns, ...after], passages, "Ranks and scores of the passages"),
  ];
  if (steps.length) {
    const rows = steps.map((step) => [step.stage, step.places.length, step.ms, step.failed ? "failed" : "done", step.note].map(shown));
    parts.push(element("h3", "Stages"), table(["stage", "candidates", "ms", "outcome", "note"], rows, "Stages"));
  }
  const rows = facts.map((pair) => pair.map(shown));
  parts.push(element("h3", "The search"), table(["what", "value"], rows, "Facts of the search"));
  $("stages").replaceChildren(...parts);
  $("explanation").hidden = false;
}
