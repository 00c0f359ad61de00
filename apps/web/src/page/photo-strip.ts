/** All photos of the queue, small. */
import { css, html, LitElement, type TemplateResult } from "lit";
import { ref } from "lit/directives/ref.js";
import { repeat } from "lit/directives/repeat.js";
import { fileChooser } from "./file-chooser.ts";
import * as icons from "./icons.ts";
import type { Item, State } from "./item.ts";
import { controls } from "./look.ts";

/** `<deplsr-strip>`: says which photo was chosen with `choose`, which is taken out with `remove`, new files with `photos`. */
export class PhotoStrip extends LitElement {
  static override properties = {
    items: { attribute: false },
    chosen: { attribute: false },
    revision: { attribute: false },
  };
  declare items: readonly Item[];
  declare chosen: Item | null;
  declare revision: number;

  constructor() {
    super();
    this.items = [];
    this.chosen = null;
    this.revision = 0;
  }

  override render(): TemplateResult {
    return html`
      <ul aria-label="Photos">
        ${repeat(
          this.items,
          (item) => item,
          (item) => this.#tile(item),
        )}
        <li>${fileChooser((files) => this.#say("photos", files), { text: icons.ADD, label: "Add photos" })}</li>
      </ul>
    `;
  }

  #tile(item: Item): TemplateResult {
    const share = item.state.kind === "enlarging" && item.state.total > 0 ? item.state.done / item.state.total : 0;
    const scale = ref((element) => (element as HTMLElement | undefined)?.style.setProperty("--done", String(share)));
    return html`
      <li class="tile ${item.state.kind}">
        <button class="choose" aria-current=${item === this.chosen ? "true" : "false"} title=${item.name}
          aria-label="${item.name}, ${stateWord(item.state)}" @click=${() => this.#say("choose", item)}>
          ${item.thumbnail ?? icons.PHOTOS}
          ${item.working ? html`<span class="progress" ${scale}></span>` : ""}
          ${item.state.kind === "failed" ? html`<span class="mark">${icons.WRONG}</span>` : ""}
        </button>
        <button class="remove" aria-label="Take out ${item.name}" @click=${() => this.#say("remove", item)}>${icons.CLOSE}</button>
      </li>`;
  }

  #say(event: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }

  static override styles = [
    controls,
    css`
      ul {
        display: flex;
        gap: 10px;
        padding: 8px 4px 4px;
        overflow-x: auto;
        scrollbar-width: thin;
      }
      .tile {
        position: relative;
        flex: none;
      }
      li button:first-child {
        position: relative;
        width: 56px;
        height: 56px;
        padding: 0;
        overflow: hidden;
      }
      .choose {
        border: 0;
        background: var(--stage);
      }
      .choose canvas {
        width: 100%;
        height: 100%;
      }
      .waiting canvas,
      .cancelled canvas {
        opacity: 0.5;
      }
      .choose[aria-current="true"] {
        box-shadow:
          0 0 0 2px var(--ground),
          0 0 0 4px var(--accent);
      }
      .progress {
        position: absolute;
        right: 0;
        bottom: 0;
        left: 0;
        height: 5px;
        background: rgb(0 0 0 / 60%);
      }
      .progress::after {
        content: "";
        display: block;
        height: 100%;
        background: var(--accent);
        transform: scaleX(var(--done, 0));
        transform-origin: left;
      }
      .mark {
        position: absolute;
        inset: 0;
        display: grid;
        place-items: center;
        background: rgb(0 0 0 / 60%);
        color: #fff;
      }
      .remove {
        position: absolute;
        top: -6px;
        right: -6px;
        width: 24px;
        min-height: 24px;
        height: 24px;
        padding: 0;
        border-radius: 50%;
        opacity: 0;
      }
      .remove .icon {
        width: 12px;
        height: 12px;
      }
      .tile:hover .remove,
      .tile:focus-within .remove {
        opacity: 1;
      }
      @media (pointer: coarse), (max-width: 820px) {
        .remove {
          opacity: 1;
        }
      }
      @media (forced-colors: active) {
        .choose[aria-current="true"] {
          outline: 3px solid Highlight;
        }
        .progress {
          forced-color-adjust: none;
          background: Canvas;
        }
        .progress::after {
          background: Highlight;
        }
      }
    `,
  ];
}

/** Where a photo is on its way, in a word or two. */
export function stateWord(state: State): string {
  if (state.kind !== "enlarging") return { seeing: "looking", failed: "failed" }[state.kind as string] ?? state.kind;
  return state.total === 0 ? "enlarging" : `enlarging, ${Math.floor((100 * state.done) / state.total)} %`;
}

customElements.define("deplsr-strip", PhotoStrip);
