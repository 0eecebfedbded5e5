// Runs before anything is painted, so that a chosen theme never flashes the other.
"use strict";
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("backstitch.theme"); } catch { /* storage is switched off: the system's theme */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
