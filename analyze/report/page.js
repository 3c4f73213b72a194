"use strict";
// Filters, and opening what a link points at. All text is read from the page
// and compared; nothing is ever made into markup.
(() => {
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));

  for (const tools of all(".tools")) {
    const list = document.getElementById(tools.dataset.of);
    if (!list) continue;
    const search = tools.querySelector("input[type=search]");
    const boxes = all("input[type=checkbox]", tools);
    const said = tools.querySelector("output");
    const items = all("details", list).map(item => ({ item, severity: item.dataset.severity }));
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = new Set(boxes.filter(box => box.checked).map(box => box.value));
      let shown = 0;
      for (const it of items) {
        if (words.length && it.text === undefined) it.text = it.item.textContent.toLowerCase();
        const fits = (!boxes.length || wanted.has(it.severity)) && words.every(word => it.text.includes(word));
        it.item.hidden = !fits;
        if (fits) shown++;
      }
      for (const part of all("[data-part]", list)) {
        part.hidden = !part.querySelector("details:not([hidden])");
      }
      said.value = shown === items.length ? "" : shown + " of " + items.length + " shown";
    };
    search.addEventListener("input", apply);
    for (const box of boxes) box.addEventListener("change", apply);
    const button = tools.querySelector("button");
    button.addEventListener("click", () => {
      const open = button.dataset.open !== "yes";
      for (const it of items) if (!it.item.hidden) it.item.open = open;
      button.dataset.open = open ? "yes" : "";
      button.textContent = open ? "Close all" : "Open all";
    });
    tools.hidden = false;
    apply(); // a browser may have kept the fields over a reload
  }

  document.addEventListener("keydown", event => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    const search = document.querySelector(".tools:not([hidden]) input[type=search]");
    if (search) { event.preventDefault(); search.focus(); }
  });

  const reveal = () => {
    const item = document.getElementById(location.hash.slice(1));
    if (item && item.tagName === "DETAILS") { item.hidden = false; item.open = true; item.scrollIntoView(); }
  };
  window.addEventListener("hashchange", reveal);
  reveal();

  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = all("#findings details:not([open]):not([hidden])");
    for (const item of opened) item.open = true;
  });
  window.addEventListener("afterprint", () => { for (const item of opened) item.open = false; });
})();
