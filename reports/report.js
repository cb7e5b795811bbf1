"use strict";
// The page is whole without this script: it adds sorting, saving of figures, a theme switch and a copy button.
(function () {
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  all(".tools").forEach((element) => { element.hidden = false; });
  const menu = document.querySelector(".menu");
  const narrow = window.matchMedia("(max-width: 900px)");
  const fold = () => { menu.open = !narrow.matches; };
  narrow.addEventListener("change", fold);
  fold();

  document.getElementById("print").addEventListener("click", () => window.print());
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  const copy = document.getElementById("copy");
  copy.addEventListener("click", () => {
    const text = all("#methods-text p").map((p) => p.textContent).join("\n\n");
    const written = navigator.clipboard ? navigator.clipboard.writeText(text) : Promise.reject(new Error("no clipboard"));
    written.then(() => { copy.textContent = "Copied"; }, () => {
      window.getSelection().selectAllChildren(document.getElementById("methods-text"));
      copy.textContent = "Selected: press Ctrl+C";
    });
  });

  // Tables: a click on a heading sorts the rows within each group.
  const value = (row, index) => {
    const text = row.cells[index].textContent.trim().replace(/,/g, "");
    const number = parseFloat(text.replace(/^[<>]/, ""));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "number") return -1;
    if (typeof b === "number") return 1;
    return a.localeCompare(b);
  };
  function sort(table, index, sign) {
    const body = table.tBodies[0];
    let block = [];
    const flush = (before) => {
      block.map((row) => [value(row, index), row]).sort((a, b) => sign * compare(a[0], b[0])).forEach((pair) => body.insertBefore(pair[1], before));
      block = [];
    };
    all("tr", body).forEach((row) => {
      if (row.classList.contains("gt_group_heading_row")) flush(row); else block.push(row);
    });
    flush(null);
  }
  all("table.gt_table").forEach((table) => {
    if (table.closest("#baseline")) return;
    all("thead th", table).forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const sign = head.getAttribute("aria-sort") === "descending" ? 1 : head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        sort(table, index, sign);
      });
    });
  });

  // Figures: saved as they are seen in the light theme, on white.
  function standalone(svg) {
    const copy = svg.cloneNode(true);
    const box = svg.viewBox.baseVal;
    copy.setAttribute("width", box.width + "pt");
    copy.setAttribute("height", box.height + "pt");
    copy.removeAttribute("style");
    const text = new XMLSerializer().serializeToString(copy);
    const plain = text.replace(/var\(--[a-z0-9]+, (#[0-9a-f]{6})\)/g, "$1");
    return plain.replace(/>/, '><rect width="100%" height="100%" fill="#ffffff"/>');
  }
  function save(name, url) {
    const link = document.createElement("a");
    link.download = name;
    link.href = url;
    link.click();
  }
  const encoded = (svg) => "data:image/svg+xml;charset=utf-8," + encodeURIComponent(standalone(svg));
  function savePicture(svg, name) {
    const picture = new Image();
    picture.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = svg.viewBox.baseVal.width * 4;
      canvas.height = svg.viewBox.baseVal.height * 4;
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      save(name, canvas.toDataURL("image/png"));
    };
    picture.src = encoded(svg);
  }
  all("figure.card").forEach((figure) => {
    const svg = figure.querySelector("svg");
    const bar = document.createElement("div");
    bar.className = "save";
    [["SVG", () => save(figure.id + ".svg", encoded(svg))], ["PNG", () => savePicture(svg, figure.id + ".png")]].forEach((item) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = item[0];
      button.setAttribute("aria-label", "Save this figure as " + item[0]);
      button.addEventListener("click", item[1]);
      bar.append(button);
    });
    figure.append(bar);
  });

  // Navigation: mark the section in view.
  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const watch = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      links.forEach((link) => link.classList.remove("here"));
      const link = links.get(entry.target.id);
      if (link) link.classList.add("here");
    });
  }, { rootMargin: "-15% 0px -75% 0px" });
  all("main section").forEach((section) => watch.observe(section));
})();
