
"use strict";
(() => {
  const announcement = document.getElementById("announcement");
  const announce = (text) => { announcement.textContent = text; };

  // The value of a cell for sorting: a number if the cell has one, or its text.
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.value;
    if (value === undefined) return cell.textContent.trim();
    return value === "" ? Infinity : Number(value);
  };
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? (a === b ? 0 : a < b ? -1 : 1) : collator.compare(a, b);

  const sort = (table, name, direction) => {
    const headers = [...table.tHead.rows[0].cells];
    const column = headers.findIndex((header) => header.dataset.sort === name);
    if (column < 0) return false;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, value: valueOf(row, column) }));
    const sign = direction === "descending" ? -1 : 1;
    // Unknown values are last in both directions.
    const isUnknown = (value) => value === Infinity || value === "–";
    rows.sort((a, b) => isUnknown(a.value) - isUnknown(b.value) || sign * compare(a.value, b.value));
    body.append(...rows.map((entry) => entry.row));
    for (const header of headers) header.removeAttribute("aria-sort");
    headers[column].setAttribute("aria-sort", direction);
    return true;
  };

  // Shows the rows that contain every word, and have the state.
  const filter = (table, text, state) => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    const isAll = words.length === 0 && !state;
    for (const row of table.tBodies[0].rows) {
      if (isAll) {
        if (row.hidden) row.hidden = false;
        shown += 1;
        continue;
      }
      row.searched ??= row.textContent.toLowerCase().replace(/\s+/g, " ");
      const states = (row.dataset.states ?? "").split(" ");
      const matches = words.every((word) => row.searched.includes(word)) && (!state || states.includes(state));
      row.hidden = !matches;
      if (matches) shown += 1;
    }
    return shown;
  };

  const onSort = (table, changed) => {
    for (const header of table.tHead.rows[0].cells) {
      const name = header.dataset.sort;
      if (!name) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = header.textContent;
      header.replaceChildren(button);
      button.addEventListener("click", () => {
        const direction = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        sort(table, name, direction);
        announce(`sorted by ${button.textContent}, ${direction}`);
        changed(name, direction);
      });
    }
  };

  const controls = new Map();
  for (const element of document.querySelectorAll(".controls")) {
    element.hidden = false;
    controls.set(element.dataset.for, element);
  }
  const number = (value) => value.toLocaleString("en");

  const linked = (table, element) => {
    const [input, state] = [element.querySelector("input"), element.querySelector("select")];
    const [output, none] = [element.querySelector("output"), document.getElementById("none")];
    const initial = [...table.tBodies[0].rows];
    const order = { sort: "", dir: "" };
    const show = () => {
      const shown = filter(table, input.value, state.value);
      const total = table.tBodies[0].rows.length;
      output.value = shown === total ? `${number(total)} shown` : `${number(shown)} of ${number(total)} shown`;
      none.hidden = shown > 0;
      for (const link of document.querySelectorAll(".counts a")) {
        const isCurrent = state.value !== "" && link.hash === `#state=${state.value}`;
        if (isCurrent) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    };
    // The fragment holds the search, so that it can be linked: #q=app&state=stale&sort=size.
    const write = () => {
      const fields = new URLSearchParams();
      if (input.value) fields.set("q", input.value);
      if (state.value) fields.set("state", state.value);
      if (order.sort) fields.set("sort", order.sort);
      if (order.dir === "descending") fields.set("dir", "desc");
      try {
        history.replaceState(null, "", `#${fields}`);
      } catch {
        // A browser may refuse this for files. The table is filtered all the same.
      }
      show();
    };
    const read = () => {
      const fragment = location.hash.slice(1);
      if (fragment === "main") return;
      const fields = new URLSearchParams(fragment);
      input.value = fields.get("q") ?? "";
      state.value = fields.get("state") ?? "";
      if (state.selectedIndex < 0) state.value = "";
      order.dir = fields.get("dir") === "desc" ? "descending" : "ascending";
      const wasSorted = order.sort !== "";
      order.sort = fields.get("sort") ?? "";
      if (!order.sort || !sort(table, order.sort, order.dir)) {
        order.sort = order.dir = "";
        if (wasSorted) table.tBodies[0].append(...initial);
        for (const header of table.tHead.rows[0].cells) header.removeAttribute("aria-sort");
      }
      show();
    };
    onSort(table, (name, direction) => {
      order.sort = name;
      order.dir = direction;
      write();
    });
    input.addEventListener("input", write);
    state.addEventListener("change", write);
    element.querySelector("#reset").addEventListener("click", () => {
      location.hash = "";
      read();
      input.focus();
    });
    addEventListener("hashchange", read);
    read();
    // The findings of all rows are opened or closed together, and printed.
    const button = element.querySelector("#details");
    const all = [...table.querySelectorAll("details")];
    const open = (isOpen) => { for (const one of all) one.open = isOpen; };
    if (button) {
      button.hidden = all.length === 0;
      button.addEventListener("click", () => {
        const isOpen = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", isOpen);
        open(isOpen);
      });
      addEventListener("beforeprint", () => open(true));
    }
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const element = controls.get(table.id);
    if (element && "linked" in table.dataset) {
      linked(table, element);
      continue;
    }
    onSort(table, () => {});
    if (element) {
      const [input, output] = [element.querySelector("input"), element.querySelector("output")];
      const show = () => {
        const shown = filter(table, input.value, "");
        output.value = `${number(shown)} of ${number(table.tBodies[0].rows.length)}`;
      };
      input.addEventListener("input", show);
      show();
    }
  }

  // A digest is shortened; its button copies the whole one.
  for (const code of document.querySelectorAll("code.digest")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "digest";
    button.title = `copy ${code.title}`;
    button.dataset.copy = code.dataset.copy;
    button.textContent = code.textContent;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        announce("copied");
      } catch {
        // Without a clipboard, the whole digest can be selected.
        button.textContent = button.dataset.copy;
        button.classList.add("whole");
        announce(button.dataset.copy);
      }
    });
    code.replaceWith(button);
  }
  // Copying a part of one digest copies the whole one. A selection with other text stays as it is,
  // and so does the text of a field, which is no part of the selection of the document.
  document.addEventListener("copy", (event) => {
    const selection = getSelection();
    if (!selection || selection.isCollapsed || !event.clipboardData) return;
    if (event.target instanceof HTMLInputElement) return;
    const digestOf = (node) => (node instanceof Element ? node : node?.parentElement)?.closest("button.digest");
    const digest = digestOf(selection.anchorNode);
    if (digest && digest === digestOf(selection.focusNode)) {
      event.clipboardData.setData("text/plain", digest.dataset.copy);
      event.preventDefault();
    }
  });
})();
