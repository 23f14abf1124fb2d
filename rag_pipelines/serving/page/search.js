// The search page: asks, shows results page by page, and keeps the address in step.

import { account } from "./account.js";
import { ask } from "./ask.js";
import { $, button, count, element, link, say } from "./dom.js";
import { explain } from "./explain.js";
import { narrowings, showFacets } from "./facets.js";
import { byDocument, documentItem, PER_PAGE } from "./results.js";
import { filterOf, fromAddress, narrow, read, toAddress, widen } from "./state.js";
import { wordPattern } from "./texts.js";

const CONTEXT = 2000; // tokens
const NOTHING_LIVE = "Nothing can be searched yet, because no index is live. Ask the people who look after it to build and promote one.";
const NO_INDEX = "There is nothing that this login may search. Ask the people who run the search to give it a source.";

let indexes = [];
let asking = null;
let shown = { request: "", answer: null }; // what was asked last, so that another page of it need not be asked again

async function enter() {
  const found = await ask("v1/indexes");
  indexes = found.indexes;
  $("index").replaceChildren(...indexes.map((one) => {
    const option = element("option", one.live ? one.name : `${one.name} (nothing live yet)`);
    option.value = one.name;
    return option;
  }));
  const live = indexes.find((one) => one.live);
  if (live) $("index").value = live.name;
  $("k").max = found.max_k;
  $("query").maxLength = found.max_question;
  $("search").hidden = false;
  $("admin").hidden = !found.admin;
  say(!indexes.length ? NO_INDEX : live ? "" : NOTHING_LIVE);
  await show();
}

// What stands in the address: a search, or the first view.
async function show() {
  const wanted = fromAddress();
  if (wanted.query.trim()) await search(wanted);
  else clear();
}

function clear() {
  asking?.abort();
  shown = { request: "", answer: null };
  for (const id of ["results", "narrow", "vote", "context", "explanation"]) $(id).hidden = true;
  for (const id of ["documents", "notices", "pages", "remedy", "stages"]) $(id).replaceChildren();
}

function go(wanted) {
  history.pushState(null, "", toAddress(wanted));
  return search(wanted);
}

function choose(name, value) {
  narrow(name, value);
  go(read());
}

async function search(wanted) {
  const where = filterOf(wanted);
  const { index, mode, k, explain: explained } = wanted;
  const request = { query: wanted.query, index: index || null, mode, k, where, context_tokens: CONTEXT, explain: explained };
  const key = JSON.stringify(request);
  if (key !== shown.request) {
    clear();
    asking = new AbortController();
    const { signal } = asking;
    say("Searching …");
    try {
      const [answer, counted] = await Promise.all([
        ask("v1/search", { body: request, signal }),
        ask("v1/facets", { body: { index: index || null, where }, signal }).catch(() => null),
      ]);
      shown = { request: key, answer };
      if (counted) showFacets(counted, wanted, choose);
    } catch (error) {
      if (!signal.aborted) failed(error, wanted);
      return;
    }
  }
  showAnswer(shown.answer, wanted);
}

function failed(error, wanted) {
  if (error.kind === "login") {
    start();
    return;
  }
  const chosen = indexes.find((one) => one.name === wanted.index);
  say(error.kind === "not-available" && chosen && !chosen.live ? NOTHING_LIVE : error.message, true);
  $("remedy").replaceChildren(button("Try again", () => search(wanted)));
}

function showAnswer(answer, wanted) {
  const hits = answer.unquoted ? answer.unquoted.hits : answer.hits;
  const documents = byDocument(hits);
  const pages = Math.max(1, Math.ceil(documents.length / PER_PAGE));
  const page = Math.min(wanted.page, pages);
  const first = (page - 1) * PER_PAGE;
  const pattern = wordPattern(wanted.query);
  const items = documents.slice(first, first + PER_PAGE).map((hits) => documentItem(hits, pattern, answer.index));
  $("documents").start = first + 1;
  $("documents").replaceChildren(...items);
  $("notices").replaceChildren(...notices(answer), ...narrowed(wanted));
  const found = documents.length ? count(documents.length, "document") : "Nothing found";
  $("results-title").textContent = answer.unquoted && documents.length ? `${found} without the quoted phrases` : found;
  $("results").hidden = false;
  $("vote").hidden = false;
  $("packed").textContent = answer.context.text;
  $("context").hidden = !answer.context.text;
  if (answer.explanation) explain(answer);
  showPages(wanted, page, pages, hits.length);
  $("remedy").replaceChildren(...(documents.length ? [] : remedies(wanted)));
  say(documents.length ? summary({ ...answer, hits }, page, pages) : nothing(wanted));
}

