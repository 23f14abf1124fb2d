// Logging in and out: by a key that is typed, or by signing in at the provider.

import { $, button, element, link, say } from "./dom.js";
import { ask, secret } from "./ask.js";

const RETURN = "rag-pipelines-return";
const PROBLEMS = {
  refused: "You could not be signed in. Try again; if it stays so, tell the people who run the search",
  "not-begun": "The sign-in took too long, or began in another window. Try again",
};
const LATER = "You cannot be signed in now. Try again in a minute; if it stays so, tell the people who run the search";

// Shows who is logged in, or the ways to. `enter` is called with a login that may hold, and raises `Refused`.
export async function account(enter) {
  const failed = comingBack();
  let ways;
  try {
    ways = await ask("auth/account");
    await enter();
  } catch (error) {
    if (error.kind !== "login") {
      showOut(ways, enter);
      throw error;
    }
    const typed = secret.get() !== null;
    secret.drop();
    showWays(ways, enter, failed || (typed ? "This key is not valid any more. Type it again, or ask for a new one." : ""));
    return;
  }
  showOut(ways, enter);
  if (failed) showWays(ways, enter, failed);
}

// Shows a page to whoever may see it, or in a sentence why not: `told` has one for each kind of problem that the page
// expects.
export async function begin(show, told) {
  try {
    await account(async () => {
      try {
        await show();
      } catch (error) {
        if (!told[error.kind]) throw error;
        say(told[error.kind], true);
      }
    });
  } catch (error) {
    say(error.message, true);
  }
}

// What is told behind the # after a sign-in; what was looked for before it comes back into the address.
function comingBack() {
  const told = new URLSearchParams(location.hash.slice(1));
  const problem = told.get("sign-in");
  const before = sessionStorage.getItem(RETURN);
  sessionStorage.removeItem(RETURN);
  if (before && (problem || !location.hash)) {
    const there = new URL(location.origin);
    [there.pathname, there.hash] = JSON.parse(before);
    if (there.pathname !== location.pathname) location.replace(there);
    else history.replaceState(null, "", there);
  } else if (problem) history.replaceState(null, "", location.pathname);
  return problem ? `${PROBLEMS[problem] || LATER} (request ${told.get("request")}).` : "";
}

function showWays(ways, enter, problem) {
  const parts = [
    element("h2", "Log in to search"),
    element("p", "What you find is what you may see. If you have no login, ask the people who run the search for one."),
  ];
  if (ways.sign_in) {
    const there = link("auth/sign-in", "Sign in with your account");
    there.className = "button";
    there.addEventListener("click", () => {
      sessionStorage.setItem(RETURN, JSON.stringify([location.pathname, location.hash]));
    });
    parts.push(element("p", [there]));
  }
  const wrong = element("p", problem, "bad");
  wrong.id = "entry-problem";
  wrong.setAttribute("role", "alert");
  if (ways.by_header) parts.push(keyForm(enter, wrong, ways.sign_in));
  $("entry").replaceChildren(...parts, wrong);
  $("entry").hidden = false;
  $("account").replaceChildren();
}

// A wrong key leaves the form as it is, with what was typed.
function keyForm(enter, wrong, beside) {
  const typed = element("input");
  typed.id = "secret";
  typed.type = "password";
  typed.autocomplete = "off";
  typed.required = true;
  typed.setAttribute("aria-describedby", wrong.id);
  const label = element("label", [beside ? "Or type the key that you were given" : "The key that you were given", typed]);
  const send = element("button", "Log in");
  send.type = "submit";
  const form = element("form", [element("div", [label, send], "row")]);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    secret.set(typed.value.trim());
    wrong.textContent = "";
    typed.removeAttribute("aria-invalid");
    try {
      await enter();
      showOut(await ask("auth/account"), enter);
    } catch (error) {
      secret.drop();
      const unknown = "This key is not valid. Check that all of it was copied, or ask for a new one.";
      wrong.textContent = error.kind === "login" ? unknown : error.message;
      typed.setAttribute("aria-invalid", "true");
      typed.focus();
    }
  });
  return form;
}

function showOut(ways, enter) {
  $("entry").hidden = true;
  if (!ways) return;
  const key = secret.get() !== null;
  const who = key ? "Logged in with a key" : ways.name ? `Signed in as ${ways.name}` : "";
  const parts = who ? [element("span", `${who} `), button("Log out", leave)] : [];
  if (!who && (ways.sign_in || ways.by_header)) parts.push(button("Log in", () => showWays(ways, enter, "")));
  $("account").replaceChildren(...parts);
}

async function leave() {
  const signedIn = secret.get() === null;
  secret.drop();
  const left = signedIn ? await ask("auth/sign-out", { body: {} }).catch(() => ({})) : {};
  location.assign(left.next || location.pathname);
  if (!left.next) location.reload();
}
