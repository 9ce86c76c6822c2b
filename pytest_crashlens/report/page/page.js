"use strict";
(() => {
  const table = document.getElementById("tests");
  if (table) browse(table);

  // what is folded away is printed all the same
  const folded = () => document.querySelectorAll("details:not([open])");
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...folded()];
    opened.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((one) => { one.open = false; }));

  // Search, sort and "changed only". Only the rows that are shown are in the document: thousands of
  // them would make every key press slow.
  function browse(table) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const step = Number(table.dataset.shown);
    const input = document.getElementById("search");
    const changed = document.getElementById("changed");
    const more = document.getElementById("more");
    const status = document.getElementById("status");
    const heads = [...table.tHead.rows[0].cells];
    const number = new Intl.NumberFormat("en");
    const words = new Intl.Collator("en", { numeric: true });
    const place = new Map(rows.map((row, at) => [row, at]));
    let texts = null;
    let order = rows;
    let limit = step;

    function matching() {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      if (wanted.length && !texts) {
        texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
      }
      const only = changed.getAttribute("aria-pressed") === "true";
      return order.filter((row) => (!only || row.dataset.changed === "1")
        && wanted.every((word) => texts.get(row).includes(word)));
    }

    function show() {
      const found = matching();
      const shown = found.slice(0, limit);
      body.replaceChildren(...shown);
      const all = found.length === rows.length ? "" : ` (${number.format(rows.length)} in all)`;
      const tests = found.length === 1 ? "test" : "tests";
      const part = shown.length < found.length ? `${number.format(shown.length)} of ` : "";
      status.textContent = found.length
        ? `${part}${number.format(found.length)} ${tests}${all}`
        : `no test matches${all}`;
      more.hidden = shown.length === found.length;
    }

    function sort(head, button) {
      const at = heads.indexOf(head);
      const kind = head.dataset.kind;
      const was = head.getAttribute("aria-sort");
      // the dearest first, names from a to z
      const first = kind === "number" ? "descending" : "ascending";
      const now = was === first ? (first === "ascending" ? "descending" : "ascending") : first;
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", now);
      const value = {
        order: (row) => place.get(row),
        text: (row) => row.cells[at].textContent.trim(),
        number: (row) => (row.cells[at].dataset.v === "" ? null : Number(row.cells[at].dataset.v)),
      }[kind];
      const sign = now === "ascending" ? 1 : -1;
      const keyed = rows.map((row) => [value(row), row]);
      keyed.sort(([a, x], [b, y]) => {
        if (a === null || b === null) {
          // what is not known comes last, whichever way
          if (a !== b) return a === null ? 1 : -1;
        } else {
          const found = kind === "text" ? words.compare(a, b) : a - b;
          if (found) return sign * found;
        }
        return place.get(x) - place.get(y);
      });
      order = keyed.map(([, row]) => row);
      show();
    }

    // on paper there is no button for more
    addEventListener("beforeprint", () => body.replaceChildren(...matching()));
    addEventListener("afterprint", show);

    heads.forEach((head) => {
      const button = head.querySelector("button");
      button.addEventListener("click", () => sort(head, button));
    });
    input.addEventListener("input", () => { limit = step; show(); });
    changed.addEventListener("click", () => {
      const pressed = changed.getAttribute("aria-pressed") === "true";
      changed.setAttribute("aria-pressed", String(!pressed));
      limit = step;
      show();
    });
    more.addEventListener("click", () => {
      const from = body.rows.length;
      limit *= 10;
      show();
      // the button may be gone, and the keyboard's place with it
      if (more.hidden) body.rows[from].focus();
    });
    rows.forEach((row) => { row.tabIndex = -1; });
    show();
    document.documentElement.classList.add("ready");
  }
})();
