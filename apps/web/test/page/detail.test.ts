import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { CropRequest, EnlargedPhoto } from "../../src/client/api.ts";
import { Detail, type Seen } from "../../src/page/detail.ts";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A result whose parts come when they are let go. */
function heldResult() {
  const asked: CropRequest[] = [];
  const closed: number[] = [];
  const waiting: (() => void)[] = [];
  const crop = (request: CropRequest): Promise<ImageBitmap> => {
    const number = asked.push(request);
    return new Promise((resolve) =>
      waiting.push(() => resolve({ close: () => closed.push(number) } as unknown as ImageBitmap)),
    );
  };
  const result = { width: 1000, height: 800, crop } as unknown as EnlargedPhoto;
  const arrive = async (): Promise<void> => {
    waiting.shift()!();
    await vi.advanceTimersByTimeAsync(0);
  };
  return { result, asked, closed, arrive };
}

const seen = (result: EnlargedPhoto, x: number): Seen => ({
  result,
  part: { x, y: 10, width: 100, height: 50 },
  ratio: 2,
  zoom: 1,
});

it("asks for what stays, once, in pixels of the result and of the screen", async () => {
  const { result, asked, arrive } = heldResult();
  const told = vi.fn();
  const detail = new Detail(told);
  detail.ask(seen(result, 0));
  await vi.advanceTimersByTimeAsync(50);
  detail.ask(seen(result, 20));
  // However often the same is seen, also while it is on its way and when it is there.
  for (let i = 0; i < 3; i++) {
    await vi.advanceTimersByTimeAsync(100);
    detail.ask(seen(result, 20));
  }
  expect(asked).toEqual([{ left: 40, top: 20, width: 200, height: 100, outWidth: 100, outHeight: 50 }]);
  await arrive();
  expect(told).toHaveBeenCalledTimes(1);
  detail.ask(seen(result, 20));
  await vi.advanceTimersByTimeAsync(1000);
  expect(asked).toHaveLength(1);
  expect(detail.layer?.part.x).toBe(20);
});

it("closes what comes too late, and what it shows no more", async () => {
  const { result, asked, closed, arrive } = heldResult();
  const detail = new Detail(() => {});
  detail.ask(seen(result, 0));
  await vi.advanceTimersByTimeAsync(200);
  detail.ask(seen(result, 20));
  await arrive();
  expect([asked.length, closed, detail.layer]).toEqual([1, [1], null]);
  await vi.advanceTimersByTimeAsync(200);
  await arrive();
  detail.ask(seen(result, 40));
  await vi.advanceTimersByTimeAsync(200);
  await arrive();
  expect([closed, detail.layer?.part.x]).toEqual([[1, 2], 40]);
  detail.drop();
  expect([closed, detail.layer]).toEqual([[1, 2, 3], null]);
});
