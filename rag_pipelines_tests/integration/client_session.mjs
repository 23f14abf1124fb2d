// What test_client_javascript.py has the JavaScript client do; prints what it got as JSON.

import { Client, ServiceError } from "../../rag_pipelines/client/javascript/client.js";

const [, , url, logins] = process.argv;
const users = JSON.parse(logins);
const told = { seen: {}, errors: {} };

async function error(work) {
  try {
    await work();
    return null;
  } catch (one) {
    if (!(one instanceof ServiceError)) throw one;
    return [one.kind, one.status, one.problem?.type ?? null, one.message];
  }
}

for (const key of users.readers) {
  const client = new Client(`${url}/`, { key });
  const found = await client.search({ query: "harbour", index: "main", mode: "lexical" });
  told.seen[key] = found.hits.map((hit) => hit.path);
  const [hit] = found.hits;
  const text = (await client.document(hit.document_id, { index: "main", chunkId: hit.chunk_id })).text;
  if (!text.includes(hit.text)) throw new Error("the document does not hold its passage");
  await client.feedback({ receipt: found.receipt, verdict: "up" });
  await client.facets({ index: "main" });
  await client.indexes();
}

const crm = new Client(url, { key: users.sender });
const id = "javascript?a=b c";
const receipt = await crm.putDocument("crm", id, { text: "The heron waits." }, { key: "js-1" });
told.state = (await crm.receiptState("crm", receipt.receipt)).state;
told.bytes = (await crm.documentState("crm", id)).bytes;
told.batch = (await crm.sendBatch("crm", { sendings: [{ action: "delete", key: "js-2", id }] })).receipts[0].action;
told.deleted = (await crm.deleteDocument("crm", "other", { key: "js-3" })).action;

const [first] = users.readers;
const client = new Client(url, { key: first });
told.errors.login = await error(() => new Client(url, { key: "nobody" }).search("harbour"));
told.errors.index = await error(() => client.search({ query: "a", index: "nope" }));
told.errors.k = await error(() => client.search({ query: "a", k: 5000 }));
told.errors.key = await error(() => crm.putDocument("crm", id, { text: "Else." }, { key: "js-1" }));
told.errors.push = await error(() => client.documentState("crm", id));
told.errors.missing = await error(() => crm.documentState("crm", "never sent"));
told.errors.away = await error(() => new Client("http://127.0.0.1:9").indexes());
told.errors.address = await error(() => new Client("rag.example"));
console.log(JSON.stringify(told));
