/** How the comparison looks. */
import { css } from "lit";

/** Of `<deplsr-compare>`. */
export const compareStyle = css`
  :host {
    display: flex;
    flex-direction: column;
    min-height: 0;
  }
  .stage {
    position: relative;
    flex: 1;
    min-height: 0;
    overflow: hidden;
    border-radius: var(--radius);
    background: var(--stage);
  }
  .stage:focus-visible {
    outline-offset: -2px;
  }
  canvas {
    position: absolute;
    inset: 0;
    width: 100%;
    height: 100%;
    touch-action: pan-y;
  }
  canvas.zoomed {
    cursor: grab;
    touch-action: none;
  }
  canvas.zoomed:active {
    cursor: grabbing;
  }
  .tag {
    position: absolute;
    top: 12px;
    padding: 2px 10px;
    border-radius: 99px;
    background: rgb(0 0 0 / 70%);
    color: #fff;
    font-size: 13px;
    pointer-events: none;
  }
  .left {
    left: 12px;
  }
  .right {
    right: 12px;
  }
  .handle {
    position: absolute;
    top: 0;
    bottom: 0;
    width: 44px;
    margin-left: -22px;
    cursor: ew-resize;
    touch-action: none;
    outline: none;
  }
  .handle::before {
    content: "";
    position: absolute;
    inset: 0 calc(50% - 1px);
    background: #fff;
    box-shadow: 0 0 0 1px rgb(0 0 0 / 25%);
  }
  .knob {
    position: absolute;
    top: 50%;
    left: 50%;
    display: grid;
    width: 40px;
    height: 40px;
    place-items: center;
    border-radius: 50%;
    background: #fff;
    box-shadow: 0 1px 6px rgb(0 0 0 / 40%);
    color: #1a1a18;
    transform: translate(-50%, -50%);
  }
  .knob .icon {
    width: 22px;
    height: 22px;
  }
  .handle:focus-visible .knob {
    outline: 3px solid var(--accent);
    outline-offset: 2px;
  }
  .bar,
  .group {
    display: flex;
    align-items: center;
  }
  .bar {
    flex-wrap: wrap;
    justify-content: space-between;
    gap: 0 12px;
    padding-top: 6px;
  }
  .bar button {
    padding: 0 10px;
  }
  .bar .percent {
    min-width: 4.5em;
    padding: 0;
  }
  @media (max-width: 1100px) {
    .name {
      position: absolute;
      width: 1px;
      height: 1px;
      overflow: hidden;
      clip-path: inset(50%);
    }
  }
  @media (max-width: 420px) {
    .bar {
      gap: 0;
    }
    .bar button {
      padding: 0 11px;
    }
    .bar .percent {
      min-width: 3.4em;
    }
  }
`;
