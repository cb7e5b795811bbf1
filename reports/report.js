"use strict";
// The page is whole without this script. It adds search, sorting and a choice of columns to tables, read-outs and
// switches to figures, saving of both, and the toolbox.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const on = (element, kind, action) => { if (element) element.addEventListener(kind, action); };
  const fill = (element, attributes, children) => {
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    element.append(...children);
    return element;
  };
  const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  const draw = (svg, tag, attributes) => svg.append(fill(document.createElementNS(svg.namespaceURI, tag), attributes, []));
  const button = (text, action, attributes = {}) => {
    const made = make("button", { type: "button", ...attributes }, text);
    made.addEventListener("click", action);
    return made;
  };
  const root = document.documentElement;
  const narrow = window.matchMedia("(max-width: 900px)");
  const state = { marked: new Set(), hidden: new Set(), bands: true };
  root.classList.add("js");
  all(".tools").forEach((element) => { element.hidden = false; });

  // Page: contents, theme, printing, copying.
  const menu = document.querySelector(".menu");
  const fold = () => { menu.open = !narrow.matches; };
  narrow.addEventListener("change", fold);
  fold();
  on(byId("print"), "click", () => window.print());
  on(byId("theme"), "click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  all("[data-copy]").forEach((copy) => copy.addEventListener("click", () => {
    const target = byId(copy.dataset.copy);
    const texts = target.matches("pre") ? [target] : all(target.matches("section") ? "pre" : "p", target);
    const text = texts.map((one) => one.textContent.trim()).join("\n\n");
    const written = navigator.clipboard ? navigator.clipboard.writeText(text) : Promise.reject(new Error("no clipboard"));
    written.then(() => { copy.textContent = "Copied"; }, () => {
      window.getSelection().selectAllChildren(target);
      copy.textContent = "Selected: press Ctrl+C";
    });
  }));

  // Files: one at a time, or several in an archive that is stored, not packed.
  function save(name, blob) {
    const url = URL.createObjectURL(blob);
    make("a", { download: name, href: url }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }
  const saveText = (name, kind, text) => save(name, new Blob([text], { type: kind }));
  const quoted = (cell) => (/[",\n]/.test(cell) ? '"' + cell.replace(/"/g, '""') + '"' : cell);
  const csv = (rows) => rows.map((row) => row.map((cell) => quoted(String(cell))).join(",") + "\n").join("");
  function crc32(bytes) {
    let crc = -1;
    bytes.forEach((byte) => {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
    });
    return ~crc >>> 0;
  }
  const little = (...pairs) => pairs.flatMap(([value, size]) => Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 255));
  function archive(files) {
    const parts = [], index = [];
    let offset = 0;
    files.forEach(([name, bytes]) => {
      const title = new TextEncoder().encode(name);
      const size = bytes.length;
      const shared = little([20, 2], [0x800, 2], [0, 2], [0, 2], [0x21, 2], [crc32(bytes), 4], [size, 4], [size, 4], [title.length, 2], [0, 2]);
      parts.push(new Uint8Array([...little([0x04034b50, 4]), ...shared]), title, bytes);
      index.push(new Uint8Array([...little([0x02014b50, 4], [20, 2]), ...shared, ...little([0, 2], [0, 2], [0, 2], [0, 4], [offset, 4])]), title);
      offset += 30 + title.length + size;
    });
    const length = index.reduce((sum, part) => sum + part.length, 0);
    const end = new Uint8Array(little([0x06054b50, 4], [0, 4], [files.length, 2], [files.length, 2], [length, 4], [offset, 4], [0, 2]));
    return new Blob([...parts, ...index, end], { type: "application/zip" });
  }

  // Tables: search, sorting within groups, a choice of columns, saving of what is shown.
  const isGroup = (row) => row.classList.contains("group");
  const cellText = (cell) => {
    const limits = cell.querySelector(".limits");
    const text = cell.textContent.trim().replace(/\s+/g, " ");
    return limits ? text.slice(0, text.length - limits.textContent.length).trim() + " (" + limits.textContent + ")" : text;
  };
  function value(row, index) {
    const text = row.cells[index].textContent.trim().replace(/,/g, "");
    const number = parseFloat(text.replace(/^</, ""));
    if (Number.isNaN(number)) return /^–?$/.test(text) ? null : text;
    return text[0] === "<" ? number - 1e-9 : number;
  }
  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
  }
  function sort(table, index, sign) {
    const body = table.tBodies[0];
    let block = [];
    const flush = (before) => {
      block.map((row) => [value(row, index), row]).sort((a, b) => compare(a[0], b[0], sign)).forEach((pair) => body.insertBefore(pair[1], before));
      block = [];
    };
    [...body.rows].forEach((row) => { if (isGroup(row)) flush(row); else block.push(row); });
    flush(null);
  }
  const models = (element) => (element.dataset.m ? element.dataset.m.split(" ") : []);
  const tables = all("table.table:not([data-plain])").map((table) => {
    const scroll = table.closest(".scroll");
    const heads = [...table.tHead.rows[0].cells];
    const rows = [...table.tBodies[0].rows];
    const name = table.caption ? table.caption.textContent : "table";
    const off = new Set(heads.flatMap((head, i) => (head.dataset.off ? [i] : [])));
    const said = make("span", { class: "said-rows", role: "status" });
    const search = make("input", { type: "search", placeholder: "Search", "aria-label": "Search in " + name });
    function refresh() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let group = null, title = "", open = 0, shown = 0, total = 0;
      const close = () => { if (group) group.hidden = !open; };
      [...table.tBodies[0].rows].forEach((row) => {
        if (isGroup(row)) {
          close();
          group = row;
          title = row.textContent;
          open = 0;
          return;
        }
        const text = (title + " " + row.textContent).toLowerCase();
        row.hidden = !words.every((word) => text.includes(word)) || models(row).some((m) => state.hidden.has(m));
        row.classList.toggle("marked", models(row).some((m) => state.marked.has(m)));
        total += 1;
        if (!row.hidden) { open += 1; shown += 1; }
      });
      close();
      said.textContent = shown === total ? "" : shown + " of " + total + " rows";
      [table.tHead.rows[0], ...rows.filter((row) => !isGroup(row))].forEach((row) => [...row.cells].forEach((cell, i) => { cell.hidden = off.has(i); }));
    }
    const sortable = !table.closest("#baseline");
    heads.forEach((head, index) => {
      if (!sortable) return;
      const press = button("", () => {
        const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        sort(table, index, sign);
      });
      press.append(...head.childNodes);
      head.append(press);
    });
    const kit = make("div", { class: "kit" });
    if (rows.length > 5) {
      search.addEventListener("input", refresh);
      kit.append(search);
    }
    if (heads.length > 5) {
      const box = make("div", { class: "choice" });
      heads.forEach((head, i) => {
        if (!i) return;
        const check = make("input", { type: "checkbox" });
        check.checked = !off.has(i);
        check.addEventListener("change", () => { off[check.checked ? "delete" : "add"](i); refresh(); });
        box.append(make("label", {}, check, " " + head.textContent));
      });
      kit.append(make("details", { class: "columns" }, make("summary", {}, "Columns"), box));
    }
    kit.append(button("CSV", () => {
      const lines = [["group", ...heads.filter((_, i) => !off.has(i)).map((head) => head.textContent.trim())]];
      let group = "";
      [...table.tBodies[0].rows].forEach((row) => {
        if (isGroup(row)) group = row.textContent.trim();
        else if (!row.hidden) lines.push([group, ...[...row.cells].filter((_, i) => !off.has(i)).map(cellText)]);
      });
      const plain = group ? lines : lines.map((line) => line.slice(1));
      saveText((scroll.id || "table") + ".csv", "text/csv", csv(plain));
    }, { "aria-label": "Save " + name + " as CSV, as shown" }), said);
    scroll.before(kit);
    return { refresh };
  });

  // Figures: a read-out with the pointer or a slider, switches for series and bands, saving.
  const colour = (i) => (i < 0 ? "var(--faint)" : "var(--c" + ((i % 6) + 1) + ")");
  const numbers = (text) => (text ? text.split(" ").map((one) => (one === "-" ? NaN : Number(one))) : []);
  function parse(svg) {
    if (!svg.dataset.plot) return null;
    const plot = JSON.parse(svg.dataset.plot);
    let count = 0, last = "";
    plot.p.forEach((panel) => panel.s.forEach((one) => {
      last = one.x ?? last;  // a series without x has that of the one before
      Object.assign(one, { i: count++, x: numbers(last), y: numbers(one.y), lo: numbers(one.lo), hi: numbers(one.hi), e: (one.e || []).map((more) => [more[0], numbers(more[1]), more[2]]) });
    }));
    plot.series = plot.p.flatMap((panel) => panel.s);
    const xs = plot.series.flatMap((one) => one.x).filter(Number.isFinite);
    plot.from = xs.reduce((a, b) => Math.min(a, b), Infinity);
    plot.to = xs.reduce((a, b) => Math.max(a, b), -Infinity);
    return plot;
  }
  function at(plot, one, x) {
    const xs = one.x;
    if (plot.k === "point") return xs.reduce((best, v, i) => (Math.abs(v - x) < Math.abs(xs[best] - x) ? i : best), 0);
    let i = -1;
    while (i + 1 < xs.length && xs[i + 1] <= x + 1e-9) i++;
    return plot.k === "bin" ? Math.min(i, one.y.length - 1) : i;
  }
  const shownNumber = (plot, y) => (Number.isFinite(y) ? (plot.pc ? 100 * y : y).toFixed(plot.d) : "–");
  function cells(plot, one, x) {
    const i = at(plot, one, x);
    if (i < 0) return ["–", ...one.e.map(() => "–")];
    const unit = plot.pc ? " %" : "";
    const limits = one.lo.length ? " (" + shownNumber(plot, one.lo[i]) + "–" + shownNumber(plot, one.hi[i]) + ")" : "";
    const extra = one.e.map(([, values, ahead]) => {
      if (!ahead) return values[i];
      const next = one.x.findIndex((v) => v >= x - 1e-9);
      return next < 0 ? 0 : values[next];
    });
    return [shownNumber(plot, one.y[i]) + unit + limits, ...extra];
  }
  const figures = all("figure.card").map((card) => {
    const svg = card.querySelector("svg.plot");
    if (!svg) return null;
    const plot = parse(svg);
    const figure = { card, svg, plot, off: new Set(), bands: true };
    const seen = (one) => !(figure.off.has(one.n) || state.hidden.has(String(one.m)));
    const parts = (i) => all('[data-s="' + i + '"]', svg);
    figure.refresh = () => {
      card.hidden = models(card).some((m) => state.hidden.has(m));
      card.classList.toggle("marked", models(card).some((m) => state.marked.has(m)));
      if (!plot) return;
      plot.series.forEach((one) => parts(one.i).forEach((part) => {
        part.classList.toggle("off", !seen(one) || (part.dataset.band === "1" && !(figure.bands && state.bands)));
        part.classList.toggle("dim", one.m !== undefined && state.marked.size > 0 && !state.marked.has(String(one.m)));
      }));
    };
    if (plot && plot.series.length) addReadout(figure, seen);
    if (plot && plot.series.length > 1) addSwitches(figure);
    addSaving(figure);
    return figure;
  }).filter(Boolean);

  function addReadout(figure, seen) {
    const { svg, plot, card } = figure;
    const width = svg.viewBox.baseVal.width;
    const [left, , right] = plot.p[0].b;
    const [low, high] = plot.p[0].l;
    const place = (x) => left + ((x - low) / (high - low)) * (right - left);
    const box = make("div", { class: "read", "aria-hidden": "true" });
    box.hidden = true;
    const slider = make("input", { type: "range", min: 0, max: 100, value: 0, "aria-label": "Read the figure along: " + plot.x });
    slider.style.marginLeft = (100 * place(plot.from)) / width + "%";
    slider.style.width = (100 * (place(plot.to) - place(plot.from))) / width + "%";
    const stage = make("div", { class: "stage" });
    stage.style.width = svg.style.width;
    svg.before(stage);
    stage.append(svg, box, slider);
    const clear = () => {
      box.hidden = true;
      all(".cross", svg).forEach((mark) => mark.remove());
    };
    function show(x) {
      clear();
      const decimals = plot.to > 2 ? 1 : 2;
      const rows = [];
      const names = plot.series[0].e.map((more) => more[0]);
      if (plot.k === "bin") {
        rows.push(["", ...plot.p[0].s.map((one) => one.n)]);
        plot.p.forEach((panel) => { if (panel.s.some(seen)) rows.push([panel.t, ...panel.s.map((one) => (seen(one) ? cells(plot, one, x)[0] : ""))]); });
      } else {
        rows.push(["", plot.y, ...names]);
        plot.series.filter(seen).forEach((one) => rows.push([one.n, ...cells(plot, one, x)]));
      }
      const bin = plot.k === "bin" ? at(plot, plot.series[0], x) : 0;
      const where = plot.k === "bin" ? plot.series[0].x[bin].toFixed(decimals) + "–" + plot.series[0].x[bin + 1].toFixed(decimals) : x.toFixed(decimals);
      const table = make("table", {}, make("caption", {}, plot.x + " " + where));
      rows.forEach((row, i) => table.append(make("tr", {}, ...row.map((text, j) => make(i && j ? "td" : "th", {}, String(text))))));
      if (plot.k !== "bin") {
        plot.series.filter(seen).forEach((one, i) => table.rows[i + 1].cells[0].prepend(make("i", { class: "swatch", style: "--swatch:" + colour(one.c) })));
      }
      box.replaceChildren(table);
      box.hidden = false;
      box.classList.toggle("flip", place(x) > width / 2);
      box.style.setProperty("--at", (100 * place(x)) / width + "%");
      plot.p.forEach((panel) => {
        draw(svg, "line", { class: "cross", x1: place(x), x2: place(x), y1: panel.b[1], y2: panel.b[3] });
        if (plot.k === "bin") return;
        panel.s.filter(seen).forEach((one) => {
          const i = at(plot, one, x);
          if (i < 0 || !Number.isFinite(one.y[i])) return;
          const y = panel.b[3] - ((one.y[i] - panel.l[2]) / (panel.l[3] - panel.l[2])) * (panel.b[3] - panel.b[1]);
          if (y > panel.b[3] + 1) return;
          draw(svg, "circle", { class: "cross", cx: place(plot.k === "point" ? one.x[i] : x), cy: y, r: 3, style: "fill:" + colour(one.c) });
        });
      });
      slider.setAttribute("aria-valuetext", plot.x + " " + where + ": " + rows.slice(1).map((row) => row.map((text, j) => (j > 1 ? rows[0][j] + " " : "") + text).join(" ")).join("; "));
      slider.value = (100 * (x - plot.from)) / (plot.to - plot.from || 1);
    }
    const follow = (event) => {
      const frame = svg.getBoundingClientRect();
      const x = low + (((event.clientX - frame.left) / frame.width) * width - left) / (right - left) * (high - low);
      if (x < low || x > high) clear(); else show(Math.min(Math.max(x, plot.from), plot.to));
    };
    svg.addEventListener("pointermove", follow);
    svg.addEventListener("pointerdown", follow);
    stage.addEventListener("pointerleave", clear);
    slider.addEventListener("input", () => show(plot.from + (slider.value / 100) * (plot.to - plot.from)));
    slider.addEventListener("blur", clear);
    on(card, "keydown", (event) => { if (event.key === "Escape") clear(); });
  }
  function addSwitches(figure) {
    const row = make("div", { class: "switches", role: "group", "aria-label": "Show or hide" });
    const switches = new Map();
    const add = (text, action) => {
      const press = button(text, () => {
        const now = press.getAttribute("aria-pressed") !== "true";
        press.setAttribute("aria-pressed", now);
        action(now);
        figure.refresh();
      }, { "aria-pressed": "true" });
      row.append(press);
      return press;
    };
    figure.plot.series.forEach((one) => {
      if (switches.has(one.n)) return;
      const press = add(one.n, (now) => figure.off[now ? "delete" : "add"](one.n));
      press.prepend(make("i", { class: "swatch", style: "--swatch:" + colour(one.c) }));
      switches.set(one.n, press);
    });
    if (figure.svg.querySelector("[data-band]")) add("95 % intervals", (now) => { figure.bands = now; });
    figure.svg.addEventListener("click", (event) => {
      const part = event.target.closest("[data-s]");
      if (part) switches.get(figure.plot.series[part.dataset.s].n).click();
    });
    const many = switches.size > 3;
    figure.card.querySelector(".stage").after(many ? make("details", { class: "pick" }, make("summary", {}, "Show or hide"), row) : row);
  }

  // A figure is saved as it is seen, in the colours of the light theme, on white. Its parts get their looks back, which
  // the page describes once for all figures.
  const looks = new Map(all("#looks").flatMap((rules) => [...rules.textContent.matchAll(/\.(k\d+) \{ (.*) \}/g)].map((rule) => rule.slice(1))));
  function alone(svg) {
    const copy = svg.cloneNode(true);
    ["style", "data-plot", "class"].forEach((name) => copy.removeAttribute(name));
    all(".off, .cross", copy).forEach((part) => part.remove());
    all("[class]", copy).forEach((part) => {
      const style = looks.get([...part.classList].find((name) => looks.has(name))) || "";
      part.setAttribute("style", style.replace(/var\(--[a-z0-9]+, (#[0-9a-f]{6})\)/g, "$1"));
      part.removeAttribute("class");
    });
    return copy;
  }
  function standalone(svg) {
    const copy = alone(svg);
    ["width", "height"].forEach((name) => copy.setAttribute(name, svg.viewBox.baseVal[name] + "pt"));
    return new XMLSerializer().serializeToString(copy).replace(/>/, '><rect width="100%" height="100%" fill="#ffffff"/>');
  }
  function picture(svg) {
    return new Promise((resolve) => {
      const image = new Image();
      image.onload = () => {
        const canvas = make("canvas", { width: svg.viewBox.baseVal.width * 4, height: svg.viewBox.baseVal.height * 4 });
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
        canvas.toBlob(resolve, "image/png");
      };
      image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(standalone(svg));
    });
  }
  function figureCsv(plot) {
    const extra = plot.series[0].e.map((more) => more[0]);
    const banded = plot.series.some((one) => one.lo.length);
    const lines = [["panel", "series", plot.x, ...(plot.k === "bin" ? ["to"] : []), plot.y, ...(banded ? ["lower", "upper"] : []), ...extra]];
    plot.p.forEach((panel) => panel.s.forEach((one) => one.y.forEach((y, i) => lines.push([
      panel.t, one.n, one.x[i], ...(plot.k === "bin" ? [one.x[i + 1]] : []), y,
      ...(banded ? [one.lo[i] ?? "", one.hi[i] ?? ""] : []), ...one.e.map((more) => more[1][i]),
    ].map((cell) => (Number.isNaN(cell) ? "" : cell))))));
    return csv(lines);
  }
  const texts = {
    svg: (figure) => standalone(figure.svg),
    pdf: (figure) => figurePdf(alone(figure.svg)),
    csv: (figure) => figureCsv(figure.plot),
  };
  function addSaving(figure) {
    const { card, svg, plot } = figure;
    const actions = [
      ["SVG", () => saveText(card.id + ".svg", "image/svg+xml", texts.svg(figure))],
      ["PNG", () => picture(svg).then((blob) => save(card.id + ".png", blob))],
      ["PDF", () => saveText(card.id + ".pdf", "application/pdf", texts.pdf(figure))],
    ];
    if (plot && plot.series.length) actions.push(["CSV", () => saveText(card.id + ".csv", "text/csv", texts.csv(figure)), "Save the numbers of this figure as CSV"]);
    card.append(make("div", { class: "save" }, ...actions.map(([name, action, label]) => button(name, action, { "aria-label": label || "Save this figure as " + name }))));
  }

  // Many figures of one kind: one tab at a time on the screen, all of them in print.
  all(".grid").forEach((grid) => {
    const cards = all(":scope > [data-tab]", grid);
    const names = [...new Set(cards.map((card) => card.dataset.tab))];
    if (names.length < 2 || cards.length < 4) return;
    const presses = [...names, "All"].map((name) => button(name, () => choose(name), { "data-name": name }));
    const choose = (name) => {
      presses.forEach((press) => press.setAttribute("aria-pressed", press.dataset.name === name));
      cards.forEach((card) => card.classList.toggle("tucked", name !== "All" && card.dataset.tab !== name));
    };
    grid.before(make("div", { class: "tabs", role: "group", "aria-label": "Choose figures" }, ...presses));
    choose(names[0]);
  });

  // Toolbox: models, exports, settings.
  const refresh = () => [...tables, ...figures].forEach((one) => one.refresh());
  const toolbox = byId("toolbox");
  if (toolbox) {
    const opener = byId("toolbox-open"), said = byId("toolbox-said"), bands = byId("toolbox-bands");
    const open = (now) => {
      toolbox.hidden = !now;
      opener.setAttribute("aria-expanded", now);
      (now ? byId("toolbox-close") : opener).focus();
    };
    opener.addEventListener("click", () => open(toolbox.hidden));
    byId("toolbox-close").addEventListener("click", () => open(false));
    toolbox.addEventListener("keydown", (event) => { if (event.key === "Escape") open(false); });
    const checks = all("[data-mark], [data-show]", toolbox);
    const read = () => {
      checks.forEach((check) => {
        const { mark, show } = check.dataset;
        if (mark !== undefined) state.marked[check.checked ? "add" : "delete"](mark);
        else state.hidden[check.checked ? "delete" : "add"](show);
      });
      state.bands = bands.checked;
      refresh();
    };
    [...checks, bands].forEach((check) => check.addEventListener("change", read));

    const picks = figures.map((figure) => {
      const check = make("input", { type: "checkbox" });
      check.checked = true;
      return { check, figure, label: make("label", {}, check, " " + figure.card.querySelector("figcaption").textContent.split(/\.\s/)[0]) };
    });
    const every = make("input", { type: "checkbox" });
    every.checked = true;
    every.addEventListener("change", () => picks.forEach((pick) => { pick.check.checked = every.checked; }));
    byId("toolbox-figures").append(
      make("label", {}, every, " All figures (" + picks.length + ")"),
      make("details", {}, make("summary", {}, "Choose"), ...picks.map((pick) => pick.label)),
    );
    byId("toolbox-export").addEventListener("click", async () => {
      const kind = byId("toolbox-format").value;
      const files = [];
      for (const { check, figure } of picks) {
        if (!check.checked || (kind === "csv" && !(figure.plot && figure.plot.series.length))) continue;
        const made = kind === "png" ? await picture(figure.svg) : new Blob([texts[kind](figure)]);
        files.push([figure.card.id + "." + kind, new Uint8Array(await made.arrayBuffer())]);
      }
      said.textContent = files.length + (files.length === 1 ? " figure" : " figures") + " exported";
      if (files.length) save("figures-" + kind + ".zip", archive(files));
    });

    const key = "hccfeat " + (document.querySelector(".meta code") || toolbox).textContent;
    const apply = (kept) => {
      checks.forEach((check) => {
        const { mark, show } = check.dataset;
        check.checked = mark !== undefined ? kept.marked.includes(mark) : !kept.hidden.includes(show);
      });
      bands.checked = kept.bands;
      if (kept.theme) root.dataset.theme = kept.theme; else delete root.dataset.theme;
      read();
    };
    const stored = (action, done) => {
      try { action(); said.textContent = done; } catch { said.textContent = "This browser keeps no settings for local files."; }
    };
    byId("toolbox-save").addEventListener("click", () => stored(() => localStorage.setItem(key, JSON.stringify(
      { marked: [...state.marked], hidden: [...state.hidden], bands: state.bands, theme: root.dataset.theme || "" })), "Settings saved"));
    byId("toolbox-reset").addEventListener("click", () => {
      stored(() => localStorage.removeItem(key), "Settings reset");
      apply({ marked: [], hidden: [], bands: true, theme: "" });
    });
    try {
      const kept = JSON.parse(localStorage.getItem(key));
      if (kept) apply(kept);
    } catch { /* no storage, or not ours: the page starts afresh */ }
  }
  refresh();

  // Navigation: mark what is in view.
  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const watch = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
    const link = links.get(entry.target.id);
    if (!link) return;
    links.forEach((other) => other.classList.remove("here"));
    link.classList.add("here");
    const list = link.closest(".menu");
    if (!narrow.matches && list.scrollHeight > list.clientHeight) list.scrollTop = link.offsetTop - list.clientHeight / 2;
  }), { rootMargin: "-15% 0px -75% 0px" });
  all("main section, main .block").forEach((section) => watch.observe(section));
})();
