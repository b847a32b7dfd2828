"use strict";

/** Tables as comma-separated values (RFC 4180). */
const Csv = {
  /** Text of a table: rows are lists of values, the first names the columns. */
  format(rows) {
    const cell = (value) => {
      const text = String(value ?? "");
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return rows.map((row) => row.map(cell).join(",") + "\n").join("");
  },

  /** Rows of a text, the inverse of `format`; throws an Error for a quote that is never closed. */
  parse(text) {
    const rows = [];
    let row = [];
    let cell = "";
    let quoted = false;
    const source = text.replace(/^\uFEFF/, "");
    const endCell = () => {
      row.push(cell);
      cell = "";
    };
    const endRow = () => {
      endCell();
      if (row.length > 1 || row[0] !== "") rows.push(row);
      row = [];
    };
    for (let place = 0; place < source.length; place += 1) {
      const character = source[place];
      if (quoted) {
        if (character !== '"') cell += character;
        else if (source[place + 1] === '"') {
          cell += '"';
          place += 1;
        } else quoted = false;
      } else if (character === '"' && cell === "") quoted = true;
      else if (character === ",") endCell();
      else if (character === "\n") endRow();
      else if (character !== "\r") cell += character;
    }
    if (quoted) throw new Error("a quotation mark is never closed");
    if (cell !== "" || row.length) endRow();
    return rows;
  },
};
