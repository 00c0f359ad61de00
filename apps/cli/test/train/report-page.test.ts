import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WriteError } from "../../src/errors.ts";
import { type ReportOptions, RunReport, type RunStatus, recordsOf } from "../../src/train/report-page.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const STATUS: RunStatus = {
  step: 50,
  state: "running",
  seconds: 75,
  secondsLeft: 7200,
  times: { steps: 50, time: 1.5, parts: { data: 0.03, forward: 0.4, backward: 0.8, update: 0.15 } },
  memory: {
    liveBytes: 2 ** 20,
    liveBuffers: 1,
    pooledBytes: 2 ** 21,
    peakBytes: 2 ** 24,
    peakLiveBytes: 2 ** 23,
    createdBuffers: 9,
  },
  device: "WASM <SIMD>",
  now: new Date("2026-01-02T03:04:05Z"),
};

function reportIn(folder: string, options: Partial<ReportOptions> = {}): RunReport {
  return new RunReport({
    path: join(folder, "report.html"),
    title: "train sr: <x2>",
    config: "name: a & b\n  list: [1]\n",
    total: 1000,
    ...options,
  });
}

const picture = (width: number, height: number) => ({ width, height, data: new Uint8Array(width * height * 3) });

describe("the report of a run", () => {
  test("shows curves, state, times, memory, warnings and configuration in one file without addresses", async () => {
    const report = reportIn("unused");
    for (let step = 1; step <= 50; step++) report.add([{ step, lr: 2e-4, l_pix: 1 / step, "grad<norm>": 1 }]);
    report.add([
      { step: 50, "metrics/DIV2K/psnr": 25.5, "metrics/Set5/psnr": 30, "metrics/Set5/ssim": 0.8 },
      { note: "no step" },
    ]);
    report.warn("data: <img src=x> is left out");
    await report.pictures("Set5", 50, [{ name: "baby & butterfly", image: picture(4, 3) }]);
    const html = report.html(STATUS);
    expect(html).not.toMatch(/https?:|<script|<link|@import|url\(|NaN|undefined|<img src=x/);
    expect(html).toContain("<h1>train sr: &lt;x2&gt;</h1>");
    expect(html).toContain("running: step 50 of 1000 (5.0 %), 1 min 15 s so far, 2 h 00 min left");
    expect(html).toContain("on WASM &lt;SIMD&gt;; as of 2026-01-02 03:04:05 UTC");
    const charts = [...html.matchAll(/aria-label="([^"]*)"/g)].map(([, label]) => label);
    expect(charts).toEqual(["learning rate", "l_pix", "grad&lt;norm&gt;", "psnr: DIV2K, Set5", "ssim: Set5"]);
    expect(html).toContain(">dB</text>");
    expect(html).toContain("<h2>Set5 at step 50</h2>");
    expect(html).toMatch(/<img src="data:image\/png;base64,[\w+/=]+" alt="baby &amp; butterfly" width="4">/);
    expect(html).toContain('<th scope="row">a step</th><td>1.5 s</td><td>100.0 %</td>');
    expect(html).toContain('<th scope="row">data</th><td>30 ms</td><td>2.0 %</td>');
    expect(html).toContain('<th scope="row">everything else</th><td>120 ms</td><td>8.0 %</td>');
    expect(html).toContain('<th scope="row">most that were live</th><td>8 MiB</td>');
    expect(html).toContain("<li>data: &lt;img src=x&gt; is left out</li>");
    expect(html).toContain("<pre>name: a &amp; b\n  list: [1]\n</pre>");
    expect(html).toContain('<meta http-equiv="refresh" content="30">');
  });

  test("a run that ended is not loaded again, and one without numbers says so", () => {
    const html = reportIn("unused").html({ ...STATUS, state: "done", times: { steps: 0, time: 0, parts: {} } });
    expect(html).not.toContain("refresh");
    expect(html).toContain("done: step 50 of 1000 (5.0 %), 1 min 15 s so far</p>");
    expect(html).toContain("No numbers.");
  });

  test("many and large pictures, many warnings and long curves keep the file small", async () => {
    const report = reportIn("unused");
    const large = Array.from({ length: 10 }, (_, i) => ({ name: `${i}`, image: picture(2000, 1000) }));
    await report.pictures("val", 1, large);
    await report.pictures("val", 2, large);
    for (let i = 0; i < 1000; i++) report.warn("again");
    for (let step = 1; step <= 20_000; step++) report.add([{ step, l_pix: Math.random() }]);
    const html = report.html(STATUS);
    expect(html.length).toBeLessThan(200_000);
    expect(html).toContain("The first 8 of 10 pictures.");
    expect(html).toContain('width="480"');
    expect(html).not.toContain("val at step 1<");
    expect(html).toContain("And 950 more: see log.txt.");
  });

  test("is written at most every so often, and whenever it is asked for", async () => {
    const folder = temporaryFolder();
    let now = 0;
    let asked = 0;
    const report = reportIn(folder, { every: 1000, clock: () => now });
    const update = async (step: number): Promise<string> => {
      await report.update(() => {
        asked += 1;
        return { ...STATUS, step };
      });
      return /step (\d+) of/.exec(readFileSync(join(folder, "report.html"), "utf8"))![1]!;
    };
    expect(await update(1)).toBe("1");
    now = 999;
    expect(await update(2)).toBe("1");
    now = 1000;
    expect(await update(3)).toBe("3");
    expect(asked).toBe(2);
    await Promise.all([report.write({ ...STATUS, step: 4 }), report.write({ ...STATUS, step: 5 })]);
    expect(await update(6)).toBe("5");
  });

  test("where it cannot be written, that is told, and not tried at every step", async () => {
    let now = 0;
    const report = reportIn("/dev/null", { every: 1000, clock: () => now });
    await expect(report.update(() => STATUS)).rejects.toThrow(WriteError);
    now = 500;
    await report.update(() => STATUS);
  });
});

test("the records of a metrics.jsonl, without half a line at its end", () => {
  expect([...recordsOf('{"step":1,"l":2}\n\n[1]\n7\n{"step":2,"l":1}\n{"step":3,"l')]).toEqual([
    { step: 1, l: 2 },
    { step: 2, l: 1 },
  ]);
});
