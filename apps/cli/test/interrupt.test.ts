import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Interrupt } from "../src/interrupt.ts";

const LATER_MS = 1000;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"] as const;

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => {
  vi.useRealTimers();
  // Those of a process that is about to end.
  for (const signal of SIGNALS) process.removeAllListeners(signal);
});

test("a scheduler may ask several times, and say that the time is up: what is being saved is saved", () => {
  const said: string[] = [];
  using interrupt = new Interrupt((line) => said.push(line)).listen();
  expect(interrupt.exitCode).toBe(0);
  for (const signal of ["SIGUSR2", "SIGUSR2", "SIGTERM"] as const) {
    process.emit(signal, signal);
    vi.advanceTimersByTime(LATER_MS);
  }
  expect(said).toEqual(["interrupted: finishing this step and saving (Ctrl-C again leaves at once)"]);
  expect(interrupt.exitCode).toBe(140);
});

test("what two senders pass on of one Ctrl-C counts once, also where all is saved before the other comes", () => {
  const said: string[] = [];
  const interrupt = new Interrupt((line) => said.push(line)).listen();
  process.emit("SIGINT", "SIGINT");
  process.emit("SIGINT", "SIGINT");
  interrupt.release();
  expect(process.listenerCount("SIGINT")).toBeGreaterThan(0);
  process.emit("SIGINT", "SIGINT");
  expect(said).toHaveLength(1);
  expect(interrupt.exitCode).toBe(130);
});

test("a process that was not asked to stop listens no longer than it saves", () => {
  const before = process.listenerCount("SIGINT");
  new Interrupt(() => {}).listen().release();
  expect(process.listenerCount("SIGINT")).toBe(before);
});
