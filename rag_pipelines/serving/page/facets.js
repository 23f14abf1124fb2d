// What a search can be narrowed to: counts of documents that the caller may see, and what it is narrowed to now.

import { $, button, count, element } from "./dom.js";

const TITLES = { source: "Source", media_type: "Type", labels: "Label", year: "Last changed in" };
const NAMES = { media_type: "type", labels: "label" };
const TYPES = {
  "application/pdf": "PDF", "text/html": "Web page", "text/markdown": "Markdown", "text/plain": "Text",
  "text/csv": "CSV", "message/rfc822": "Mail", "application/json": "JSON", "text/x-source-code": "Source code",
};
const ENDINGS = [[/wordprocessingml|msword/, "Word"], [/spreadsheetml|ms-excel/, "Excel"], [/presentationml|powerpoint/, "PowerPoint"]];

export function typeName(type) {
  return TYPES[type] || (ENDINGS.find(([kind]) => kind.test(type)) || [null, type])[1];
}

// `choose` is called with the name and the value to narrow to; an empty one widens again.
export function showFacets(counted, wanted, choose) {
  const groups = Object.entries(counted.facets).filter(([, values]) => values.length).map(([field, values]) => {
    const name = NAMES[field] || field;
    const now = name === "year" ? yearOf(wanted) : wanted[name] || "";
    const items = values.map((one) => {
      const is = one.value === now;
      const text = name === "type" ? typeName(one.value) : one.value;
      const made = button(`${text} (${one.documents.toLocaleString("en")})`, () => choose(name, is ? "" : one.value), "value");
      made.setAttribute("aria-pressed", String(is));
      return element("li", [made]);
    });
    const title = element("h3", TITLES[field]);
    return element("div", [title, element("ul", items)]);
  });
  const whole = `${counted.more ? "more than " : ""}${count(counted.documents, "document")} that you may see`;
  $("facet-values").replaceChildren(element("p", whole, "facts"), ...groups);
  $("narrow").hidden = false;
}

// The whole year that a search is narrowed to, if it is one.
export function yearOf({ since, until }) {
  const year = (since || "").slice(0, 4);
  return year && since === `${year}-01-01` && until === `${Number(year) + 1}-01-01` ? year : "";
}

// What the search is narrowed to, each with a button that widens it.
export function narrowings(wanted, choose) {
  const year = yearOf(wanted);
  const named = [
    ["source", wanted.source, "source"], ["type", wanted.type && typeName(wanted.type), "type"],
    ["label", wanted.label, "label"], ["year", year, "changed in"],
  ];
  return named.filter(([, value]) => value).map(([name, value, word]) => {
    const made = button(`${word} ${value} ✕`, () => choose(name, ""), "chip");
    made.setAttribute("aria-label", `no longer only ${word} ${value}`);
    return made;
  });
}
