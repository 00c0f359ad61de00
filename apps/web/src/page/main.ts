/** Starts the page. */
import { openUpscaler } from "../client/upscaler.ts";
import { App } from "./app.ts";
import { stayOffline, takeUpKept } from "./offline.ts";

const app = new App(openUpscaler);
document.body.append(app);
void app.queue.start();
// A browser that keeps nothing has kept nothing.
void takeUpKept(app).catch(() => {});
// The service worker's file is made by the build. Without one the page works all the same, but online only.
if (import.meta.env.PROD) void stayOffline(app).catch(() => {});
