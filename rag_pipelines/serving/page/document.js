// One document: its text as the index has it, with a passage marked. Whether the login may see it is asked anew.

import { begin } from "./account.js";
import { ask } from "./ask.js";
import { $, element, link, outside, say, table } from "./dom.js";
import { typeName } from "./facets.js";
import { webAddress } from "./results.js";
import { blocks, opening } from "./texts.js";

const wanted = () => new URLSearchParams(location.hash.slice(1));

async function show() {
  const asked = wanted();
  $("back").href = `./${asked.get("search") ? `#${asked.get("search")}` : ""}`;
  const options = new URLSearchParams({ index: asked.get("index") || "" });
  if (asked.get("first")) options.set("first", asked.get("first"));
  else if (asked.get("chunk")) options.set("chunk_id", asked.get("chunk"));
  const found = await ask(`v1/documents/${encodeURIComponent(asked.get("id"))}?${options}`);
  document.title = found.title;
  $("title").textContent = found.title;
  $("facts").replaceChildren(...facts(found));
  const from = Math.max(Number(asked.get("first")) - found.start, 0);
  const points = [...found.text]; // offsets count code points
  const mark = found.found && { start: Number(asked.get("start")) - found.start, end: Number(asked.get("end")) - found.start };
  $("text").replaceChildren(...parts(points.slice(from).join(""), headings(found, points), mark && shift(mark, from), found.title));
  part("earlier", found.start + from > 0 ? Math.max(found.start + from - points.length, 0) : null, "Earlier part of this document");
  const end = found.start + points.length;
  part("later", end < found.length ? end : null, "Later part of this document");
  const marked = $("text").querySelector("mark");
  marked?.scrollIntoView({ block: "center" });
  const gone = asked.get("chunk") && !asked.get("first") && !found.found;
  say(gone ? "The passage is not in the document any more; this is the text of now." : "");
}

const shift = (mark, by) => ({ start: mark.start - by, end: mark.end - by });

function facts(found) {
  const told = [found.source, found.path];
  if (found.media_type) told.push(typeName(found.media_type));
  if (found.author) told.push(found.author);
  if (found.modified_at) told.push(`changed ${found.modified_at.slice(0, 10)}`);
  if (found.text_of) told.push(`text of ${found.text_of.slice(0, 10)}; the newer bytes cannot be read`);
  if (found.as_of) told.push(`as of ${found.as_of.slice(0, 10)}`);
  const there = webAddress({ ...found, text: "", pages: null });
  return [told.join(" · "), ...(there ? [" · ", outside(there, "Open it where it is")] : [])];
}

// The level of every heading that stands over a passage, or opens one; the title has the first.
function headings(found, points) {
  const levels = new Map();
  for (const passage of found.passages) {
    const path = passage.heading_path[0] === found.title ? passage.heading_path.slice(1) : [...passage.heading_path];
    const own = opening(points.slice(passage.start - found.start, passage.end - found.start).join(""), found.title);
    if (own) path.push(own);
    path.forEach((heading, depth) => levels.set(heading, Math.min(depth + 2, 6)));
  }
  return levels;
}

function parts(text, levels, mark, title) {
  let before = 0; // code points
  let at = 0;
  return blocks(text).flatMap((block, place) => {
    before += [...text.slice(at, block.at)].length;
    at = block.at;
    if (place === 0 && block.text === title) return [];
    if (block.rows) return [rowsOf(block, mark && shift(mark, before))];
    const level = levels.get(block.text);
    return [element(level ? `h${level}` : "p", marked(block.text, mark && shift(mark, before)), level ? "" : "text")];
  });
}

// A text with what of it lies within the mark.
function marked(text, mark) {
  if (!mark) return [text];
  const points = [...text];
  const [start, end] = [Math.max(mark.start, 0), Math.min(mark.end, points.length)];
  if (start >= end) return [text];
  const cut = (from, to) => points.slice(from, to).join("");
  return [cut(0, start), element("mark", cut(start, end)), cut(end)];
}

function rowsOf(block, mark) {
  let at = 0;
  const rows = block.rows.map((row) => row.map((cell) => {
    const made = marked(cell, mark && shift(mark, at));
    at += [...cell].length + 3; // " | ", of which a line end takes one
    return made;
  }).map((cell, place, all) => {
    if (place === all.length - 1) at -= 2;
    return cell;
  }));
  return table(rows[0], rows.slice(1));
}

function part(id, first, text) {
  const there = wanted();
  there.set("first", first ?? "");
  $(id).replaceChildren(link(`document#${there}`, text));
  $(id).hidden = first === null;
}

const GONE = "This document is not there any more, or this login may not see it. Search for it anew.";

const start = () => begin(show, { "no-such-document": GONE, "invalid-request": GONE });

addEventListener("popstate", start);
start();
