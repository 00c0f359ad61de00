import { SingleProcess } from "@deplsr/distributed";
import { expect, it } from "vitest";
import { TimedExchange } from "../../src/train/timed-exchange.ts";

it("tells how long this process has waited in any of its exchanges, each time from then on", async () => {
  let now = 0;
  /** Each exchange takes so long. */
  const among = new (class extends SingleProcess {
    override allGather<N>(values: N): Promise<N[]> {
      now += 1;
      return Promise.resolve([values, values]);
    }
    override allGatherSync<N>(values: N): N[] {
      now += 10;
      return [values, values];
    }
    override allReduce<N>(values: N): Promise<N> {
      now += 100;
      return Promise.resolve(values);
    }
    override allReduceSync<N>(values: N): N {
      now += 1000;
      return values;
    }
  })("here");
  const exchange = new TimedExchange(among, () => now);
  const values = Float64Array.of(1, 2);
  expect(exchange.size).toBe(1);
  expect(exchange.takeWaited()).toBe(0);
  expect(await exchange.allGather(values)).toEqual([values, values]);
  expect(exchange.allGatherSync(values)).toEqual([values, values]);
  now += 50_000;
  expect(exchange.takeWaited()).toBe(11);
  expect(await exchange.allReduce(values)).toBe(values);
  expect(exchange.allReduceSync(values)).toBe(values);
  expect(exchange.takeWaited()).toBe(1100);
  expect(exchange.takeWaited()).toBe(0);
});