function summary({ hits, version }, page, pages) {
  const place = pages > 1 ? `, page ${page} of ${pages}` : "";
  return `${count(hits.length, "passage")} of version ${version}${place}.`;
}

const isNarrowed = (wanted) => filterOf(wanted) !== null;

function nothing(wanted) {
  const first = "Nothing was found that you may see.";
  return isNarrowed(wanted)
    ? `${first} There may be more where you do not narrow it down.`
    : `${first} Try other words; a document that you miss may not be open to this login.`;
}

function remedies(wanted) {
  if (!isNarrowed(wanted)) return [];
  return [button("Search everything", () => {
    widen();
    go(read());
  })];
}

// Whether there is an answer in it is claimed only as far as it was learned of the index; else it is said what is known.
function notices({ hits, context, notes }) {
  const told = notes.map((note) => element("p", `Note: ${note}.`, "notice"));
  if (!hits.length) return told;
  const sure = context.confidence === null ? "" : ` (${Math.round(context.confidence * 100)} % sure that there is one)`;
  if (context.answerable === true) told.push(element("p", `These passages seem to hold an answer${sure}.`, "notice"));
  if (context.answerable === false) {
    told.push(element("p", `No answer was found${sure}: ${context.reason}. What follows is only near to the question.`, "notice warn"));
  }
  if (context.answerable === null && hits.every((hit) => !hit.scores.lexical)) {
    told.push(element("p", "Low confidence: no passage has a word of the question. What follows is only near in meaning.", "notice warn"));
  }
  return told;
}

function narrowed(wanted) {
  const made = narrowings(wanted, choose);
  return made.length ? [element("p", ["Only ", ...made.flatMap((one) => [one, " "])], "chips")] : [];
}

function showPages(wanted, page, pages, hits) {
  const parts = [];
  const to = (number, text) => {
    const made = link(toAddress({ ...wanted, page: number }), text);
    made.addEventListener("click", async (event) => {
      event.preventDefault();
      await go({ ...wanted, page: number });
      $("results").focus();
    });
    return made;
  };
  if (page > 1) parts.push(to(page - 1, "Previous page"));
  if (pages > 1) parts.push(element("span", `Page ${page} of ${pages}`));
  if (page < pages) parts.push(to(page + 1, "Next page"));
  const most = Number($("k").max);
  if (page === pages && hits >= wanted.k && wanted.k < most) {
    parts.push(button("Look for more", () => {
      $("k").value = Math.min(most, wanted.k * 2);
      go({ ...read(), page });
    }));
  }
  $("pages").replaceChildren(...parts);
}

async function vote(verdict) {
  const reason = verdict === "down" && $("reason").value || null;
  try {
    await ask("v1/feedback", { body: { receipt: shown.answer.receipt, verdict, reason } });
    $("vote").hidden = true;
    say("Thank you; that was counted.");
  } catch (error) {
    say(error.message, true);
  }
}

async function start() {
  clear();
  $("search").hidden = true;
  say("");
  try {
    await account(enter);
    if (!$("search").hidden && !location.hash) $("query").focus();
  } catch (error) {
    say(error.message, true);
    $("remedy").replaceChildren(button("Try again", start));
  }
}

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  go(read());
});
$("vote").addEventListener("submit", (event) => {
  event.preventDefault();
  vote(event.submitter.value);
});
$("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address holds the search
  $("results").focus();
});
addEventListener("popstate", () => show());
$("facets").open = matchMedia("(min-width: 50rem)").matches;
start();
