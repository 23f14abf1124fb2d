// Elements of the page. Everything that comes from a document or a person is put in as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function element(name, content = "", className = "") {
  const made = document.createElement(name);
  made.append(...(Array.isArray(content) ? content : [String(content)]));
  if (className) made.className = className;
  return made;
}

export function button(text, act, className = "") {
  const made = element("button", text, className);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

export const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;

export function say(text, bad = false) {
  $("status").textContent = text;
  $("status").className = bad ? "bad" : "";
}

export function link(address, text) {
  const made = element("a", text);
  made.href = address;
  return made;
}

// A link to another site; an address that is none of the web is only shown.
export function outside(address, text) {
  const made = link(address, text);
  made.rel = "noopener noreferrer";
  made.target = "_blank";
  return made;
}

// A table of figures or texts. A row's cells are texts, numbers, or lists of nodes.
export function table(columns, rows, caption = "") {
  const head = element("tr", columns.map((name) => {
    const cell = Array.isArray(name) ? element("th", name) : element("th", name);
    cell.scope = "col";
    return cell;
  }));
  const body = rows.map((row) => element("tr", row.map((value) => element("td", value))));
  const parts = [element("thead", [head]), element("tbody", body)];
  if (caption) parts.unshift(element("caption", caption));
  const wide = element("div", [element("table", parts)], "wide");
  wide.tabIndex = 0; // may be scrolled, so the keyboard must get there
  wide.setAttribute("role", "group");
  wide.setAttribute("aria-label", caption || "Table");
  return wide;
}
