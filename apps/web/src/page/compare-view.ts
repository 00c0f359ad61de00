/** The photo and what became of it: a line between both that can be moved, side by side, or their difference; with zoom and pan. */
import { html, LitElement, type PropertyValues, type TemplateResult } from "lit";
import { compareStyle } from "./compare-style.ts";
import { Detail } from "./detail.ts";
import { listen } from "./gestures.ts";
import * as icons from "./icons.ts";
import type { Item } from "./item.ts";
import { controls } from "./look.ts";
import { drawAttention, type Pane, paint } from "./painter.ts";
import { clampViewport, fit, panBy, type Size, type Viewport, visiblePart, zoomAt } from "./viewport.ts";

/** How both pictures are compared. */
export type Mode = "split" | "side" | "difference";

const MODES: readonly (readonly [mode: Mode, name: string, icon: TemplateResult])[] = [
  ["split", "Slider", icons.SLIDER],
  ["side", "Side by side", icons.SIDE],
  ["difference", "Difference", icons.DIFFERENCE],
];

/** How much a key or a button zooms, and how far an arrow key moves, in CSS pixels. */
const ZOOM_STEP = 1.5;
const PAN_STEP = 60;

/** Finer screens show no more that eyes would see, and cost memory. */
const MOST_DENSITY = 2;

/** `<deplsr-compare>`: shows an item. Asks for the overlay with `attention`. */
export class CompareView extends LitElement {
  static override properties = {
    item: { attribute: false },
    revision: { attribute: false },
    mode: { state: true },
    split: { state: true },
    overlay: { state: true },
  };
  declare item: Item | null;
  /** Another number whenever the item is otherwise than before. */
  declare revision: number;
  declare mode: Mode;
  /** Where before ends and after begins, in [0, 1]. */
  declare split: number;
  declare overlay: boolean;
  #image: HTMLImageElement | null = null;
  #view: Viewport | null = null;
  /** Whether all of the photo is shown, whatever room there is. */
  #fitted = true;
  readonly #detail = new Detail(() => this.#paint());
  #attention: { readonly of: Item; readonly canvas: HTMLCanvasElement } | null = null;
  #frame = 0;
  readonly #observer = new ResizeObserver(() => this.#resized());

  constructor() {
    super();
    this.item = null;
    this.revision = 0;
    this.mode = "split";
    this.split = 0.5;
    this.overlay = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#observer.observe(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#observer.disconnect();
    this.#detail.drop();
  }

