// The search page. Everything that comes from a document or a person is put in as text, never as markup.
"use strict";

const $ = (id) => document.getElementById(id);
const SECRET = "rag-pipelines-login";
const SNIPPET = 420; // characters
const CONTEXT = 2000; // tokens
// Words of a question that say nothing about a passage, English and German.
const COMMON = new Set(("about and any are auf can das dem den der des die does ein eine einer for from get gibt has have how "
  + "ist mit much many not our should that the them there they this und von was were what when where which who whom why wie "
  + "will with wo would you your").split(" "));
let indexes = [];
let asking = null;
let receipt = null; // of the answer that is shown

function element(name, content = "", className = "") {
  const made = document.createElement(name);
  made.append(...(Array.isArray(content) ? content : [String(content)]));
  if (className) made.className = className;
  return made;
}

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").className = bad ? "bad" : "";
}

// A JSON Web Token is three parts of base64url, the first of which is a JSON object.
function loginHeaders() {
  const secret = sessionStorage.getItem(SECRET);
  if (!secret) return {};
  const token = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/.test(secret);
  return token ? { Authorization: `Bearer ${secret}` } : { "X-API-Key": secret };
}

async function ask(path, options = {}) {
  const headers = { ...loginHeaders(), ...(options.body ? { "Content-Type": "application/json" } : {}) };
  const answer = await fetch(path, { ...options, headers, credentials: "omit" });
  const body = await answer.json();
  if (!answer.ok) {
    const more = (body.errors || []).map((one) => `${one.field}: received ${one.received}; valid: ${one.valid}`);
    throw new Error([body.detail, ...more].join("\n") + ` (request ${body.request_id})`);
  }
  return body;
}

function fill(select, pairs) {
  select.replaceChildren(...pairs.map(([value, text]) => {
    const option = element("option", text);
    option.value = value;
    return option;
  }));
}

function showSources() {
  const chosen = indexes.find((one) => one.name === $("index").value);
  fill($("source"), [["", "any"], ...(chosen ? chosen.sources : []).map((name) => [name, name])]);
}

async function enter() {
  const known = Boolean(sessionStorage.getItem(SECRET));
  $("logout").hidden = !known;
  $("fields").hidden = known;
  try {
    const found = await ask("v1/indexes");
    indexes = found.indexes;
    fill($("index"), indexes.map((one) => [one.name, one.live ? one.name : `${one.name} (nothing live yet)`]));
    $("k").max = found.max_k;
    $("query").maxLength = found.max_question;
    say(indexes.length ? "" : "There is no index for this login.");
  } catch (error) {
    indexes = [];
    fill($("index"), []);
    say(error.message, true);
  }
  showSources();
}

function leave() {
  receipt = null;
  $("vote").hidden = true;
  $("context").hidden = true;
  $("results").replaceChildren();
  $("stages").replaceChildren();
  $("explanation").hidden = true;
}

function request() {
  const filters = {};
  if ($("source").value) filters.sources = [$("source").value];
  if ($("path").value) filters.path_prefix = $("path").value;
  if ($("since").value) filters.since = `${$("since").value}T00:00:00Z`;
  if ($("until").value) filters.until = `${$("until").value}T00:00:00Z`;
  return {
    query: $("query").value, index: $("index").value || null, mode: $("mode").value,
    k: Number($("k").value), filters, context_tokens: CONTEXT, explain: $("explain").checked,
  };
}

