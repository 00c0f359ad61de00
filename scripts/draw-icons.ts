/** Draws the icons of apps/web: a disc that is pixels on the left and smooth on the right. */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import sharp from "sharp";

const SIDE = 512;
const [GROUND, DISC] = ["#0b3a36", "#4fd1c0"];

/** @param rounded the radius of corners; 0 for icons that systems cut themselves @param share of the side that the disc takes */
function draw(rounded: number, share: number): string {
  const radius = (SIDE * share) / 2;
  const step = radius / 4;
  const middle = SIDE / 2;
  const squares: string[] = [];
  for (let row = -4; row < 4; row++) {
    for (let column = -4; column < 0; column++) {
      if (Math.hypot((row + 0.5) * step, (column + 0.5) * step) > radius) continue;
      squares.push(`M${middle + column * step} ${middle + row * step}h${step}v${step}h${-step}z`);
    }
  }
  const half = `M${middle} ${middle - radius}a${radius} ${radius} 0 0 1 0 ${2 * radius}z`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIDE} ${SIDE}"><title>DePLSR</title><rect width="${SIDE}" height="${SIDE}" rx="${rounded}" fill="${GROUND}"/><path fill="${DISC}" d="${squares.join("")}${half}"/></svg>\n`;
}

const folder = new URL("../apps/web/public/", import.meta.url);
const icon = draw(112, 0.66);
await writeFile(new URL("icon.svg", folder), icon);
for (const [name, svg, side] of [
  ["icon-192.png", icon, 192],
  ["icon-512.png", icon, 512],
  // Their corners are cut by the system; what matters lies in the middle 80 %.
  ["icon-maskable-512.png", draw(0, 0.54), 512],
  ["apple-touch-icon.png", draw(0, 0.6), 180],
] as const) {
  await sharp(Buffer.from(svg))
    .resize(side, side)
    .png({ palette: true })
    .toFile(fileURLToPath(new URL(name, folder)));
}