  override firstUpdated(): void {
    listen(this.#canvas, {
      zoomAt: (factor, at) => this.#zoom(factor, this.#inPane(at)),
      panBy: (dx, dy) => this.#look((view, photo, pane) => panBy(view, dx, dy, photo, pane)),
      toggleAt: (at) => this.#toggle(this.#inPane(at)),
    });
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("item") && changed.get("item") !== this.item) this.#load();
    if (!this.item?.result) this.#detail.drop();
  }

  override updated(): void {
    this.renderRoot.querySelector<HTMLElement>(".handle")?.style.setProperty("left", `${100 * this.split}%`);
    this.#askDetail();
    this.#paint();
  }

  override render(): TemplateResult {
    const done = this.#done;
    const width = this.item?.size?.width ?? this.#photo?.width ?? 1;
    const percent = Math.round((100 * (this.#view?.zoom ?? 1) * (this.#photo?.width ?? 1)) / width);
    return html`
      <div class="stage" tabindex="0" role="group" aria-label="Picture: arrow keys move it, plus and minus zoom, 0 shows all of it"
        @keydown=${this.#key}>
        <canvas aria-hidden="true" class=${this.#zoomed ? "zoomed" : ""}></canvas>
        ${done && this.mode !== "difference" ? html`<span class="tag left">Before</span><span class="tag right">After</span>` : ""}
        ${done && this.mode === "split" ? this.#handle() : ""}
      </div>
      <div class="bar" role="toolbar" aria-label="View">
        <div class="group">
          ${MODES.map(
            ([mode, name, icon]) => html`
              <button class="plain" aria-pressed=${this.mode === mode} ?disabled=${!done} title=${name}
                @click=${() => this.#setMode(mode)}>${icon}<span class="name">${name}</span></button>`,
          )}
          <button class="plain" aria-pressed=${this.overlay} ?disabled=${!this.item?.seen}
            title="Where it looked to tell what is wrong" @click=${this.#toggleOverlay}>
            ${icons.EYE}<span class="name">Attention</span>
          </button>
        </div>
        <div class="group">
          <button class="plain" aria-label="Zoom out" @click=${() => this.#zoom(1 / ZOOM_STEP)}>${icons.MINUS}</button>
          <button class="plain numbers percent" title="Pixels of the screen for each of the picture"
            aria-label="${percent} percent: show each pixel as one" @click=${() => this.#toggle()}>${percent} %</button>
          <button class="plain" aria-label="Zoom in" @click=${() => this.#zoom(ZOOM_STEP)}>${icons.ADD}</button>
          <button class="plain" aria-label="Show all of it" @click=${this.#fit}>${icons.FIT}</button>
        </div>
      </div>
    `;
  }

  #handle(): TemplateResult {
    return html`
      <div class="handle" role="slider" tabindex="0" aria-label="Line between before and after" aria-valuemin="0"
        aria-valuemax="100" aria-valuenow=${Math.round(100 * this.split)} aria-valuetext="before on the left ${Math.round(100 * this.split)} percent"
        @keydown=${this.#slideKey} @pointerdown=${this.#slideStart} @pointermove=${this.#slide}>
        <span class="knob">${icons.SLIDER}</span>
      </div>`;
  }

  get #canvas(): HTMLCanvasElement {
    return this.renderRoot.querySelector("canvas")!;
  }

  get #done(): boolean {
    return this.item?.result !== null && this.item !== null;
  }

  /** The photo's size; null until it is known. */
  get #photo(): Size | null {
    const image = this.#image;
    if (image?.naturalWidth) return { width: image.naturalWidth, height: image.naturalHeight };
    return this.item?.facts ?? null;
  }

  get #zoomed(): boolean {
    const [photo, view] = [this.#photo, this.#view];
    return photo !== null && view !== null && view.zoom > fit(photo, this.#pane).zoom * 1.01;
  }

  get #panes(): readonly Pane[] {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const whole = { left: 0, top: 0, width, height };
    if (!this.#done) return [{ ...whole, show: "after" }];
    if (this.mode !== "side") return [{ ...whole, show: this.mode }];
    const half = width / 2;
    return [
      { ...whole, width: half - 1, show: "before" },
      { ...whole, left: half + 1, width: half - 1, show: "after" },
    ];
  }

  /** The size of each pane. */
  get #pane(): Size {
    return this.#panes[0]!;
  }

  /** A place in the pane that it is in. */
  #inPane({ x, y }: { readonly x: number; readonly y: number }): { readonly x: number; readonly y: number } {
    const pane = this.#panes.filter(({ left }) => x >= left).at(-1) ?? this.#panes[0]!;
    return { x: x - pane.left, y };
  }

  /** Shows another photo. */
  #load(): void {
    this.#image = null;
    this.#view = null;
    this.#fitted = true;
    this.#detail.drop();
    const item = this.item;
    if (item === null) return;
    const image = new Image();
    image.src = item.url;
    image.decode().then(
      () => {
        if (this.item !== item) return;
        this.#image = image;
        this.requestUpdate();
      },
      // What the browser cannot show, the worker may read all the same.
      () => {},
    );
    if (this.overlay) this.#wantAttention();
  }

  #look(change: (view: Viewport, photo: Size, pane: Size) => Viewport): void {
    const photo = this.#photo;
    if (photo === null || this.#view === null) return;
    this.#view = change(this.#view, photo, this.#pane);
    this.#fitted = !this.#zoomed;
    this.requestUpdate();
  }

  #zoom(factor: number, at = { x: this.#pane.width / 2, y: this.#pane.height / 2 }): void {
    this.#look((view, photo, pane) => zoomAt(view, factor, at, photo, pane));
  }

  /** One pixel of the result for one of the screen, or all of it. */
  #toggle(at?: { readonly x: number; readonly y: number }): void {
    const ratio = (this.item?.size?.width ?? this.#photo?.width ?? 1) / (this.#photo?.width ?? 1);
    if (this.#zoomed) this.#fit();
    else this.#zoom(1 / ratio / (this.#view?.zoom ?? 1), at);
  }

  readonly #fit = (): void => this.#look((_, photo, pane) => fit(photo, pane));

  #setMode(mode: Mode): void {
    this.mode = mode;
    const before = this.#zoomed;
    void this.updateComplete.then(() => {
      if (before) this.#look(clampViewport);
      else this.#fit();
    });
  }

  readonly #toggleOverlay = (): void => {
    this.overlay = !this.overlay;
    if (this.overlay) this.#wantAttention();
  };

  #wantAttention(): void {
    this.dispatchEvent(new CustomEvent("attention", { detail: this.item }));
  }

  readonly #key = (event: KeyboardEvent): void => {
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [PAN_STEP, 0],
      ArrowRight: [-PAN_STEP, 0],
      ArrowUp: [0, PAN_STEP],
      ArrowDown: [0, -PAN_STEP],
    };
    const move = moves[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (move) this.#look((view, photo, pane) => panBy(view, ...move, photo, pane));
    else if (event.key === "+" || event.key === "=") this.#zoom(ZOOM_STEP);
    else if (event.key === "-") this.#zoom(1 / ZOOM_STEP);
    else if (event.key === "0") this.#fit();
    else if (event.key === "1") this.#toggle();
    else return;
    event.preventDefault();
  };

  readonly #slideKey = (event: KeyboardEvent): void => {
    const step = event.shiftKey ? 0.1 : 0.02;
    if (event.key === "ArrowLeft" || event.key === "ArrowDown") this.#slideTo(this.split - step);
    else if (event.key === "ArrowRight" || event.key === "ArrowUp") this.#slideTo(this.split + step);
    else if (event.key === "Home") this.#slideTo(0);
    else if (event.key === "End") this.#slideTo(1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  readonly #slideStart = (event: PointerEvent): void => {
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
  };

  readonly #slide = (event: PointerEvent): void => {
    if (!(event.currentTarget as HTMLElement).hasPointerCapture(event.pointerId)) return;
    const { left, width } = this.#canvas.getBoundingClientRect();
    this.#slideTo((event.clientX - left) / width);
  };

  #slideTo(split: number): void {
    this.split = Math.min(1, Math.max(0, split));
  }

  #resized(): void {
    if (!this.hasUpdated) return;
    const canvas = this.#canvas;
    const density = Math.min(devicePixelRatio, MOST_DENSITY);
    canvas.width = Math.round(canvas.clientWidth * density);
    canvas.height = Math.round(canvas.clientHeight * density);
    if (this.#fitted) this.#view = null;
    else this.#look(clampViewport);
    this.requestUpdate();
  }

  /** The part that is seen, as fine as the screen is, where the preview is coarser. */
  #askDetail(): void {
    const { result, preview } = this.item ?? {};
    const [photo, view] = [this.#photo, this.#view];
    if (!result || !photo || !view) return;
    const zoom = view.zoom * Math.min(devicePixelRatio, MOST_DENSITY);
    const coarse = !preview || preview.width < Math.min(result.width, photo.width * zoom);
    const part = coarse ? visiblePart(view, photo, this.#pane) : null;
    if (part === null) this.#detail.drop();
    else this.#detail.ask({ result, part, ratio: result.width / photo.width, zoom });
  }

  /** Paints with the screen's next picture, however often it is asked. */
  #paint(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      const photo = this.#photo;
      const context = this.#canvas.getContext("2d")!;
      if (photo === null) return context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
      if (this.#view === null) {
        this.#view = fit(photo, this.#pane);
        this.requestUpdate();
      }
      const density = this.#canvas.width / Math.max(1, this.#canvas.clientWidth);
      const after = this.item?.preview ?? null;
      const layers = {
        photo,
        before: this.#image,
        after,
        detail: this.#detail.layer,
        attention: this.#attentionLayer(),
      };
      paint(context, this.#panes, this.#view, layers, { density, split: this.split });
    });
  }

  #attentionLayer(): HTMLCanvasElement | null {
    const item = this.item;
    if (!this.overlay || !item?.attention) return null;
    if (this.#attention?.of !== item) this.#attention = { of: item, canvas: drawAttention(item.attention) };
    return this.#attention.canvas;
  }

  static override styles = [controls, compareStyle];
}

customElements.define("deplsr-compare", CompareView);
