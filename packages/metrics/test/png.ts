import { readFileSync } from "node:fs";
import { inflateSync } from "node:zlib";
import type { Image } from "../src/index.ts";

/** Reads an 8-bit RGB PNG without interlacing, which is what the reference images are. @see https://www.w3.org/TR/png-3/ */
export function readPng(path: string | URL): Image {
  const file = readFileSync(path);
  const [width, height] = [file.readUInt32BE(16), file.readUInt32BE(20)];
  if (file[24] !== 8 || file[25] !== 2 || file[28] !== 0) throw new Error(`${path} is not 8-bit RGB`);
  const parts: Buffer[] = [];
  for (let position = 8; position < file.length; position += 12 + file.readUInt32BE(position)) {
    const length = file.readUInt32BE(position);
    if (file.toString("latin1", position + 4, position + 8) === "IDAT") {
      parts.push(file.subarray(position + 8, position + 8 + length));
    }
  }
  const rows = inflateSync(Buffer.concat(parts));
  const stride = 3 * width;
  const data = new Uint8Array(height * stride);
  for (let row = 0; row < height; row++) {
    const filter = rows[row * (stride + 1)]!;
    for (let i = 0; i < stride; i++) {
      const left = i >= 3 ? data[row * stride + i - 3]! : 0;
      const up = row > 0 ? data[(row - 1) * stride + i]! : 0;
      const corner = i >= 3 && row > 0 ? data[(row - 1) * stride + i - 3]! : 0;
      data[row * stride + i] = rows[row * (stride + 1) + 1 + i]! + predict(filter, left, up, corner);
    }
  }
  return { width, height, data };
}

function predict(filter: number, left: number, up: number, corner: number): number {
  if (filter === 4) {
    const estimate = left + up - corner;
    const [a, b, c] = [left, up, corner].map((value) => Math.abs(estimate - value)) as [number, number, number];
    return a <= b && a <= c ? left : b <= c ? up : corner;
  }
  return [0, left, up, Math.floor((left + up) / 2)][filter]!;
}
