"use strict";

/** Curves from a drawn brightness to a shown one, both from 0 to 1. */
const STRETCHES = {
  drawn: { name: "as drawn", curve: (value) => value },
  faint: { name: "faint arcs", curve: (value) => value ** 0.5 },
  bright: { name: "bright cores", curve: (value) => value ** 2 },
  inverted: { name: "dark on white", curve: (value) => 1 - value ** 0.7 },
};

const BALANCES = {
  usual: "usual object grey",
  each: "each object grey",
  noise: "equal noise",
  counts: "counts as measured",
};

/**
 * How pictures are shown: stretch, contrast, brightness and balance of colours. The pictures themselves stay
 * as they are; an SVG filter changes what is seen, since a page from disk may not read its pictures' pixels.
 */
class Tone {
  constructor(defs, changed) {
    this.defs = defs;
    this.changed = changed;
    this.panels = [];
    this.reset();
  }

  reset() {
    this.set({ stretch: "drawn", balance: "usual", contrast: 1, brightness: 0 });
  }

  set(values) {
    Object.assign(this, values);
    this.defs.replaceChildren();
    this.made = new Set();
    this.panels.forEach((panel) => this.fill(panel));
    this.changed();
  }

  /** The next stretch of the list. */
  next() {
    const names = Object.keys(STRETCHES);
    this.set({ stretch: names[(names.indexOf(this.stretch) + 1) % names.length] });
  }

  /** What the close look blinks with. */
  get other() {
    return this.stretch === "faint" ? "drawn" : "faint";
  }

  /** A panel of controls; all panels show the same values. */
  addPanel(panel) {
    panel.append(
      this.select("stretch", "Stretch", Object.entries(STRETCHES).map(([key, { name }]) => [key, name])),
      this.slider("contrast", "Contrast", 0.5, 3),
      this.slider("brightness", "Brightness", -0.5, 0.5),
      this.select("balance", "Colour balance", Object.entries(BALANCES)),
    );
    const reset = document.createElement("button");
    reset.type = "button";
    reset.textContent = "As drawn";
    reset.addEventListener("click", () => this.reset());
    panel.append(reset);
    const take = ({ target: { name, type, value } }) => {
      if (name) this.set({ [name]: type === "range" ? Number(value) : value });
    };
    panel.addEventListener("input", take);
    panel.addEventListener("change", take); // form fillers report a choice by this alone
    this.panels.push(panel);
    this.fill(panel);
  }

  fill(panel) {
    for (const control of panel.querySelectorAll("[name]")) {
      if (control.value !== String(this[control.name])) control.value = this[control.name];
    }
  }

  select(name, title, options) {
    const control = document.createElement("select");
    control.append(...options.map(([key, text]) => new Option(text, key)));
    return this.labelled(control, name, title);
  }

  slider(name, title, min, max) {
    const control = document.createElement("input");
    Object.assign(control, { type: "range", min, max, step: 0.05 });
    return this.labelled(control, name, title);
  }

  labelled(control, name, title) {
    const label = document.createElement("label");
    control.name = name;
    label.append(title, control);
    return label;
  }

  /** Factors of red, green and blue for an object's composite. */
  gains(item) {
    if (this.balance === "usual") return [1, 1, 1];
    if (this.balance !== "each") return CANDIDATES.balances[this.balance];
    const { red, blue } = CANDIDATES.items;
    const [r, b] = [1 / red[item], 1 / blue[item]];
    const middle = Math.cbrt(r * b);
    // In quarters of a factor of two: some dozens of filters serve ten thousand objects.
    return [r, 1, b].map((gain) => 2 ** (Math.round(4 * Math.log2(gain / middle)) / 4));
  }

  /** The CSS filter of a picture: of an object's composite, or without an item of a single band. */
  filter(item, stretch = this.stretch) {
    const gains = item === undefined ? [1, 1, 1] : this.gains(item);
    const plain = gains.every((gain) => gain === 1) && this.contrast === 1 && this.brightness === 0;
    if (plain && stretch === "drawn") return "";
    const id = `tone-${stretch}-${gains.map((gain) => gain.toFixed(3)).join("-")}`;
    if (!this.made.has(id)) this.make(id, gains, stretch);
    return `url("#${id}")`;
  }

  make(id, gains, stretch) {
    const element = (name, attributes) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", name);
      Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
      return made;
    };
    const filter = element("filter", { id, "color-interpolation-filters": "sRGB", x: 0, y: 0, width: 1, height: 1 });
    const transfer = element("feComponentTransfer", {});
    ["R", "G", "B"].forEach((channel, place) => {
      const table = Array.from({ length: 65 }, (_, step) => this.shown((gains[place] * step) / 64, stretch).toFixed(4));
      transfer.append(element(`feFunc${channel}`, { type: "table", tableValues: table.join(" ") }));
    });
    filter.append(transfer);
    this.defs.append(filter);
    this.made.add(id);
  }

  /** Contrast turns around a fifth, where faint light is; the sky is below. */
  shown(value, stretch) {
    const clip = (one) => Math.max(0, Math.min(1, one));
    const pivot = 0.2;
    return STRETCHES[stretch].curve(clip((clip(value) - pivot) * this.contrast + pivot + this.brightness));
  }
}
