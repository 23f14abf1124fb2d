// Texts of documents as elements: words of the question marked, tables as tables, headings as headings.

import { element, table } from "./dom.js";

const SNIPPET = 420; // characters
const ROWS = 5; // of a table in a snippet
const CELLS = " | ";

// Words of a question that say nothing about a passage, English and German.
const COMMON = new Set(("about and any are auf can das dem den der des die does ein eine einer for from get gibt has have how "
  + "ist mit much many not our should that the them there they this und von was were what when where which who whom why wie "
  + "will with wo would you your").split(" "));

// The question's words, longest first; a word also marks what begins with it (claim, claims).
export function wordPattern(question) {
  const words = question.match(/[\p{L}\p{N}][\p{L}\p{N}_-]*/gu) || [];
  const tells = (word) => word.length > 2 && !COMMON.has(word.toLowerCase()) || /\p{N}/u.test(word);
  const worth = [...new Set(words.filter(tells))];
  if (!worth.length) return null;
  worth.sort((a, b) => b.length - a.length);
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${worth.join("|")})[\\p{L}\\p{N}]{0,3}`, "giu");
}

export function marked(text, pattern) {
  if (!pattern) return [text];
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(pattern)) {
    parts.push(text.slice(at, found.index), element("mark", found[0]));
    at = found.index + found[0].length;
  }
  return [...parts, text.slice(at)];
}

// Paragraphs and tables, each with its text and place. Lines with as many cells each are a table.
export function blocks(text) {
  const found = [];
  let at = 0;
  for (const piece of text.split(/(\n{2,})/)) {
    if (piece.trim()) {
      const rows = piece.split("\n").map((line) => line.split(CELLS));
      const even = rows.length > 1 && rows[0].length > 1 && rows.every((row) => row.length === rows[0].length);
      found.push({ at, text: piece, rows: even ? rows : null });
    }
    at += piece.length;
  }
  return found;
}

// The heading that a passage begins with, as one that opens a section does: a short line, no sentence, with text below.
export function opening(text, title) {
  const [first, next] = blocks(text).filter((one) => one.text !== title);
  const short = first && next && !first.text.includes("\n") && first.text.length < 80 && !/[.!?:;,|]$/.test(first.text);
  return short ? first.text : "";
}

// A whole passage; `context` is the head of a table that begins before it.
export function whole(text, context, pattern) {
  return blocks(text).map((one, place) => {
    const rows = rowsOf(one, place === 0 ? context : "");
    return rows ? cells(rows, pattern) : element("p", marked(one.text, pattern), "text");
  });
}

// Where most of the question's words stand: some rows of a table, or a stretch of text not longer than SNIPPET. Headings
// that are shown beside it are left out where there is anything else.
export function snippet(text, context, pattern, headings) {
  const all = blocks(text);
  const below = all.filter((one) => !headings.includes(one.text));
  const found = below.length ? below : all;
  const hits = (one) => pattern ? [...one.text.matchAll(pattern)].length : 0;
  const best = found.reduce((most, one) => (hits(one) > hits(most) ? one : most), found[0]);
  const rows = best && rowsOf(best, best === found[0] ? context : "");
  if (!rows) return element("p", marked(stretch(plain(found, best), pattern), pattern), "snippet");
  const [head, ...others] = rows;
  const telling = others.filter((row) => pattern && row.some((cell) => cell.search(pattern) >= 0));
  const shown = (telling.length ? telling : others).slice(0, ROWS);
  return cells([head, ...shown], pattern);
}

function rowsOf(block, context) {
  const head = context ? context.split("\n").map((line) => line.split(CELLS)) : [];
  const rows = block.rows || (context ? block.text.split("\n").map((line) => line.split(CELLS)) : null);
  if (!rows) return null;
  const width = rows[0].length;
  return width > 1 && rows.every((row) => row.length === width)
    ? [...head.filter((row) => row.length === width), ...rows] : null;
}

function cells([head, ...rows], pattern) {
  return table(head.map((cell) => marked(cell, pattern)), rows.map((row) => row.map((cell) => marked(cell, pattern))));
}

// The paragraphs around a block, up to the next tables.
function plain(found, block) {
  const at = found.indexOf(block);
  let [first, last] = [at, at];
  while (first > 0 && !found[first - 1].rows) first -= 1;
  while (last + 1 < found.length && !found[last + 1].rows) last += 1;
  return found.slice(first, last + 1).map((one) => one.text).join("\n\n");
}

function stretch(text, pattern) {
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
