/** What all elements look like: colours for light and dark, and the controls. */
import { css } from "lit";

/** Colours and measures, for the outermost element; those inside of it inherit them. */
export const tokens = css`
  :host {
    --ground: light-dark(#f6f6f4, #121211);
    --raised: light-dark(#ffffff, #1b1b1a);
    --stage: light-dark(#e9e9e5, #090909);
    --line: light-dark(#dddcd7, #32322f);
    --edge: light-dark(#85847d, #77766f);
    --ink: light-dark(#1a1a18, #edece8);
    --quiet: light-dark(#5b5a54, #a6a59e);
    --accent: light-dark(#0b6b63, #4fd1c0);
    --on-accent: light-dark(#ffffff, #04211d);
    --wrong: light-dark(#b3261e, #ff9388);
    --radius: 10px;
    color: var(--ink);
    font: 15px / 1.5 system-ui, sans-serif;
  }
`;

/** Buttons, fields and what is there for screen readers only. */
export const controls = css`
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  [hidden] {
    display: none !important;
  }
  :focus-visible {
    outline: 2px solid var(--accent);
    outline-offset: 2px;
  }
  button,
  select,
  input[type="number"] {
    min-height: 36px;
    padding: 0 12px;
    border: 1px solid var(--edge);
    border-radius: 8px;
    background: var(--raised);
    color: inherit;
    font: inherit;
  }
  button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 8px;
    cursor: pointer;
    white-space: nowrap;
  }
  button:hover:not(:disabled) {
    border-color: var(--ink);
  }
  button:disabled {
    cursor: default;
    opacity: 0.5;
  }
  button.primary {
    border-color: var(--accent);
    background: var(--accent);
    color: var(--on-accent);
    font-weight: 600;
  }
  button.primary:hover:not(:disabled) {
    border-color: var(--accent);
    filter: brightness(1.08);
  }
  button.plain {
    border-color: transparent;
    background: none;
  }
  button[aria-pressed="true"] {
    border-color: var(--accent);
    color: var(--accent);
    font-weight: 600;
  }
  input[type="range"] {
    width: 100%;
    height: 28px;
    margin: 0;
    accent-color: var(--accent);
  }
  h2,
  h3,
  p,
  ul {
    margin: 0;
  }
  ul {
    padding: 0;
    list-style: none;
  }
  .quiet {
    color: var(--quiet);
  }
  .numbers {
    font-variant-numeric: tabular-nums;
  }
  .unseen {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  svg.icon {
    flex: none;
    width: 18px;
    height: 18px;
    fill: none;
    stroke: currentColor;
    stroke-width: 1.75;
    stroke-linecap: round;
    stroke-linejoin: round;
  }
  @media (pointer: coarse) {
    button,
    select,
    input[type="number"] {
      min-height: 44px;
    }
  }
  @media (forced-colors: active) {
    button.primary,
    button[aria-pressed="true"] {
      border: 2px solid Highlight;
    }
  }
`;

/** A name and a field in a line. */
export const rows = css`
  .row {
    display: flex;
    align-items: center;
    gap: 12px;
  }
  .row > span {
    flex: none;
    width: 68px;
  }
  .row select,
  .row input {
    flex: 1;
    min-width: 0;
  }
  .row output {
    width: 3.5em;
    text-align: right;
  }
`;
