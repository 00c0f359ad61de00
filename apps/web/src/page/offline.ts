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
  const kept = await takeUp();
  app.take(kept.filter(({ wanted }) => wanted).map(({ file }) => file));
  app.putBy(kept.filter(({ wanted }) => !wanted).map(({ file }) => file));
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

/** Loads the page again; the photos come with it. Results do not: of those that are done, others are made. */
async function reload(app: App): Promise<void> {
  const left = app.queue.items.filter(({ unreadable }) => !unreadable);
  try {
    const photos = left.map(({ file, name, pending, result }) => ({
      file: new File([file], name, { type: file.type }),
      wanted: pending || result !== null,
    }));
    if (photos.length > 0) await keep(photos);
  } catch {
    // No room to keep them: the photos stay, and so does this page.
    app.trouble = "There is no room to keep your photos for the new version: it is taken when this page is closed.";
    return;
  }
  location.reload();
}
