import type { components } from "./schema.js";

type Shapes = components["schemas"];

export type SearchRequest = Shapes["SearchRequest"];
export type SearchResponse = Shapes["SearchResponse"];
export type SearchHit = Shapes["SearchHit"];
export type FacetsRequest = Shapes["FacetsRequest"];
export type FacetsResponse = Shapes["FacetsResponse"];
export type DocumentResponse = Shapes["DocumentResponse"];
export type FeedbackRequest = Shapes["FeedbackRequest"];
export type FeedbackResponse = Shapes["FeedbackResponse"];
export type Indexes = Shapes["Indexes"];
export type PushedDocument = Shapes["PushedDocument"];
export type PushBatch = Shapes["PushBatch"];
export type PushReceipt = Shapes["PushReceipt"];
export type PushReceipts = Shapes["PushReceipts"];
export type PushedState = Shapes["PushedState"];
export type PushReceiptState = Shapes["PushReceiptState"];
export type AdminResponse = Shapes["AdminResponse"];
export type QuarantineResponse = Shapes["QuarantineResponse"];
export type DeletionResponse = Shapes["DeletionResponse"];
export type DecisionRequest = Shapes["DecisionRequest"];
export type ProblemDetails = Shapes["ProblemDetails"];

export type ErrorKind =
  | "CredentialError"
  | "ForbiddenEntityError"
  | "MissingEntityError"
  | "ConflictError"
  | "UsageError"
  | "ThrottledError"
  | "TransientError"
  | "RagError";

export class ServiceError extends Error {
  readonly kind: ErrorKind;
  readonly status: number | null;
  readonly problem: ProblemDetails | null;
  /** Seconds, of a `ThrottledError`. */
  readonly retryAfter: number | null;
}

export class Client {
  constructor(url: string, options?: { key?: string; token?: string; timeout?: number; fetch?: typeof fetch });
  search(asked: SearchRequest | string): Promise<SearchResponse>;
  facets(asked: FacetsRequest): Promise<FacetsResponse>;
  document(
    documentId: number,
    options?: { index?: string; chunkId?: string; first?: number },
  ): Promise<DocumentResponse>;
  feedback(said: FeedbackRequest): Promise<FeedbackResponse>;
  indexes(): Promise<Indexes>;
  putDocument(source: string, id: string, document: PushedDocument, options: { key: string }): Promise<PushReceipt>;
  deleteDocument(source: string, id: string, options: { key: string }): Promise<PushReceipt>;
  sendBatch(source: string, batch: PushBatch): Promise<PushReceipts>;
  documentState(source: string, id: string): Promise<PushedState>;
  receiptState(source: string, receipt: string): Promise<PushReceiptState>;
  admin(): Promise<AdminResponse>;
  quarantine(source: string, options?: { limit?: number }): Promise<QuarantineResponse>;
  deletion(id: number): Promise<DeletionResponse>;
  decide(id: number, decision: DecisionRequest): Promise<DeletionResponse>;
}
