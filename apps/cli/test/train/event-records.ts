/** Reads event files back, from the published format and nothing of ours: bit by bit, so that a wrong table or field would show. */

/** An event as its file has it. */
export interface ReadEvent {
  readonly wallTime: number;
  readonly step: number;
  readonly version?: string;
  readonly sessionStart?: boolean;
  readonly scalars: Readonly<Record<string, number>>;
  readonly images: readonly { tag: string; width: number; height: number; colorspace: number; png: Uint8Array }[];
}

/** All events of a file. @throws Error at a wrong checksum or half a record */
export function readEvents(bytes: Uint8Array): ReadEvent[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const events: ReadEvent[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(view.getBigUint64(at, true));
    check(bytes.subarray(at, at + 8), view.getUint32(at + 8, true));
    const data = bytes.subarray(at + 12, at + 12 + length);
    check(data, view.getUint32(at + 12 + length, true));
    events.push(eventOf(data));
    at += 16 + length;
  }
  return events;
}

function check(data: Uint8Array, stored: number): void {
  let crc = 0xffffffffn;
  for (const byte of data) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x82f63b78n : crc >> 1n;
  }
  crc ^= 0xffffffffn;
  const masked = (((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn;
  if (masked !== BigInt(stored)) throw new Error("a checksum does not fit");
}

type Field = number | Uint8Array;

/** The fields of a message by number: varints and fixed ones as numbers, the rest as bytes. */
function fieldsOf(data: Uint8Array): Map<number, Field[]> {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const fields = new Map<number, Field[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data[at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (length: number): number => {
    at += length;
    return at - length;
  };
  const value = (type: number): Field => {
    if (type === 0) return varint();
    if (type === 1) return view.getFloat64(take(8), true);
    if (type === 5) return view.getFloat32(take(4), true);
    if (type !== 2) throw new Error(`wire type ${type}`);
    const length = varint();
    const start = take(length);
    return data.subarray(start, start + length);
  };
  while (at < data.length) {
    const tag = varint();
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), value(tag & 7)]);
  }
  return fields;
}

function eventOf(data: Uint8Array): ReadEvent {
  const fields = fieldsOf(data);
  const version = fields.get(3)?.[0];
  const session = fields.get(7)?.[0];
  const summary = fields.get(5)?.[0];
  const values = summary === undefined ? [] : (fieldsOf(bytes(summary)).get(1) ?? []);
  const scalars: Record<string, number> = {};
  const images: ReadEvent["images"][number][] = [];
  for (const entry of values) {
    const value = fieldsOf(bytes(entry));
    const tag = text(value.get(1)![0]!);
    const image = value.get(4)?.[0];
    if (image === undefined) scalars[tag] = number(value.get(2)![0]!);
    else {
      const parts = fieldsOf(bytes(image));
      const [height, width, colorspace] = [1, 2, 3].map((field) => number(parts.get(field)![0]!));
      images.push({ tag, width: width!, height: height!, colorspace: colorspace!, png: bytes(parts.get(4)![0]!) });
    }
  }
  return {
    wallTime: number(fields.get(1)![0]!),
    step: number(fields.get(2)![0]!),
    ...(version === undefined ? {} : { version: text(version) }),
    ...(session === undefined ? {} : { sessionStart: fieldsOf(bytes(session)).get(1)?.[0] === 1 }),
    scalars,
    images,
  };
}

function bytes(field: Field): Uint8Array {
  if (typeof field === "number") throw new Error("a number where bytes were expected");
  return field;
}

function number(field: Field): number {
  if (typeof field !== "number") throw new Error("bytes where a number was expected");
  return field;
}

function text(field: Field): string {
  return new TextDecoder().decode(bytes(field));
}
