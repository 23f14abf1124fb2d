// Hits as documents with their best passages, and the addresses that lead to them.

import { count, element, link, outside } from "./dom.js";
import { opening, snippet, whole } from "./texts.js";

export const PER_PAGE = 10; // documents
const SHOWN = 3; // passages of a document that are not folded

// Hits by document, in the order of the best passage of each.
export function byDocument(hits) {
  const found = new Map();
  for (const hit of hits) {
    if (!found.has(hit.document_id)) found.set(hit.document_id, []);
    found.get(hit.document_id).push(hit);
  }
  return [...found.values()];
}

export function documentItem(hits, pattern, index) {
  const [best] = hits;
  const there = webAddress(best);
  const title = element("h3", [there ? outside(there, best.title) : link(readAddress(best, index), best.title)]);
  const facts = [best.source, best.path];
  if (best.author) facts.push(best.author);
  if (best.modified_at) facts.push(`changed ${best.modified_at.slice(0, 10)}`);
  if (best.text_of) facts.push(`text of ${best.text_of.slice(0, 10)}; the newer bytes cannot be read`);
  if (best.as_of) facts.push(`as of ${best.as_of.slice(0, 10)}`);
  const parts = hits.map((hit) => passage(hit, pattern, index));
  const more = parts.splice(SHOWN);
  if (more.length) {
    const folded = element("details", [element("summary", `${count(more.length, "more passage")} of this document`), ...more]);
    parts.push(folded);
  }
  return element("li", [element("article", [title, element("p", facts.join(" · "), "facts"), ...parts])]);
}

function passage(hit, pattern, index) {
  const heading = opening(hit.text, hit.title);
  const short = snippet(hit.text, hit.context, pattern, [hit.title, heading]);
  const full = whole(hit.text, hit.context, pattern);
  const parts = [element("h4", sectionOf(hit, heading)), ...hit.instructions.map((range) => suspicion(hit, range)), short];
  const places = [link(readAddress(hit, index), "Read it here")];
  const there = webAddress(hit);
  if (there) places.push(" ", outside(there, "Open it where it is"));
  for (const place of places) place.setAttribute?.("aria-label", `${place.textContent}: ${hit.citation}`);
  const letters = (nodes) => nodes.map((one) => one.textContent.replace(/\s/g, "")).join("");
  const rest = full.filter((one) => ![hit.title, heading].includes(one.textContent));
  const more = element("details", [element("summary", "Whole passage"), element("div", full, "whole")]);
  return element("div", [
    ...parts, element("p", places, "places"), ...(letters([short]) === letters(rest) ? [] : [more]),
  ], "passage");
}

// The section and the page, without the title that stands above.
function sectionOf(hit, heading) {
  const parts = hit.heading_path.filter((heading) => heading !== hit.title);
  if (heading) parts.push(heading);
  if (hit.pages) parts.push(hit.pages[0] === hit.pages[1] ? `page ${hit.pages[0]}` : `pages ${hit.pages[0]} to ${hit.pages[1]}`);
  if (hit.confidence !== null) parts.push(`recognised, ${Math.round(hit.confidence * 100)} % sure`);
  return parts.join(" › ") || (hit.start === 0 ? "Beginning" : "Passage");
}

// Offsets count code points, as Python's strings do.
function suspicion(hit, range) {
  const quoted = [...hit.text].slice(range.start, range.end).join("");
  return element("p", [
    "Looks like an order to a model: ", element("q", quoted), ` (${range.features.join(", ")})`,
  ], "suspicion");
}

// The document on the web at the passage: the page of a PDF, else the words at which it begins. Null where it has no
// address of the web.
export function webAddress(hit) {
  let url;
  try { url = new URL(hit.url); } catch { return null; }
  if (!["https:", "http:"].includes(url.protocol)) return null;
  if (hit.media_type === "application/pdf") {
    if (hit.pages && !url.hash) url.hash = `page=${hit.pages[0]}`;
    return url.href;
  }
  const line = hit.text.split("\n").find((one) => one.split(" ").length > 3 && !one.includes(" | ")) || "";
  const words = line.trim().split(/\s+/).slice(0, 8).join(" ");
  return words ? `${url.href}${url.hash ? "" : "#"}:~:text=${encodeURIComponent(words).replaceAll("-", "%2D")}` : url.href;
}

// The document's text in this service, at the passage.
export function readAddress(hit, index) {
  const there = new URLSearchParams({ index, id: hit.document_id, chunk: hit.chunk_id, start: hit.start, end: hit.end });
  if (location.hash.length > 1) there.set("search", location.hash.slice(1));
  return `document#${there}`;
}
