/**
 * Keeps the page for when there is no network, and gives it the headers that memory between threads asks for where its host does not.
 * A version's files are stored together under its name; a page of one version never gets a file of another.
 */
import { keep } from "./kept.ts";

/** Every file of this version and a name for all of them, put here by the build. */
declare const FILES: readonly string[];
declare const VERSION: string;
/** The page's own policy. */
declare const POLICY: string;

/** What is used of a service worker's world; TypeScript knows it only where pages' is not known. */
interface ServiceWorkerScope extends EventTarget {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
}
interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}

const worker = self as unknown as ServiceWorkerScope;
const home = new URL(worker.registration.scope);
/** Several may live on one origin. */
const PREFIX = `deplsr ${home.pathname} `;
const CACHE = PREFIX + VERSION;

const HEADERS: readonly (readonly [name: string, value: string])[] = [
  ["Cross-Origin-Opener-Policy", "same-origin"],
  ["Cross-Origin-Embedder-Policy", "require-corp"],
];
const POLICY_HEADER = "Content-Security-Policy";

worker.addEventListener("install", (event) => {
  (event as ExtendableEvent).waitUntil(install());
});

worker.addEventListener("activate", (event) => {
  (event as ExtendableEvent).waitUntil(activate());
});

worker.addEventListener("message", (event) => {
  if ((event as MessageEvent).data === "take over") void worker.skipWaiting();
});

worker.addEventListener("fetch", (event) => {
  const { request } = event as FetchEvent;
  const url = new URL(request.url);
  if (url.origin !== home.origin || !url.pathname.startsWith(home.pathname)) return;
  const path = url.pathname.slice(home.pathname.length);
  if (request.method === "POST" && path === "share") (event as FetchEvent).respondWith(takeShared(request));
  if (request.method === "GET") (event as FetchEvent).respondWith(answer(request, path));
});

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  // What the browser has stored for itself may be of another version.
  await cache.addAll(FILES.map((file) => new Request(new URL(file, home), { cache: "reload" })));
}

async function activate(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(
    names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)),
  );
  await worker.clients.claim();
}

async function answer(request: Request, path: string): Promise<Response> {
  const cache = await caches.open(CACHE);
  const stored = await cache.match(new URL(path === "" ? "index.html" : path, home), { ignoreVary: true });
  return isolated(stored ?? (await fetch(request)));
}

/** Photos that another app shares: they wait for the page that is shown then. */
async function takeShared(request: Request): Promise<Response> {
  const shared = (await request.formData()).getAll("photos");
  await keep(shared.filter((one) => one instanceof File).map((file) => ({ file, wanted: true })));
  return Response.redirect(home.href, 303);
}

function isolated(response: Response): Response {
  // Of what is redirected or of another origin nothing can be read.
  if (response.status === 0 || response.type === "opaqueredirect") return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of HEADERS) headers.set(name, value);
  // What a page says in its text does not hold for its workers: each has the policy that its file comes with.
  const isScript = /javascript/.test(headers.get("Content-Type") ?? "");
  if (isScript && !headers.has(POLICY_HEADER)) headers.set(POLICY_HEADER, POLICY);
  const { status, statusText } = response;
  const body = status === 204 || status === 304 ? null : response.body;
  return new Response(body, { status, statusText, headers });
}
