"use strict";
// The dashboard changes its address without loading a page; the link follows it.
const last = document.querySelector("#sweep span");
function follow() {
  const study = location.pathname.match(/\/studies\/(\d+)/);
  last.hidden = !study;
  if (study) last.querySelector("a").href = `/sweep/report/${study[1]}`;
}
for (const name of ["pushState", "replaceState"]) {
  const original = history[name].bind(history);
  history[name] = (...given) => {
    original(...given);
    follow();
  };
}
addEventListener("popstate", follow);
follow();