// The question's words, longest first; a word also marks what begins with it (claim, claims).
function wordPattern(question) {
  const words = question.match(/[\p{L}\p{N}][\p{L}\p{N}_-]*/gu) || [];
  const tells = (word) => word.length > 2 && !COMMON.has(word.toLowerCase()) || /\p{N}/u.test(word);
  const worth = [...new Set(words.filter(tells))];
  if (!worth.length) return null;
  worth.sort((a, b) => b.length - a.length);
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${worth.join("|")})[\\p{L}\\p{N}]{0,3}`, "giu");
}

function marked(text, pattern) {
  if (!pattern) return [text];
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(pattern)) {
    parts.push(text.slice(at, found.index), element("mark", found[0]));
    at = found.index + found[0].length;
  }
  return [...parts, text.slice(at)];
}

// The stretch of the text, not longer than SNIPPET, in which most of the question's words begin.
function snippet(text, pattern) {
  if (text.length <= SNIPPET) return text;
  const places = pattern ? [...text.matchAll(pattern)].map((found) => found.index) : [];
  let best = 0;
  let most = 0;
  for (const place of places) {
    const inside = places.filter((other) => other >= place && other < place + SNIPPET - 80).length;
    if (inside > most) [best, most] = [place, inside];
  }
  const first = Math.max(0, Math.min(best - 60, text.length - SNIPPET));
  const from = first && text.indexOf(" ", first) + 1;
  const piece = text.slice(from, from + SNIPPET);
  return (from ? "… " : "") + piece + (from + SNIPPET < text.length ? " …" : "");
}

function link(address, text) {
  let url = null;
  try { url = new URL(address); } catch { /* not an address */ }
  if (!url || !["https:", "http:"].includes(url.protocol)) return element("span", text);
  const made = element("a", text);
  made.href = url.href;
  made.rel = "noopener noreferrer";
  made.target = "_blank";
  return made;
}

const shown = (value) => typeof value === "number" && !Number.isInteger(value) ? value.toFixed(4) : value ?? "–";

function table(columns, rows) {
  const head = element("tr", columns.map((name) => element("th", name)));
  const body = rows.map((row) => element("tr", row.map((value) => element("td", shown(value)))));
  return element("div", [element("table", [element("thead", [head]), element("tbody", body)])], "wide");
}

function passage(hit, pattern) {
  const facts = [hit.source, hit.path];
  if (hit.modified_at) facts.push(`modified ${hit.modified_at.slice(0, 10)}`);
  if (hit.text_of) facts.push(`text of ${hit.text_of.slice(0, 10)}; the newer bytes cannot be read`);
  if (hit.as_of) facts.push(`as of ${hit.as_of.slice(0, 10)}`);
  const text = hit.context ? `${hit.context}\n${hit.text}` : hit.text;
  const short = snippet(hit.text, pattern);
  const whole = element("details", [
    element("summary", "Whole passage"),
    element("div", marked(text, pattern), "whole"),
  ]);
  return element("li", [
    element("p", [hit.url ? link(hit.url, hit.citation) : hit.citation], "citation"),
    element("p", facts.join(" · "), "facts"),
    ...hit.instructions.map((range) => suspicion(hit, range)),
    element("p", marked(short, pattern), "snippet"),
    ...(short === text ? [] : [whole]),
  ]);
}

// Offsets count code points, as Python's strings do.
function suspicion(hit, range) {
  const quoted = [...hit.text].slice(range.start, range.end).join("");
  return element("p", [
    "Looks like an order to a model: ", element("q", quoted), ` (${range.features.join(", ")})`,
  ], "suspicion");
}

// Where every hit stood after each stage, from the two searches to the answer; then what the stages say of themselves.
function explain(answer) {
  const { rewritten, route, steps, cached, embed_ms, search_ms } = answer.explanation;
  const columns = ["dense", "dense_rank", "lexical", "lexical_rank", "fused"];
  const passages = answer.hits.map((hit, at) => [
    at + 1, hit.citation, ...columns.map((name) => hit.scores[name]),
    ...steps.flatMap((step) => {
      const place = step.places.find((one) => one.chunk_id === hit.chunk_id && one.document_id === hit.document_id);
      return place ? [place.rank, place.score] : [null, null];
    }),
  ]);
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
  const parts = [element("h3", "Ranks and scores"), table(["place", "passage", ...columns, ...after], passages)];
  if (steps.length) {
    const rows = steps.map((step) => [step.stage, step.places.length, step.ms, step.failed ? "failed" : "done", step.note]);
    parts.push(element("h3", "Stages"), table(["stage", "candidates", "ms", "outcome", "note"], rows));
  }
  parts.push(element("h3", "The search"), table(["what", "value"], facts));
  $("stages").replaceChildren(...parts);
  $("explanation").hidden = false;
}

function showContext(context) {
  $("packed").textContent = context.text;
  $("context").hidden = !context.text;
}

// Without anything learned of the index nothing is claimed.
function summary({ hits, version, context }) {
  const verdict = { true: "They seem to hold an answer", false: "They seem to hold no answer" }[context.answerable];
  return `${hits.length} passage(s) of version ${version}` + (verdict ? `. ${verdict}: ${context.reason}.` : "");
}

async function vote(verdict) {
  const reason = verdict === "down" && $("reason").value || null;
  try {
    await ask("v1/feedback", { method: "POST", body: JSON.stringify({ receipt, verdict, reason }) });
    $("vote").hidden = true;
    say("Thank you; that was counted.");
  } catch (error) {
    say(error.message, true);
  }
}

// The search is kept behind the # of the address: it can be bookmarked, and is never sent to a server.
function remember(wanted) {
  const kept = new URLSearchParams({ q: wanted.query, mode: wanted.mode });
  if (wanted.explain) kept.set("explain", "1");
  history.replaceState(null, "", `#${kept}`);
}

function recall() {
  const kept = new URLSearchParams(location.hash.slice(1));
  $("query").value = kept.get("q") || "";
  if (["hybrid", "lexical", "dense"].includes(kept.get("mode"))) $("mode").value = kept.get("mode");
  $("explain").checked = kept.has("explain");
  return Boolean($("query").value.trim());
}

async function search() {
  const wanted = request();
  remember(wanted);
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  leave();
  say("Searching …");
  try {
    const answer = await ask("v1/search", { method: "POST", body: JSON.stringify(wanted), signal });
    const pattern = wordPattern(wanted.query);
    $("results").replaceChildren(...answer.hits.map((hit) => passage(hit, pattern)));
    if (answer.explanation) explain(answer);
    receipt = answer.receipt;
    $("vote").hidden = false;
    showContext(answer.context);
    say(answer.hits.length ? summary(answer) : "Nothing was found that you may see.");
  } catch (error) {
    if (!signal.aborted) say(error.message, true);
  }
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(SECRET, $("secret").value.trim());
  $("secret").value = "";
  leave();
  enter();
});
$("logout").addEventListener("click", () => {
  sessionStorage.removeItem(SECRET);
  leave();
  enter();
});
$("index").addEventListener("change", showSources);
$("vote").addEventListener("submit", (event) => {
  event.preventDefault();
  vote(event.submitter.value);
});
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
enter().then(() => recall() && indexes.length && search());
