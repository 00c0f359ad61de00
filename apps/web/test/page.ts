/** What tests call in the page. */
import { openUpscaler } from "../src/client/upscaler.ts";

Object.assign(globalThis, { openUpscaler });
