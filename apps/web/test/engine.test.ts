import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { buildPage, ISOLATED, openBrowser, serve, watched } from "./harness.ts";

it("enlarges a photo in WebAssembly", async () => {
  const out = await mkdtemp(join(tmpdir(), "deplsr-web-"));
  await buildPage(fileURLToPath(new URL("page.ts", import.meta.url)), out);
  const server = await serve(out, () => ISOLATED);
  const browser = await openBrowser();
  try {
    const page = watched(await browser.newPage());
    await page.goto(server.url);
    const photo = await readFile(new URL("../../../packages/models/photographs/deer.jpg", import.meta.url));
    const answer = await page.evaluate(async (base64) => {
      const open = (globalThis as unknown as { openUpscaler: import("../src/client/api.ts").OpenUpscaler })
        .openUpscaler;
      const upscaler = await open({ backend: "wasm" });
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const photo = await upscaler.read(new Blob([bytes], { type: "image/jpeg" }), { name: "deer.jpg" });
      const result = await photo.enlarge({ scale: 2 });
      const file = await result.encode("png");
      return { device: upscaler.device, width: result.width, seconds: result.seconds, size: file.size };
    }, photo.toString("base64"));
    console.log(answer);
    expect(answer.width).toBe(768);
  } finally {
    await browser.close();
    server.close();
  }
});
