// The HTTP service asked from JavaScript: browsers, Node 18 and later, Deno, Bun. No dependencies.
// Its types are in client.d.ts, from those of the service's own description (schema.d.ts).

/** What went wrong. `kind` is the name of the error that the same mistake is in Python. */
export class ServiceError extends Error {
  constructor(kind, message, { problem = null, status = null, retryAfter = null, cause } = {}) {
    super(message, { cause });
    this.name = "ServiceError";
    this.kind = kind;
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

const KINDS = {
  401: "CredentialError",
  403: "ForbiddenEntityError",
  409: "ConflictError",
  429: "ThrottledError",
};
const TRANSIENT = [408, 502, 503, 504];
const MISSING = ["no-such-answer", "no-such-document", "no-such-receipt"];

function kindOf(status, slug) {
  if (TRANSIENT.includes(status)) return "TransientError";
  if (status === 404 && MISSING.includes(slug)) return "MissingEntityError";
  return KINDS[status] ?? (status < 500 ? "UsageError" : "RagError");
}

async function failure(answer) {
  const { status } = answer;
  let problem = null;
  try {
    problem = await answer.json();
  } catch {
    // not an answer of this service
  }
  if (typeof problem?.type !== "string") {
    const kind = status >= 500 ? "TransientError" : "UsageError";
    return new ServiceError(kind, `${answer.url} answered ${status}, not as this service does`, { status });
  }
  const slug = problem.type.split(":").pop();
  const message = `${problem.detail} (${status} ${slug}, request ${problem.request_id})`;
  const retryAfter = status === 429 ? Number(answer.headers.get("retry-after") ?? 1) : null;
  return new ServiceError(kindOf(status, slug), message, { problem, status, retryAfter });
}

/** Asks one service on behalf of one login. */
export class Client {
  #url;
  #login;
  #timeout;
  #fetch;

  /** `key`: an API key, or `token`: a person's token. `timeout` in milliseconds. */
  constructor(url, { key, token, timeout = 30_000, fetch = globalThis.fetch } = {}) {
    if (!/^https?:\/\//.test(url)) {
      throw new ServiceError("UsageError", `received '${url}' as the service's address; valid: http://… or https://…`);
    }
    if (key !== undefined && token !== undefined) {
      throw new ServiceError("UsageError", "received a key and a token; valid: one of them");
    }
    this.#url = url.replace(/\/+$/, "");
    this.#login = key !== undefined ? { "X-API-Key": key } : token !== undefined ? { Authorization: `Bearer ${token}` } : {};
    this.#timeout = timeout;
    this.#fetch = fetch;
  }

  search(asked) {
    return this.#send("POST", "/v1/search", { body: typeof asked === "string" ? { query: asked } : asked });
  }

  facets(asked) {
    return this.#send("POST", "/v1/facets", { body: asked });
  }

  document(documentId, { index, chunkId, first } = {}) {
    return this.#send("GET", `/v1/documents/${documentId}`, { params: { index, chunk_id: chunkId, first } });
  }

  feedback(said) {
    return this.#send("POST", "/v1/feedback", { body: said });
  }

  indexes() {
    return this.#send("GET", "/v1/indexes");
  }

  putDocument(source, id, document, { key }) {
    return this.#push("PUT", source, "document", { params: { id }, key, body: document });
  }

  deleteDocument(source, id, { key }) {
    return this.#push("DELETE", source, "document", { params: { id }, key });
  }

  sendBatch(source, batch) {
    return this.#push("POST", source, "batch", { body: batch });
  }

  documentState(source, id) {
    return this.#push("GET", source, "document", { params: { id } });
  }

  receiptState(source, receipt) {
    return this.#push("GET", source, `receipts/${encodeURIComponent(receipt)}`);
  }

  admin() {
    return this.#send("GET", "/v1/admin");
  }

  quarantine(source, { limit } = {}) {
    return this.#send("GET", "/v1/admin/quarantine", { params: { source, limit } });
  }

  deletion(id) {
    return this.#send("GET", `/v1/admin/deletions/${encodeURIComponent(id)}`);
  }

  decide(id, decision) {
    return this.#send("POST", `/v1/admin/deletions/${encodeURIComponent(id)}`, { body: decision });
  }

  #push(method, source, rest, given) {
    return this.#send(method, `/v1/push/${encodeURIComponent(source)}/${rest}`, given);
  }

  async #send(method, path, { params = {}, key, body } = {}) {
    const asked = Object.entries(params).filter(([, value]) => value !== undefined);
    const query = asked.length ? `?${new URLSearchParams(asked)}` : "";
    const headers = { ...this.#login };
    if (key !== undefined) headers["Idempotency-Key"] = key;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await this.#fetch.call(globalThis, `${this.#url}${path}${query}`, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(this.#timeout),
      });
    } catch (cause) {
      throw new ServiceError("TransientError", `no answer from ${this.#url}: ${cause.message}`, { cause });
    }
    if (!answer.ok) throw await failure(answer);
    return answer.json();
  }
}
