/** The page's side of its service worker: offline use, isolation, updates. */
import type { App } from "./app.ts";
import { keep, takeUp } from "./kept.ts";

/** Says in this tab that the page was loaded again to be isolated: a browser that will not have it is not asked twice. */
const TRIED = "deplsr-isolating";

/** Starts the service worker, and loads the page again under its headers where the host sends none. */
export async function stayOffline(app: App): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  const { serviceWorker } = navigator;
  let asked = false;
  const first = serviceWorker.controller === null;
  serviceWorker.addEventListener("controllerchange", () => {
    if (asked) void reload(app);
    else if (first) void isolate(app);
    // Another tab has taken the update.
    else app.takeUpdate = () => void reload(app);
  });
  if (!first) void isolate(app);
  const registration = await serviceWorker.register(new URL("sw.js", document.baseURI), { updateViaCache: "none" });
  const offer = (): void => {
    const { waiting } = registration;
    if (waiting === null || serviceWorker.controller === null) return;
    app.takeUpdate = () => {
      asked = true;
      waiting.postMessage("take over");
    };
  };
  offer();
  registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", offer));
}

/** Takes up what was kept for this page. */
export async function takeUpKept(app: App): Promise<void> {
  app.take(await takeUp());
}

async function isolate(app: App): Promise<void> {
  // Who has a result already keeps it; the next visit is isolated.
  if (crossOriginIsolated || app.queue.items.some(({ result }) => result !== null)) return;
  try {
    if (sessionStorage.getItem(TRIED) !== null) return;
    sessionStorage.setItem(TRIED, "1");
  } catch {
    // Without storage nothing would end it.
    return;
  }
  await reload(app);
}

/** Loads the page again; photos that are not done yet come with it. */
async function reload(app: App): Promise<void> {
  const left = app.queue.items.filter(({ pending }) => pending);
  try {
    if (left.length > 0) await keep(left.map(({ file, name }) => new File([file], name, { type: file.type })));
  } catch {
    // No room to keep them: the photos stay, and so does this page.
    return;
  }
  location.reload();
}
