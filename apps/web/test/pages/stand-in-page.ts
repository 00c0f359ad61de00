import { App } from "../../src/page/app.ts";
import { openUpscaler } from "../stand-in.ts";

const app = new App(openUpscaler);
document.body.append(app);
void app.queue.start();
