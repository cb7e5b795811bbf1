"use strict";
// A figure as a PDF file of one page: lines stay lines, and words stay words in fonts that every PDF reader has.
const figurePdf = (() => {
  const FONTS = ["Helvetica", "Helvetica-Bold", "Symbol", "ZapfDingbats"];
  // Helvetica's widths of " " to "~", thousandths of the size; bold words are only ever placed by their start.
  const WIDTHS = ("278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 584 "
    + "584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 "
    + "278 469 556 333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 "
    + "334 584").split(" ").map(Number);
  // Further characters: number of the font, code in it, width. The minus is the dash, which looks the same in Helvetica: what
  // stands in for the font of symbols where it is not installed can be too wide for its place.
  const SIGNS = {
    "–": [0, 0x96, 556], "—": [0, 0x97, 1000], "…": [0, 0x85, 1000], "‘": [0, 0x91, 222], "’": [0, 0x92, 222], "±": [0, 0xb1, 584],
    "²": [0, 0xb2, 333], "³": [0, 0xb3, 333], "µ": [0, 0xb5, 556], "·": [0, 0xb7, 278], "°": [0, 0xb0, 400], "×": [0, 0xd7, 584],
    "−": [0, 0x96, 556], "≥": [2, 0xb3, 549], "≤": [2, 0xa3, 549], "≠": [2, 0xb9, 549], "≈": [2, 0xbb, 549], "→": [2, 0xae, 987],
    "∞": [2, 0xa5, 713], "α": [2, 0x61, 631], "β": [2, 0x62, 549], "γ": [2, 0x67, 411], "κ": [2, 0x6b, 549], "χ": [2, 0x63, 549],
    "■": [3, 0x6e, 761], "●": [3, 0x6c, 791], "\u00a0": [0, 0xa0, 278],
  };
  const short = (...numbers) => numbers.map((number) => Math.round(number * 100) / 100).join(" ");
  const hex = (numbers, digits) => numbers.map((number) => number.toString(16).padStart(digits, "0")).join("");
  const stream = (head, content) => `<< ${head} /Length ${content.length} >>\nstream\n${content}\nendstream`;

  // Font, code and width of a character; undefined if the fonts lack it.
  function glyph(char, bold) {
    const code = char.codePointAt(0), base = char.normalize("NFD").charCodeAt(0);
    if (SIGNS[char]) return [SIGNS[char][0] || bold, ...SIGNS[char].slice(1)];
    const known = (code > 31 && code < 127) || (code > 0xbf && code < 0x100 && base < 127);
    return known ? [bold, code, WIDTHS[base - 32]] : undefined;
  }

  // The steps of a path (m, l, h, v, q, c, z), which our figures are made of, in the words of PDF.
  function outline(path) {
    const tokens = path.match(/[a-z]|-?(?:\d*\.\d+|\d+)/g), made = [];
    let last = [0, 0], start = last, letter = "", i = 0;
    while (i < tokens.length) {
      if (/[a-z]/.test(tokens[i])) letter = tokens[i++];
      const [x, y] = last, points = [];
      for (let n = { c: 3, q: 2, z: 0 }[letter] ?? 1; n; n--) {
        points.push([x + (letter === "v" ? 0 : Number(tokens[i++])), y + (letter === "h" ? 0 : Number(tokens[i++]))]);
      }
      last = letter === "z" ? start : points[points.length - 1];
      if (letter === "m") start = last;
      if (letter === "q") {
        const [middle, end] = points.splice(0);
        points.push(...[[x, y], end].map((tip) => tip.map((v, j) => v + (2 / 3) * (middle[j] - v))), end);
      }
      made.push(short(...points.flat()) + " " + ({ m: "m", c: "c", q: "c", z: "h" }[letter] || "l"));
    }
    return made.join("\n");
  }

  // Words that the fonts lack are a fine stencil, which takes the words' colour.
  function stencil(text, size, bold) {
    const scale = 10 * size, high = Math.ceil(1.5 * scale), canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
    const font = `${bold ? "bold " : ""}${scale}px "DejaVu Sans", sans-serif`;
    pen.font = font;
    const wide = 8 * Math.ceil(pen.measureText(text).width / 8 || 1);
    Object.assign(canvas, { width: wide, height: high });
    pen.font = font;
    pen.fillText(text, 0, 1.1 * scale);
    const { data } = pen.getImageData(0, 0, wide, high), bytes = new Array((wide * high) / 8).fill(0);
    for (let i = 0; i < wide * high; i++) if (data[4 * i + 3] > 127) bytes[i >> 3] |= 128 >> (i & 7);
    const head = `/Type /XObject /Subtype /Image /ImageMask true /Width ${wide} /Height ${high} /BitsPerComponent 1 /Decode [1 0]`;
    return { wide: wide / 10, high: high / 10, object: stream(head + " /Filter /ASCIIHexDecode", hex(bytes, 2) + ">") };
  }

  // What a figure draws, part by part: its own copy with the style of every part written out.
  return (svg) => {
    const { width, height } = svg.viewBox.baseVal, states = [], pictures = [];
    const paint = (colour, word) => [1, 3, 5].map((at) => short(parseInt(colour.slice(at, at + 2), 16) / 255)).join(" ") + " " + word;
    function words(part, style) {
      const text = part.textContent.normalize("NFC"), size = parseFloat(style["font-size"]), bold = Number(style["font-weight"] === "700");
      const glyphs = [...text].map((char) => glyph(char, bold));
      const picture = glyphs.includes(undefined) ? stencil(text, size, bold) : null;
      const wide = picture ? picture.wide : (size / 1000) * glyphs.reduce((sum, one) => sum + one[2], 0);
      const x = part.getAttribute("x") - wide * ({ middle: 0.5, end: 1 }[style["text-anchor"]] || 0), y = Number(part.getAttribute("y"));
      if (picture) return `${short(wide, 0, 0, -picture.high, x, y + 0.4 * size)} cm /I${pictures.push(picture.object)} Do`;
      const runs = [];
      glyphs.forEach(([font, code]) => {
        if (!runs.length || runs[runs.length - 1].font !== font) runs.push({ font, codes: [] });
        runs[runs.length - 1].codes.push(code);
      });
      return `BT 1 0 0 -1 ${short(x, y)} Tm ${runs.map(({ font, codes }) => `/F${font + 1} ${size} Tf <${hex(codes, 2)}> Tj`).join(" ")} ET`;
    }
    function lines(part, style, filled) {
      const stroked = (style.stroke || "none") !== "none";
      const dashes = `[${(style["stroke-dasharray"] || "").replace(/,/g, " ")}] ${style["stroke-dashoffset"] || 0} d`;
      const pen = stroked ? `${paint(style.stroke, "RG")} ${style["stroke-width"] || 1} w ${dashes}` : "";
      const ends = `${style["stroke-linejoin"] === "miter" ? 0 : 1} j ${style["stroke-linecap"] === "square" ? 2 : 0} J`;
      return `${pen} ${ends}\n${outline(part.getAttribute("d"))}\n${filled ? (stroked ? "B" : "f") : stroked ? "S" : "n"}`;
    }
    function draw(part) {
      if (!["g", "path", "text"].includes(part.tagName)) return "";
      const style = Object.fromEntries((part.getAttribute("style") || "").split(";").map((one) => one.split(":").map((word) => word.trim())));
      const turn = part.transform.baseVal.consolidate(), made = ["q"];
      if (turn) made.push(short(turn.matrix.a, turn.matrix.b, turn.matrix.c, turn.matrix.d, turn.matrix.e, turn.matrix.f) + " cm");
      const area = part.hasAttribute("clip-path") && svg.querySelector(part.getAttribute("clip-path").slice(4, -1) + " rect");
      if (area) made.push(short(...["x", "y", "width", "height"].map((name) => area.getAttribute(name))) + " re W n");
      const seen = ["fill-opacity", "stroke-opacity"].map((name) => short((style.opacity || 1) * (style[name] || 1))).join(" /CA ");
      if (!states.includes(seen)) states.push(seen);
      const filled = style.fill !== "none";
      made.push(`/G${states.indexOf(seen) + 1} gs ${filled ? paint(style.fill || "#000000", "rg") : ""}`);
      if (part.tagName === "g") made.push(...[...part.children].map(draw));
      else made.push(part.tagName === "text" ? words(part, style) : lines(part, style, filled));
      return [...made, "Q"].join("\n");
    }
    const content = [`1 0 0 -1 0 ${short(height)} cm`, ...[...svg.children].map(draw)].filter(Boolean).join("\n");
    const title = hex([0xfeff, ...svg.querySelector("title").textContent.split("").map((unit) => unit.charCodeAt(0))], 4);
    const named = (letter, list) => `<< ${list.map((one, i) => `/${letter}${i + 1} ${one}`).join(" ")} >>`;
    const fonts = named("F", FONTS.map((_, i) => `${6 + i} 0 R`));
    const images = named("I", pictures.map((_, i) => `${6 + FONTS.length + i} 0 R`));
    const objects = [
      "<< /Type /Catalog /Pages 2 0 R >>",
      "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${short(width, height)}] /Contents 4 0 R`
        + ` /Resources << /Font ${fonts} /ExtGState ${named("G", states.map((seen) => `<< /ca ${seen} >>`))} /XObject ${images} >> >>`,
      stream("", content),
      `<< /Title <${title}> /Producer (hccfeat) >>`,
      ...FONTS.map((font, i) => `<< /Type /Font /Subtype /Type1 /BaseFont /${font}${i < 2 ? " /Encoding /WinAnsiEncoding" : ""} >>`),
      ...pictures,
    ];
    let text = "%PDF-1.4\n";
    const places = objects.map((object, i) => {
      const place = text.length;
      text += `${i + 1} 0 obj\n${object}\nendobj\n`;
      return String(place).padStart(10, "0") + " 00000 n \n";
    });
    const size = objects.length + 1;
    return `${text}xref\n0 ${size}\n0000000000 65535 f \n${places.join("")}trailer\n<< /Size ${size} /Root 1 0 R /Info 5 0 R >>\nstartxref\n${text.length}\n%%EOF\n`;
  };
})();
