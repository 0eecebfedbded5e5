package browser

// Each expression lists what is wrong, and is empty where nothing is.
const (
	// Texts whose colour is too near to what lies behind them.
	lowContrast = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgb = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
	const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((n, v, i) => n + v * [.2126, .7152, .0722][i], 0);
	const behind = (el) => { for (; el; el = el.parentElement) { const c = rgb(getComputedStyle(el).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
	const low = new Set();
	for (const el of document.querySelectorAll("body *")) {
		if (![...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !el.checkVisibility() || el.closest("svg")) continue;
		const [a, b] = [light(rgb(getComputedStyle(el).color)), light(behind(el))].sort((x, y) => y - x);
		if ((a + .05) / (b + .05) < 4.5) low.add(el.className + " " + el.textContent.slice(0, 30) + " " + ((a + .05) / (b + .05)).toFixed(2));
	}
	return [...low].join("; ");
})()`

	// Headings more than one level below the one before.
	skippedHeadings = `(() => {
	let last = 0, bad = [];
	for (const h of document.querySelectorAll("h1, h2, h3, h4")) { if (!h.checkVisibility()) continue; const n = +h.tagName[1]; if (n > last + 1) bad.push(h.textContent); last = n; }
	return bad.join("; ");
})()`

	// Tables whose columns, or whose rows, have no header, or an empty one.
	bareTables = `[...document.querySelectorAll("table")].filter((t) => t.checkVisibility() && (!t.querySelector("thead th[scope=col]") ||
	[...t.querySelectorAll("tbody tr, tfoot tr")].some((r) => !r.querySelector("th[scope=row], th[scope=rowgroup]")) || [...t.querySelectorAll("th")].some((h) => !h.textContent.trim()))).map((t) => t.outerHTML.slice(0, 200)).join("; ")`

	namelessControls = `[...document.querySelectorAll("button, a, input, summary, svg[tabindex]")].filter((el) => el.checkVisibility() &&
	!(el.getAttribute("aria-label") || el.textContent.trim() || el.labels?.length)).map((el) => el.outerHTML.slice(0, 80)).join("; ")`

	// Links within the page to what is not there.
	brokenLinks = `[...document.querySelectorAll("a[href^='#']")].filter((a) => !document.getElementById(a.getAttribute("href").slice(1))).map((a) => a.outerHTML).join("; ")`
)
