import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Clock } from '../../src/edge/index.ts';
import { scaledClock } from '../../src/serve/time.ts';

describe('the time of a trial', () => {
  let wall = 1_000_000;
  const timers: number[] = [];
  const below: Clock = {
    now: () => wall,
    after: (milliseconds) => {
      timers.push(milliseconds);
      return { cancel: () => undefined };
    },
    hold: (work) => work,
  };
  const clock = scaledClock({ scale: 60, from: { virtual: 5_000, wall: 1_000_000 } }, below);

  it('passes as many times faster as it is told, from where it is told', () => {
    wall = 1_000_000;
    assert.equal(clock.now(), 5_000);
    wall += 1_000;
    assert.equal(clock.now(), 65_000);
    wall = 999_000;
    assert.equal(clock.now(), -55_000);
  });

  it('has timers that are as much shorter, and never early', () => {
    timers.length = 0;
    clock.after(60_000, () => undefined);
    clock.after(1, () => undefined);
    clock.after(61, () => undefined);
    assert.deepEqual(timers, [1_000, 1, 2]);
  });

  it('is the same in two processes that began at different times', () => {
    wall = 1_500_000;
    const late = scaledClock({ scale: 60, from: { virtual: 5_000, wall: 1_000_000 } }, below);
    assert.equal(late.now(), clock.now());
  });
});
