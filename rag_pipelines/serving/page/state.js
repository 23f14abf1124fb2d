// A search as the form and the address have it. It stands behind the # of the address: it can be bookmarked, comes
// back with the browser's buttons, and is never sent to a server.

import { $ } from "./dom.js";

export const PASSAGES = 50;
const TEXTS = ["query", "path", "since", "until"]; // fields of the form
const NARROWED = ["source", "type", "label"]; // by a click

const NAMES = { query: "q" };
const chosen = {}; // what was clicked

export function read() {
  const wanted = { index: $("index").value, mode: $("mode").value, k: Number($("k").value) || PASSAGES, page: 1 };
  for (const name of TEXTS) wanted[name] = $(name).value;
  return { ...wanted, ...chosen, explain: $("explain").checked };
}

export function narrow(name, value) {
  if (name === "year") {
    $("since").value = value ? `${value}-01-01` : "";
    $("until").value = value ? `${Number(value) + 1}-01-01` : "";
  } else chosen[name] = value;
}

export function widen() {
  for (const name of NARROWED) chosen[name] = "";
  for (const name of ["path", "since", "until"]) $(name).value = "";
}

export function toAddress(wanted) {
  const kept = new URLSearchParams();
  for (const name of [...TEXTS, ...NARROWED, "index"]) if (wanted[name]) kept.set(NAMES[name] || name, wanted[name]);
  if (wanted.mode !== "hybrid") kept.set("mode", wanted.mode);
  if (wanted.k !== PASSAGES) kept.set("k", wanted.k);
  if (wanted.page > 1) kept.set("page", wanted.page);
  if (wanted.explain) kept.set("explain", "1");
  return `#${kept}`;
}

// Fills the form from the address, and returns the search that stands there.
export function fromAddress() {
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const name of TEXTS) $(name).value = kept.get(NAMES[name] || name) || "";
  for (const name of NARROWED) chosen[name] = kept.get(name) || "";
  const has = (id, value) => [...$(id).options].some((one) => one.value === value);
  if (has("index", kept.get("index"))) $("index").value = kept.get("index");
  $("mode").value = has("mode", kept.get("mode")) ? kept.get("mode") : "hybrid";
  $("k").value = Number(kept.get("k")) || Math.min(PASSAGES, Number($("k").max));
  $("explain").checked = kept.has("explain");
  return { ...read(), page: Math.max(1, Math.trunc(Number(kept.get("page"))) || 1) };
}

// What the service takes as a filter; null where nothing is narrowed.
export function filterOf(wanted) {
  const all = [];
  if (wanted.source) all.push({ field: "source", equals: wanted.source });
  if (wanted.type) all.push({ field: "media_type", equals: wanted.type });
  if (wanted.label) all.push({ field: "labels", equals: wanted.label });
  if (wanted.path) all.push({ field: "path", prefix: wanted.path });
  const bounds = {};
  if (wanted.since) bounds.gte = `${wanted.since}T00:00:00Z`;
  if (wanted.until) bounds.lt = `${wanted.until}T00:00:00Z`;
  if (Object.keys(bounds).length) all.push({ field: "modified_at", ...bounds });
  return all.length ? { all } : null;
}
