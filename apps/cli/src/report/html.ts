/** A small report page: one HTML file with everything inside (styles, curves as SVG, pictures as PNG), so that it opens without a network. */

/** A piece of HTML that is already escaped. Made by the functions of this file only. */
export interface Html {
  readonly html: string;
}

/** Text as HTML: the five special characters are escaped. */
export function text(value: string): Html {
  return { html: escapeHtml(value) };
}

/** A paragraph. */
export function paragraph(value: string): Html {
  return { html: `<p>${escapeHtml(value)}</p>` };
}

/** A part of the page under a heading. */
export function section(title: string, ...content: readonly Html[]): Html {
  return { html: `<section><h2>${escapeHtml(title)}</h2>\n${joined(content)}\n</section>` };
}

/** A table: the first column is a heading for its row, the others are set right. */
export function htmlTable(header: readonly string[], rows: readonly (readonly string[])[]): Html {
  const head = header.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join("");
  const body = rows
    .map((row) => {
      const cells = row.map((cell, i) =>
        i === 0 ? `<th scope="row">${escapeHtml(cell)}</th>` : `<td>${escapeHtml(cell)}</td>`,
      );
      return `<tr>${cells.join("")}</tr>`;
    })
    .join("\n");
  return { html: `<div class="scroll"><table><thead><tr>${head}</tr></thead>\n<tbody>${body}</tbody></table></div>` };
}

/** A picture with a line under it. @param png the bytes of a PNG file @param width its width on the page in CSS pixels */
export function figure(png: Uint8Array, caption: string, width: number): Html {
  const source = `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
  return {
    html: `<figure><img src="${source}" alt="${escapeHtml(caption)}" width="${width}"><figcaption>${escapeHtml(caption)}</figcaption></figure>`,
  };
}

/** Pieces beside each other, wrapping where the page is narrow. */
export function row(...content: readonly Html[]): Html {
  return { html: `<div class="row">${joined(content)}</div>` };
}

/** Pictures beside each other, larger than in a row. */
export function gallery(...content: readonly Html[]): Html {
  return { html: `<div class="gallery">${joined(content)}</div>` };
}

/** How much of something is done, as a bar. */
export function progressBar(done: number, total: number): Html {
  return { html: `<progress max="${total}" value="${done}">${done} / ${total}</progress>` };
}

/** Text with its line breaks and blanks, as of a file. */
export function fileText(value: string): Html {
  return { html: `<pre>${escapeHtml(value)}</pre>` };
}

/** A list of lines. */
export function list(lines: readonly string[]): Html {
  return { html: `<ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join("\n")}</ul>` };
}

/** The whole file. @param title the page's title and first heading */
export function page(title: string, ...content: readonly Html[]): string {
  return wholePage(title, "", content);
}

/** The same of a page that is written again and again: a browser loads it anew every so many seconds. */
export function livePage(title: string, seconds: number, ...content: readonly Html[]): string {
  return wholePage(title, `<meta http-equiv="refresh" content="${seconds}">\n`, content);
}

function wholePage(title: string, head: string, content: readonly Html[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
${head}<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
${joined(content)}
</main>
</body>
</html>
`;
}

/** The characters that mean something in HTML text and attributes, written as entities. */
export function escapeHtml(value: string): string {
  return value
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

function joined(content: readonly Html[]): string {
  return content.map((piece) => piece.html).join("\n");
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fdfdfb; --faint: #6b7076; --line: #d9dbd6; --shade: #f1f1ec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --paper: #17181a; --faint: #9a9fa5; --line: #35383c; --shade: #202225; } }
body { margin: 0; overflow-wrap: anywhere; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { overflow-wrap: normal; padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); font-weight: normal; }
th:first-child { text-align: left; }
thead th { color: var(--faint); }
figure { margin: 1rem 0; }
figcaption { color: var(--faint); font-size: .9rem; }
img { max-width: 100%; height: auto; image-rendering: pixelated; }
svg { max-width: 100%; height: auto; }
svg text { fill: var(--faint); font: 12px system-ui, sans-serif; }
svg .axis { stroke: var(--line); stroke-width: 1; }
svg .title { fill: var(--ink); font-weight: 600; }
@media (prefers-color-scheme: dark) { svg polyline, svg circle, svg rect { filter: brightness(1.4); } }
progress { display: block; width: 100%; height: .6rem; appearance: none; border: 0; background: var(--line); }
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: #0072b2; }
progress::-moz-progress-bar { background: #0072b2; }
pre { overflow-x: auto; font: 13px/1.45 ui-monospace, monospace; background: var(--shade); padding: .8rem 1rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); gap: 1.5rem; }
.gallery figure { margin: 0; }
.row { display: flex; flex-wrap: wrap; gap: 1.5rem; margin-top: 1rem; }
.row figure { flex: 0 1 13rem; margin: 0; }
`;
