/**
 * TensorBoard's event files. A record is: the length of its data (u64), the masked CRC-32C of that length (u32), the data, and its masked CRC-32C
 * (u32), all little endian; the data is an `Event` message of protocol buffers.
 *
 * @see https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/lib/io/record_writer.h
 * @see https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto
 * @see https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/summary.proto
 */
import { closeSync, ftruncateSync, openSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { PbfWriter } from "pbf";
import { systemCode } from "../errors.ts";
import { explain } from "../files.ts";
import { crc32c } from "./crc32c.ts";

/** Writes all bytes at the end of an open file; replaced in tests by one whose disk is full. */
export type Append = (file: number, bytes: Uint8Array) => void;

/** An open event file. */
export class EventFile {
  readonly path: string;
  readonly #file: number;
  readonly #write: Append;
  #length = 0;

  private constructor(path: string, file: number, write: Append) {
    this.path = path;
    this.#file = file;
    this.#write = write;
  }

  /**
   * Starts a new event file. A training that is resumed starts another one beside the first: TensorBoard reads them in order as one run, and
   * drops what was written before of the steps that are done again. So nothing that a TensorBoard may be reading is ever rewritten, and half a
   * record at the end of a killed run's file does no harm.
   *
   * @param folder an existing folder, whose name TensorBoard shows as the run's
   * @param now the time of the start
   * @param done steps that were done before, where a training is resumed
   * @throws WriteError when it cannot be written
   */
  static create(folder: string, now: Date, done = 0, write: Append = writeFileSync): EventFile {
    const events = EventFile.#open(folder, now, write);
    events.#append({ now, step: 0, content: (event) => event.writeStringField(FILE_VERSION, "brain.Event:2") });
    // At every start but the first, TensorBoard drops what it has read of this step and later ones.
    const start = (_: unknown, log: PbfWriter): void => log.writeVarintField(STATUS, START);
    events.#append({ now, step: done + 1, content: (event) => event.writeMessage(SESSION_LOG, start, null) });
    return events;
  }

  /** Opens a file that is not there yet: the last number of its name tells those of one second apart. */
  static #open(folder: string, now: Date, write: Append): EventFile {
    const seconds = String(Math.floor(now.getTime() / 1000)).padStart(10, "0");
    const name = `events.out.tfevents.${seconds}.${hostname().replace(/[^\w.-]/g, "_")}.${process.pid}`;
    for (let i = 0; ; i++) {
      const path = join(folder, `${name}.${i}`);
      try {
        return new EventFile(path, openSync(path, "ax"), write);
      } catch (error) {
        if (systemCode(error) !== "EEXIST") throw explain(error, path);
      }
    }
  }

  /** Numbers of a step by their tags, `losses/l_pix`. @throws WriteError when they cannot be written; the file stays a good one */
  scalars(step: number, values: Readonly<Record<string, number>>, now: Date): void {
    const scalar = ([tag, number]: [string, number], value: PbfWriter): void => {
      value.writeStringField(TAG, tag);
      value.writeFloatField(SIMPLE_VALUE, number);
    };
    this.#summary(step, now, (summary) => {
      for (const entry of Object.entries(values)) summary.writeMessage(VALUE, scalar, entry);
    });
  }

  /** A picture. @param png the bytes of a PNG file @throws WriteError as `scalars` */
  image(
    tag: string,
    step: number,
    png: Uint8Array,
    size: { readonly width: number; readonly height: number },
    now: Date,
  ): void {
    const image = (_: unknown, field: PbfWriter): void => {
      field.writeVarintField(HEIGHT, size.height);
      field.writeVarintField(WIDTH, size.width);
      field.writeVarintField(COLORSPACE, RGB);
      field.writeBytesField(ENCODED, png);
    };
    const picture = (_: unknown, value: PbfWriter): void => {
      value.writeStringField(TAG, tag);
      value.writeMessage(IMAGE, image, null);
    };
    this.#summary(step, now, (summary) => summary.writeMessage(VALUE, picture, null));
  }

  /** Closes the file; nothing can be written after that. */
  close(): void {
    closeSync(this.#file);
  }

  #summary(step: number, now: Date, fill: (summary: PbfWriter) => void): void {
    this.#append({
      now,
      step,
      content: (event) => event.writeMessage(SUMMARY, (_, summary) => fill(summary), null),
    });
  }

  #append({ now, step, content }: EventContent): void {
    const event = new PbfWriter();
    event.writeDoubleField(WALL_TIME, now.getTime() / 1000);
    event.writeVarintField(STEP, step);
    content(event);
    const bytes = record(event.finish());
    try {
      this.#write(this.#file, bytes);
      this.#length += bytes.length;
    } catch (error) {
      this.#dropHalf();
      throw explain(error, this.path, bytes.length);
    }
  }

  /** Behind half a record nothing could be read any more. */
  #dropHalf(): void {
    try {
      ftruncateSync(this.#file, this.#length);
    } catch {
      // The first failure is the one to tell.
    }
  }
}

interface EventContent {
  readonly now: Date;
  readonly step: number;
  readonly content: (event: PbfWriter) => void;
}

/** The fields of an `Event`, */
const WALL_TIME = 1;
const STEP = 2;
const FILE_VERSION = 3;
const SUMMARY = 5;
const SESSION_LOG = 7;
/** of its `SessionLog`, */
const STATUS = 1;
const START = 1;
/** of its `Summary` and that one's values, */
const VALUE = 1;
const TAG = 1;
const SIMPLE_VALUE = 2;
const IMAGE = 4;
/** and of their images. */
const HEIGHT = 1;
const WIDTH = 2;
const COLORSPACE = 3;
const ENCODED = 4;
const RGB = 3;

/** Data with its frame. */
function record(data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(12 + data.length + 4);
  bytes.writeBigUInt64LE(BigInt(data.length), 0);
  bytes.writeUInt32LE(masked(crc32c(bytes.subarray(0, 8))), 8);
  bytes.set(data, 12);
  bytes.writeUInt32LE(masked(crc32c(data)), 12 + data.length);
  return bytes;
}

/** A checksum of bytes that hold checksums themselves is a weak one, so the format turns and shifts it. */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
