// The view of those who look after knowledge: how sources and indexes stand, what failed, and decisions on deletions.

import { begin } from "./account.js";
import { ask } from "./ask.js";
import { $, button, count, element, outside, say, table } from "./dom.js";

const CAUSES = {
  vanished: "A complete listing did not name them any more.",
  removed: "The source said that they are gone.",
  source_removed: "The source left the configuration.",
  retention: "They are older than they may become.",
};

async function show(said = "") {
  const found = await ask("v1/admin");
  $("all").hidden = false;
  $("switches").replaceChildren(...found.switches.map((one) => element("p", `Switched: ${one.sentence}`, "notice warn")));
  deletions(found);
  const columns = ["Source", "Documents", "Read", "To load", "Waiting", "Failed", "Earlier text", "Listed", "Last run"];
  $("sources").replaceChildren(found.sources.length ? table(columns, found.sources.map(source)) : element("p", "There are none."));
  quarantine(found.sources.filter((one) => one.quarantined));
  $("indexes").replaceChildren(...found.indexes.flatMap(index));
  say(said || `As of ${moment(new Date().toISOString())}.`);
}

const source = (one) => [
  one.source,
  one.documents.toLocaleString("en"),
  one.coverage === null ? "" : `${(one.coverage * 100).toFixed(1)} %`,
  one.to_load || "",
  one.pending || "",
  one.quarantined || "",
  one.last_texts || "",
  listed(one),
  [one.last_run || "never", one.last_run_at ? moment(one.last_run_at) : ""].join(" ").trim(),
];

function listed(one) {
  const promised = `promised within ${span(one.promised_seconds)}`;
  if (one.lag_seconds === null) return `never (${promised})`;
  const told = `${span(one.lag_seconds)} ago (${promised})`;
  return one.overdue ? [element("strong", "Overdue: ", "bad"), told] : told;
}

function deletions(found) {
  const waiting = found.deletions.filter((one) => one.waiting);
  $("deletions").replaceChildren(...waiting.map((one) => deletion(one, found.may_decide)));
  if (!waiting.length) $("deletions").append(element("li", "None waits."));
  const decided = found.deletions.filter((one) => one.decided_at);
  $("decided").hidden = !decided.length;
  const rows = decided.map((one) => [
    String(one.deletion_id), one.source, one.state, one.hidden.toLocaleString("en"), moment(one.decided_at), one.decided_by, one.reason,
  ]);
  const columns = ["Number", "Source", "Decided", "Hidden", "When", "Who", "Why"];
  $("decided").lastElementChild.replaceChildren(table(columns, rows, "Decisions, the newest first"));
}

function deletion(one, mayDecide) {
  const made = element("li", [
    element("h3", `${count(one.waiting, "document")} of ${one.source}, of ${one.known.toLocaleString("en")} that it held`),
    element("p", `${CAUSES[one.cause] || one.cause} Served until somebody decides, since ${moment(one.parked_at)}.`),
  ]);
  const named = element("div");
  const more = button("Show the documents", async () => {
    try {
      const told = await ask(`v1/admin/deletions/${one.deletion_id}`);
      const rows = told.documents.map((item) => [item.url ? [outside(item.url, item.path)] : item.path, item.title || ""]);
      const caption = `${rows.length} of ${one.waiting.toLocaleString("en")}`;
      named.replaceChildren(table(["Document", "Title"], rows, caption));
      more.hidden = true;
    } catch (error) {
      say(error.message, true);
    }
  });
  made.append(element("p", [more]), named);
  if (mayDecide) made.append(decision(one));
  else made.append(element("p", "Your role does not let you decide.", "facts"));
  return made;
}

function decision(one) {
  const reason = element("input");
  reason.required = true;
  reason.maxLength = 1000;
  const form = element("form", [
    element("label", ["Why (kept with your name)", reason]), choice("approve", "Delete them"), choice("reject", "Serve them on"),
  ], "row");
  form.setAttribute("aria-label", `Decide on deletion ${one.deletion_id}`);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const decided = event.submitter.value;
    try {
      await ask(`v1/admin/deletions/${one.deletion_id}`, { body: { decision: decided, reason: reason.value } });
      const what = decided === "approve" ? "hidden from now on" : "served on";
      await show(`Decided: ${count(one.waiting, "document")} of ${one.source}, ${what}.`);
      $("status").focus();
    } catch (error) {
      say(error.message, true);
    }
  });
  return form;
}

function choice(value, text) {
  const made = element("button", text);
  made.type = "submit";
  made.value = value;
  return made;
}

function quarantine(sources) {
  if (!sources.length) {
    $("quarantine").replaceChildren(element("p", "None."));
    return;
  }
  const parts = sources.map((one) => {
    const inside = element("div");
    const made = element("details", [element("summary", `${one.source}: ${count(one.quarantined, "document")}`), inside]);
    made.addEventListener("toggle", async () => {
      if (!made.open || inside.childElementCount) return;
      try {
        const told = await ask(`v1/admin/quarantine?source=${encodeURIComponent(one.source)}`);
        const columns = ["Document", "Stage", "Why", "Tries", "Next try", "Served meanwhile"];
        inside.replaceChildren(table(columns, told.entries.map(entry), `The newest ${told.entries.length}`));
      } catch (error) {
        say(error.message, true);
      }
    });
    return made;
  });
  $("quarantine").replaceChildren(...parts);
}

const entry = (one) => [
  one.document, one.stage, `${one.status}: ${one.message}`, String(one.attempts),
  one.next_try_at ? moment(one.next_try_at) : "when it changes",
  one.text_of ? `text of ${one.text_of.slice(0, 10)}` : "",
];

function index(one) {
  const behind = one.documents_behind === null ? "nothing is live" : `${count(one.documents_behind, "changed document")} not shown yet`;
  const facts = [behind, one.as_of ? `sources as of ${moment(one.as_of)}` : ""].filter(Boolean).join(" · ");
  const columns = ["Version", "State", "Passages", "Built", "Live since", "Gates"];
  const rows = one.versions.map((version) => [
    String(version.version), version.error ? `${version.state}: ${version.error}` : version.state,
    version.passages === null ? "" : version.passages.toLocaleString("en"),
    version.built_at ? moment(version.built_at) : "", version.promoted_at ? moment(version.promoted_at) : "", gates(version.gates),
  ]);
  const trials = one.canaries.map((trial) => element("p",
    `Trial of version ${trial.version} on ${(trial.share * 100).toFixed(0)} % since ${moment(trial.started_at)}, by ${trial.started_by}: `
    + `${trial.state}${trial.verdict ? `, ${trial.verdict}` : ""}`, "notice"));
  return [
    element("h3", one.index), element("p", facts, "facts"), ...trials,
    one.versions.length ? table(columns, rows) : element("p", "It was never built."),
  ];
}

function gates(all) {
  if (!all.length) return "not judged";
  const bad = all.filter((one) => !one.passed);
  if (!bad.length) return `all ${all.length} passed`;
  const told = bad.map((one) => `${one.gate} (${one.observed ?? "?"}, asked for ${one.threshold ?? "?"})`);
  return [element("strong", "Refused: ", "bad"), told.join(", ")];
}

const moment = (text) => text.slice(0, 16).replace("T", " ");

function span(seconds) {
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (seconds >= size) return count(Math.round(seconds / size), unit);
  }
  return count(Math.round(seconds), "second");
}

begin(show, {
  "not-your-role": "This login may not look after knowledge. Log out and in with another, or ask the people who run the search.",
});
