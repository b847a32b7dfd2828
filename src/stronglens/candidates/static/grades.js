"use strict";

const GRADES = {
  A: "certainly a lens",
  B: "probably a lens",
  C: "possibly a lens",
  X: "no lens",
};

const GRADE_COLUMNS = ["id", "grade", "dataset", "prob", "prob_std", "threshold", "ensemble", "graded_at"];

/**
 * The grades a person gives, kept in the browser: a map for each data set, from an object's id to
 * {grade, at}. They outlast a new training, since ids and cutouts stay the same, and objects that are not on
 * the page any more keep theirs.
 */
class Grades {
  constructor(sets) {
    this.sets = sets;
    this.keeps = true;
    this.done = []; // what was given, and what it replaced, the last at the end
    this.load();
  }

  load() {
    this.given = this.sets.map((set) => {
      try {
        return new Map(Object.entries(JSON.parse(localStorage.getItem(Grades.key(set)) ?? "{}")));
      } catch {
        this.keeps = false; // storage is switched off, or holds something else
        return new Map();
      }
    });
  }

  static key(set) {
    return `stronglens-grades:${set.key}`;
  }

  get(set, id) {
    return this.given[set].get(id)?.grade ?? "";
  }

  /** Give a grade, or take it back with "". */
  give(set, id, grade) {
    this.replace([{ set, id, value: grade ? { grade, at: new Date().toISOString() } : undefined }]);
  }

  /** Give several at once, which are undone at once. */
  replace(changes) {
    this.done.push(this.apply(changes));
  }

  /** Take back what was done last; returns the changes made, none if nothing is left to undo. */
  undo() {
    const changes = this.done.pop() ?? [];
    this.apply(changes);
    return changes;
  }

  /** Make changes, the first first; returns those that restore what was there. */
  apply(changes) {
    const before = changes.map(({ set, id, value }) => {
      const was = this.given[set].get(id);
      if (value) this.given[set].set(id, value);
      else this.given[set].delete(id);
      return { set, id, value: was };
    });
    new Set(changes.map(({ set }) => set)).forEach((set) => this.save(set));
    return before.reverse();
  }

  save(set) {
    try {
      localStorage.setItem(Grades.key(this.sets[set]), JSON.stringify(Object.fromEntries(this.given[set])));
    } catch {
      this.keeps = false;
    }
  }

  /** All grades as a table; `say(set, id)` gives what the page knows of an object, if it shows it. */
  table(say) {
    const rows = [GRADE_COLUMNS];
    this.given.forEach((grades, set) => {
      for (const [id, { grade, at }] of [...grades].sort((one, other) => (one[0] < other[0] ? -1 : 1))) {
        rows.push([id, grade, this.sets[set].name, ...say(set, id), at]);
      }
    });
    return rows;
  }

  /** Take the grades of a table; throws an Error, and takes none, if a row is wrong. Returns how many. */
  take(rows) {
    const [header = [], ...lines] = rows;
    const column = (name) => header.indexOf(name);
    if (column("id") < 0 || column("grade") < 0) {
      throw new Error(`expected the columns id and grade, found ${header.join(", ") || "nothing"}`);
    }
    const taken = lines.map((line, number) => {
      const id = line[column("id")];
      const grade = (line[column("grade")] ?? "").trim().toUpperCase();
      const name = column("dataset") < 0 ? this.sets[0].name : line[column("dataset")];
      const set = this.sets.findIndex((one) => one.name === name);
      const where = `line ${number + 2}`;
      if (!id) throw new Error(`${where}: expected an id, found none`);
      if (grade && !(grade in GRADES)) throw new Error(`${where}: expected A, B, C or X, found ${grade}`);
      if (set < 0) throw new Error(`${where}: expected one of the data sets of this page, found ${name}`);
      const at = (column("graded_at") < 0 ? "" : line[column("graded_at")]) || new Date().toISOString();
      return { set, id, grade, at };
    });
    const given = taken.filter(({ grade }) => grade);
    if (given.length) this.replace(given.map(({ set, id, grade, at }) => ({ set, id, value: { grade, at } })));
    return given.length;
  }
}
