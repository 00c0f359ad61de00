/** How the page is laid out: the photo as large as there is room, what is said about it beside or, on narrow screens, below. */
import { css } from "lit";

export const appStyle = css`
  :host {
    display: grid;
    grid-template-rows: auto auto auto 1fr auto;
    min-height: 100dvh;
    background: var(--ground);
  }
  header {
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding: 10px 20px;
  }
  .name {
    color: inherit;
    font-weight: 700;
    letter-spacing: -0.01em;
    text-decoration: none;
  }
  .notice {
    grid-row: 2;
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    justify-content: center;
    gap: 12px;
    padding: 6px 20px;
    background: var(--raised);
  }
  .lines {
    grid-row: 3;
    padding: 0 20px;
  }
  .line {
    display: flex;
    align-items: center;
    gap: 10px;
    min-height: 40px;
    margin-bottom: 6px;
    padding: 6px 4px 6px 12px;
    border: 1px solid var(--wrong);
    border-radius: var(--radius);
    color: var(--wrong);
  }
  .line span {
    flex: 1;
    min-width: 0;
    overflow-wrap: anywhere;
  }
  main {
    grid-row: 4;
    min-width: 0;
    min-height: 0;
  }
  .empty {
    display: grid;
    padding: 24px 20px 40px;
  }
  .work {
    display: grid;
    grid-template-columns: minmax(0, 1fr) 340px;
    gap: 8px 28px;
    padding: 0 20px 8px;
  }
  .picture {
    position: sticky;
    top: 12px;
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    grid-template-rows: minmax(0, 1fr) auto;
    height: calc(100dvh - 116px);
    min-width: 0;
    min-height: 320px;
  }
  footer {
    grid-row: 5;
    display: grid;
    grid-template-columns: auto minmax(0, 1fr) auto;
    gap: 2px 32px;
    padding: 12px 20px 16px;
    font-size: 13px;
    line-height: 1.4;
  }
  .device {
    max-width: 80ch;
    margin: 0 auto;
    text-align: center;
    text-wrap: balance;
  }
  footer p {
    min-width: 0;
    overflow-wrap: anywhere;
  }
  footer a {
    color: inherit;
  }
  .veil {
    position: fixed;
    inset: 12px;
    z-index: 1;
    display: grid;
    place-items: center;
    border: 2px solid var(--accent);
    border-radius: 16px;
    background: color-mix(in srgb, var(--ground) 80%, transparent);
    font-size: 24px;
    font-weight: 600;
    pointer-events: none;
  }
  @media (max-width: 820px) {
    header {
      padding: 6px 14px;
    }
    .lines {
      padding: 0 14px;
    }
    .empty {
      padding: 12px 14px 32px;
    }
    .work {
      grid-template-columns: minmax(0, 1fr);
      gap: 18px;
      padding: 0 14px 20px;
    }
    .picture {
      position: static;
      height: clamp(320px, 62dvh, 640px);
    }
    footer {
      grid-template-columns: minmax(0, 1fr);
      padding: 12px 14px 20px;
    }
    .device {
      margin: 0;
      text-align: left;
    }
  }
`;
