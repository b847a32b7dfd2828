"use strict";

const ZOOMS = CANDIDATES.sizePx <= 64 ? [1, 2, 3, 4, 6] : [0.5, 0.75, 1, 1.5, 2];
const byId = (id) => document.getElementById(id);

class App {
  constructor() {
    this.items = CANDIDATES.items;
    this.grades = new Grades(CANDIDATES.sets);
    this.texts = this.items.id.map((id, item) => `${id} ${this.items.domain[item]}`.toLowerCase());
    this.reversed = false;
    this.grid = new Grid(
      byId("grid"),
      byId("space"),
      (item) => this.describe(item),
      () => this.viewer.open(),
      () => this.viewer.dialog.open && this.viewer.draw(),
    );
    this.tone = new Tone(byId("tones"), () => this.redraw());
    this.viewer = new Viewer(this);
    this.introduce();
    this.tone.addPanel(byId("tone-panel"));
    this.tone.addPanel(byId("viewer-tone"));
    byId("grade-keys").append(...gradeButtons((grade) => this.gradeAndFocus(grade)));
    this.makeViews();
    this.makeFilters();
    this.listen();
    byId("filters").open = byId("viewer-tone-details").open = !isSmall();
    this.setZoom(isSmall() ? 1 : 2);
    this.setView(0);
    this.grid.element.focus();
    if (!this.grades.keeps) {
      this.tell("This browser stores nothing for pages opened from disk: export your grades before you close this page.");
    }
  }

  introduce() {
    const { ensemble, testset, threshold, members, simulated, colours } = CANDIDATES;
    const n = members.length;
    byId("about").textContent =
      `${simulated ? "Simulated data · " : ""}test set ${testset} · ensemble ${ensemble}, ` +
      `${n} member${n === 1 ? "" : "s"} · t* = ${threshold.toFixed(3)}`;
    byId("help-about").textContent =
      `Objects of the test set ${testset} and of the held-out split. Each shows the mean probability over ` +
      `${members.join(", ")}; the spread is the standard deviation over members.`;
    byId("help-pictures").textContent =
      `Colour pictures show ${colours.join(", ")} as red, green and blue with the stretch of Lupton et al. (2004), ` +
      "scaled so that an object of median colours is grey; a neighbouring band replaces a missing one. Single " +
      "bands are each stretched by themselves. Up is up in the FITS file. Stretch, contrast, brightness and " +
      "colour balance change only what you see here, for all pictures at once; to blink is to show the chosen " +
      "stretch and another in turn. With “each object grey” an arc bluer than its lens stands out." +
      (CANDIDATES.pixelScaleArcsec ? "" : " The scale is in pixels: the config's capsule.pixel_scale_arcsec sets it.");
    byId("grade-list").append(
      ...Object.entries(GRADES).map(([grade, meaning]) => {
        const line = document.createElement("li");
        line.append(gradeBadge(grade), ` ${meaning}`);
        return line;
      }),
    );
  }

