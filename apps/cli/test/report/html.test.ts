import { expect, test } from "vitest";
import { lineChart, runningMean, ticks } from "../../src/report/chart.ts";
import { figure, htmlTable, page, paragraph, row, section } from "../../src/report/html.ts";

test("the page is one file: no address in it but data of its own", () => {
  const chart = lineChart("loss", "step", [
    { name: "fine", x: [1, 2, 3], y: [3, Number.NaN, 1] },
    { name: "content", x: [1, 2, 3], y: [2, 2, 2] },
  ]);
  const html = page(
    "A <demo> & more",
    paragraph('"quoted" <b>'),
    section("Curves", row(chart, chart)),
    htmlTable(["slot", "accuracy"], [["blur", "0.9"]]),
    figure(Uint8Array.of(1, 2, 3), "before / after", 200),
  );
  expect(html).toContain("<title>A &lt;demo&gt; &amp; more</title>");
  expect(html).toContain("<p>&quot;quoted&quot; &lt;b&gt;</p>");
  expect(html).toContain('<th scope="row">blur</th><td>0.9</td>');
  expect(html).toContain('src="data:image/png;base64,AQID"');
  expect(html).not.toMatch(/https?:|<script|<link|@import|url\(/);
  expect(html).not.toContain("NaN");
});

test("a curve of one value and one without any are drawn", () => {
  expect(lineChart("loss", "step", [{ name: "a", x: [1], y: [2] }]).html).toContain("<polyline");
  expect(lineChart("loss", "step", [{ name: "a", x: [], y: [] }]).html).toContain("<svg");
});

test("ticks are round and cover the values", () => {
  expect(ticks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6000000000000001, 0.8, 1]);
  expect(ticks(3, 197, 5)).toEqual([0, 50, 100, 150, 200]);
});

test("the running mean keeps the length and a constant", () => {
  expect(runningMean(Array.from({ length: 100 }, () => 3))).toEqual(Array.from({ length: 100 }, () => 3));
  expect(runningMean([1, 5])).toEqual([1, 5]);
});

test("ticks of small and large numbers are short, and a constant has an axis of its own size", () => {
  const labels = (x: readonly number[], y: readonly number[]): string[] =>
    [...lineChart("", "", [{ name: "", x, y, smooth: false }]).html.matchAll(/<text[^>]*>([^<]+)<\/text>/g)].map(
      ([, label]) => label!,
    );
  const rate = labels([0, 500_000], [2e-4, 2e-4]);
  expect(rate).toEqual(["1e-4", "1.5e-4", "2e-4", "2.5e-4", "3e-4", "0", "100k", "200k", "300k", "400k", "500k"]);
  expect(labels([0, 5_000_000], [0.5, 0.75]).slice(-3)).toEqual(["3M", "4M", "5M"]);
});

test("a chart says its unit and its legend only where there is one", () => {
  const { html } = lineChart("psnr", "step", [{ name: "", x: [1, 2], y: [3, 4] }], "dB");
  expect(html).toContain(">dB</text>");
  expect(html).toContain('aria-label="psnr"');
  expect(html).not.toContain("<rect");
});
