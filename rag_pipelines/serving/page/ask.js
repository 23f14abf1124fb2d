// Asking the service: the login that goes along, and what is wrong as a sentence that says what to do.

const SECRET = "rag-pipelines-login";

export const secret = {
  get: () => sessionStorage.getItem(SECRET),
  set: (value) => sessionStorage.setItem(SECRET, value),
  drop: () => sessionStorage.removeItem(SECRET),
};

// What is wrong: `kind` is that of the problem, "unreachable" where there was no answer of the service.
export class Refused extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const AGAIN = "Try again in a minute; if it stays so, tell the people who run the search";
const SENTENCES = {
  unreachable: `The search service cannot be reached. Check your connection. ${AGAIN}.`,
  busy: "Too many people search at this moment. Try again in a few seconds.",
  "time-out": "The search took too long. Ask for less: fewer passages, or a narrower question.",
  "passing-fault": `A part that the search needs cannot be reached. ${AGAIN}.`,
  "not-available": `This cannot be answered in the present state of the service. ${AGAIN}.`,
  internal: `Something went wrong in the search service. ${AGAIN}.`,
};

export async function ask(path, { body, signal } = {}) {
  const key = secret.get();
  const headers = { ...(key ? login(key) : {}), ...(body ? { "Content-Type": "application/json" } : {}) };
  const method = body ? "POST" : "GET";
  const credentials = key ? "omit" : "same-origin";
  let answer;
  let told;
  try {
    answer = await fetch(path, { method, headers, signal, credentials, body: body && JSON.stringify(body) });
    told = await answer.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused("unreachable", SENTENCES.unreachable);
  }
  if (!answer.ok) throw refusal(told, answer);
  return told;
}

function refusal(told, answer) {
  const kind = String(told.type || "").split(":").pop();
  if (kind === "too-many-requests") {
    return new Refused(kind, `You asked more often than is allowed. Wait ${answer.headers.get("Retry-After") || 60} s.`);
  }
  const more = (told.errors || []).map((one) => `${one.field}: received ${one.received}; valid: ${one.valid}`);
  const sentence = SENTENCES[kind] || [told.detail, ...more].join("\n");
  return new Refused(kind, `${sentence} (request ${told.request_id})`);
}

// A JSON Web Token is three parts of base64url, the first of which is a JSON object.
function login(key) {
  const token = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/.test(key);
  return token ? { Authorization: `Bearer ${key}` } : { "X-API-Key": key };
}
