import { fileURLToPath } from "node:url";
import { beforeAll, expect, it } from "vitest";
import { ISOLATED, withPage } from "../../../../scripts/chromium.ts";
import { type Computed, compute } from "./cpu-page.ts";

const entry = fileURLToPath(new URL("cpu-page.ts", import.meta.url));

let inNode: Computed;
beforeAll(async () => {
  const computed = await compute(1);
  // Browsers have vectors of 128 bits, which give the same bits.
  inNode = { ...computed, adapter: computed.adapter.replace(" of 256 bits", "") };
});

/** Allows code from the page's own server alone; `data:` is the page's icon. */
const STRICT = { "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src data:" };

it("runs on threads in a cross-origin isolated page whose policy is strict, with the bits of one thread and of Node", async () => {
  await withPage({ entry, headers: { ...ISOLATED, ...STRICT } }, async (page) => {
    const lines: string[] = [];
    page.on("console", (message) => lines.push(message.text()));
    let workers = 0;
    page.on("worker", () => workers++);
    for (const threads of [1, 3]) {
      const inPage = (await page.evaluate(`compute(${threads})`)) as Computed;
      const adapter = inNode.adapter.replace("1 thread", threads === 1 ? "1 thread" : "3 threads");
      expect(inPage).toEqual({ ...inNode, adapter });
      expect(workers).toBe(threads - 1);
    }
    expect(lines).toEqual([]);
  });
});

it("runs on one thread in any other page, and says so once", async () => {
  await withPage({ entry, headers: {} }, async (page) => {
    const lines: string[] = [];
    page.on("console", (message) => lines.push(`${message.type()}: ${message.text()}`));
    for (let device = 0; device < 2; device++) {
      const inPage = (await page.evaluate("compute(2)")) as Computed;
      expect(inPage.reason).toContain("; one thread, since the page is not cross-origin isolated (serve it with");
      expect(inPage).toEqual({ ...inNode, reason: inPage.reason });
    }
    expect(lines).toEqual([
      expect.stringContaining(
        "warning: deplsr: the CPU backend runs on one thread, since the page is not cross-origin",
      ),
    ]);
  });
});

it("runs on one thread where the page may not start workers", async () => {
  const headers = { ...ISOLATED, "Content-Security-Policy": "worker-src 'none'" };
  await withPage({ entry, headers }, async (page) => {
    const inPage = (await page.evaluate("compute(2)")) as Computed;
    expect(inPage.reason).toContain("; one thread, since its workers do not start");
    expect(inPage).toEqual({ ...inNode, reason: inPage.reason });
  });
});