  makeViews() {
    this.viewButtons = CANDIDATES.views.map((view, number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${view.name} (${view.items.length.toLocaleString("en")})`;
      button.addEventListener("click", () => this.goToView(number));
      return button;
    });
    byId("views").append(...this.viewButtons);
  }

  makeFilters() {
    this.bandBoxes = CANDIDATES.bands.map((band) => {
      const label = document.createElement("label");
      label.className = "inline";
      const box = document.createElement("input");
      box.type = "checkbox";
      box.name = `has-${band}`;
      label.append(box, ` ${band}`);
      byId("bands").append(label);
      return box;
    });
    const domains = [...new Set(this.items.domain)].sort();
    byId("domain").append(...domains.map((domain) => new Option(domain, domain)));
  }

  listen() {
    const form = byId("filter-form");
    form.addEventListener("input", (event) => {
      if (event.target.id === "zoom") this.setZoom(Number(event.target.value));
      else this.refresh();
    });
    // Form fillers report a choice by this event alone.
    form.addEventListener("change", (event) => event.target.matches("select") && this.refresh());
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => {
      this.reversed = false;
      byId("direction").setAttribute("aria-pressed", "false");
      setTimeout(() => {
        byId("zoom").value = this.zoom;
        byId("ids").checked = this.grid.showsIds;
        this.refresh();
      });
    });
    byId("ids").addEventListener("change", (event) => this.showIds(event.target.checked));
    byId("undo").addEventListener("click", () => this.undo());
    byId("direction").addEventListener("click", (event) => {
      this.reversed = !this.reversed;
      event.target.setAttribute("aria-pressed", String(this.reversed));
      this.refresh();
    });
    byId("export").addEventListener("click", () => this.exportGrades());
    byId("import").addEventListener("click", () => byId("import-file").click());
    byId("import-file").addEventListener("change", (event) => this.importGrades(event.target));
    byId("help-button").addEventListener("click", () => byId("help").showModal());
    byId("help-close").addEventListener("click", () => byId("help").close());
    document.addEventListener("keydown", (event) => this.key(event));
    // Grades given in another tab.
    window.addEventListener("storage", () => {
      this.grades.load();
      this.redraw();
    });
  }

  describe(item) {
    const { items } = this;
    const prob = items.prob[item].toFixed(3);
    return {
      id: items.id[item],
      prob,
      grade: this.gradeOf(item),
      note: items.pred[item] ? "above" : "below",
      filter: this.tone.filter(item),
    };
  }

  gradeOf(item) {
    return this.grades.get(this.items.set[item], this.items.id[item]);
  }

  /** Grade the chosen object, and go on by so many. */
  grade(grade, by) {
    const { item } = this.grid;
    if (item === undefined) return;
    this.grades.give(this.items.set[item], this.items.id[item], grade);
    this.grid.choose(this.grid.chosen + by);
    this.count();
    if (!this.grades.keeps) this.tell("The browser could not store this grade: export the grades.");
  }

  gradeAndFocus(grade) {
    this.grade(grade, 1);
    this.grid.element.focus();
  }

  /** Take back the last grade, and go to its object if it is listed. */
  undo() {
    const [change] = this.grades.undo();
    if (change) {
      const { items, grid } = this;
      const place = grid.items.findIndex((item) => items.set[item] === change.set && items.id[item] === change.id);
      if (place >= 0) grid.choose(place);
    }
    this.redraw();
  }

  showIds(shown) {
    this.grid.showsIds = shown;
    byId("ids").checked = shown;
    this.grid.lay();
    this.grid.reveal();
    this.grid.draw();
  }

  step(by) {
    this.grid.choose(this.grid.chosen + by);
  }

  setView(number) {
    this.view = CANDIDATES.views[number];
    this.viewButtons.forEach((button, place) =>
      button.setAttribute("aria-pressed", String(place === number)),
    );
    byId("view-says").textContent = this.view.says;
    this.refresh();
  }

  /** Show a view, and let keys grade what is seen in it. */
  goToView(number) {
    this.setView(number);
    this.grid.element.focus();
  }

  setZoom(zoom) {
    this.zoom = Math.max(0, Math.min(ZOOMS.length - 1, zoom));
    byId("zoom").value = this.zoom;
    this.grid.scale = ZOOMS[this.zoom];
    drawScaleBar(byId("list-scale"), this.grid.scale);
    this.grid.lay();
    this.grid.reveal();
  }

  /** Filter and sort the view anew. */
  refresh() {
    const { items, texts } = this;
    const search = byId("search").value.trim().toLowerCase();
    const number = (id, otherwise) => (byId(id).value === "" ? otherwise : Number(byId(id).value));
    const lowest = number("prob-min", 0);
    const highest = number("prob-max", 1);
    const needed = this.bandBoxes.reduce((mask, box, band) => mask | (box.checked ? 1 << band : 0), 0);
    const domain = byId("domain").value;
    const wanted = byId("grade-filter").value;
    const hasGrade = {
      "": () => true,
      none: (item) => !this.gradeOf(item),
      any: (item) => Boolean(this.gradeOf(item)),
    }[wanted] ?? ((item) => this.gradeOf(item) === wanted);
    const shown = this.view.items.filter(
      (item) =>
        items.prob[item] >= lowest &&
        items.prob[item] <= highest &&
        (items.bands[item] & needed) === needed &&
        (!domain || items.domain[item] === domain) &&
        texts[item].includes(search) &&
        hasGrade(item),
    );
    this.sort(shown);
    if (this.reversed) shown.reverse();
    this.grid.show(shown, 0);
    byId("nothing").hidden = shown.length > 0;
    byId("nothing").textContent = this.view.items.length
      ? "Nothing here matches the filters."
      : "There is no such object.";
    this.count();
  }

  sort(shown) {
    const { items } = this;
    const falling = (value) => (one, other) => value(other) - value(one);
    const words = (value) => (one, other) => (value(one) < value(other) ? -1 : Number(value(one) > value(other)));
    const distance = (item) => Math.abs(items.prob[item] - CANDIDATES.threshold);
    const orders = {
      prob: falling((item) => items.prob[item]),
      std: falling((item) => items.std[item]),
      distance: (one, other) => distance(one) - distance(other),
      grade: words((item) => this.gradeOf(item) || "~"),
      id: words((item) => items.id[item]),
    };
    const order = orders[byId("sort").value];
    if (order) shown.sort(order);
  }

  count() {
    const shown = this.grid.items;
    const tally = Object.fromEntries(Object.keys(GRADES).map((grade) => [grade, 0]));
    for (const item of shown) {
      const grade = this.gradeOf(item);
      if (grade) tally[grade] += 1;
    }
    const graded = Object.values(tally).reduce((sum, n) => sum + n, 0);
    const number = (n) => n.toLocaleString("en");
    byId("status").textContent =
      `${number(shown.length)} of ${number(this.view.items.length)} shown, ${number(graded)} graded`;
    const progress = byId("progress");
    progress.max = Math.max(1, shown.length);
    progress.value = graded;
    progress.title = Object.entries(tally).map(([grade, n]) => `${grade}: ${number(n)}`).join(", ");
    byId("undo").disabled = !this.grades.done.length;
  }

  redraw() {
    if (!this.viewer) return; // nothing is shown yet
    this.grid.draw();
    this.count();
    if (this.viewer.dialog.open) this.viewer.draw();
  }

  tell(text) {
    byId("message").textContent = text;
    byId("message").hidden = !text;
  }

  exportGrades() {
    const { items } = this;
    const place = new Map(items.id.map((id, item) => [`${items.set[item]} ${id}`, item]));
    const say = (set, id) => {
      const item = place.get(`${set} ${id}`);
      return item === undefined
        ? ["", "", CANDIDATES.threshold, CANDIDATES.ensemble]
        : [items.prob[item], items.std[item], CANDIDATES.threshold, CANDIDATES.ensemble];
    };
    const rows = this.grades.table(say);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([Csv.format(rows)], { type: "text/csv" }));
    link.download = `grades_${CANDIDATES.testset}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    this.tell(`${rows.length - 1} grades exported to ${link.download}.`);
  }

  async importGrades(input) {
    const [file] = input.files;
    if (!file) return;
    try {
      const taken = this.grades.take(Csv.parse(await file.text()));
      this.tell(`${taken} grades imported from ${file.name}.`);
      this.redraw();
    } catch (error) {
      this.tell(`${file.name}: ${error.message}. No grade was imported.`);
    }
    input.value = "";
  }

  key(event) {
    if (byId("help").open) return;
    const { target } = event;
    const isText = target.matches("input:not([type=range]):not([type=checkbox]), textarea");
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z" && !isText) {
      event.preventDefault();
      this.undo();
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const looking = this.viewer.dialog.open;
    if (target.matches("input, select, textarea")) {
      if (event.key !== "Escape" || looking) return; // Escape closes the close look by itself
      if (target.id === "search") {
        target.value = "";
        this.refresh();
      }
      this.grid.element.focus();
      return;
    }
    const inGrid = looking || target === this.grid.element;
    const name = event.key.length === 1 ? event.key.toUpperCase() : event.key;
    const act = (looking && event.shiftKey && this.pans()[name]) || this.actions(looking)[name];
    if (!act || (act.inGrid && !inGrid)) return;
    // A button that has the focus takes Enter and the space bar itself.
    if (looking && ["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    act.do();
  }

  pans() {
    const pan = (right, down) => ({ do: () => this.viewer.pan(right, down) });
    return { ArrowLeft: pan(-1, 0), ArrowRight: pan(1, 0), ArrowUp: pan(0, -1), ArrowDown: pan(0, 1) };
  }

  actions(looking) {
    const step = (by) => ({ inGrid: true, do: () => this.step(by) });
    const line = looking ? 1 : this.grid.columns;
    const page = line * Math.max(1, Math.floor(this.grid.element.clientHeight / this.grid.cardHeight));
    const zoom = (by) => ({
      inGrid: true,
      do: () => (looking ? this.viewer.zoom(by) : this.setZoom(this.zoom + by)),
    });
    const open = { inGrid: true, do: () => this.grid.items.length && this.viewer.open() };
    const grades = Object.keys(GRADES).map((grade) => [grade, { inGrid: true, do: () => this.grade(grade, 1) }]);
    const views = CANDIDATES.views.map((_, number) => [
      String(number + 1),
      // From anywhere: an empty view has nothing that could have the focus.
      { do: () => !looking && this.goToView(number) },
    ]);
    const help = { do: () => byId("help").showModal() };
    return {
      ArrowLeft: step(-1),
      ArrowRight: step(1),
      ArrowUp: step(-line),
      ArrowDown: step(line),
      PageUp: step(-page),
      PageDown: step(page),
      Home: step(-this.grid.items.length),
      End: step(this.grid.items.length),
      Enter: open,
      " ": open,
      0: { inGrid: true, do: () => this.grade("", 0) },
      "+": zoom(1),
      "=": zoom(1),
      "-": zoom(-1),
      Z: { do: () => this.undo() },
      I: { do: () => !looking && this.showIds(!this.grid.showsIds) },
      S: { do: () => this.tone.next() },
      K: { do: () => looking && this.viewer.toggleBlink() },
      V: { do: () => looking && this.viewer.toggleSide() },
      P: { inGrid: true, do: () => document.body.classList.toggle("smooth") },
      "?": help,
      "/": {
        do: () => {
          if (looking) return;
          byId("filters").open = true;
          byId("search").focus();
        },
      },
      ...Object.fromEntries([...grades, ...views]),
    };
  }
}

const app = new App();
// Once it can be seen, too: the frame after this one.
requestAnimationFrame(() => setTimeout(() => performance.mark("interactive")));
