package report

import (
	"strings"
	"time"

	"github.com/backstitch/backstitch/consumers"
)

// lowContrast lists the texts whose colour is too near to what lies behind them.
const lowContrast = `(() => {
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

// skippedHeadings lists headings that are more than one level below the one before.
const skippedHeadings = `(() => {
	let last = 0, bad = [];
	for (const h of document.querySelectorAll("h1, h2, h3, h4")) { const n = +h.tagName[1]; if (n > last + 1) bad.push(h.textContent); last = n; }
	return bad.join("; ");
})()`

// bareTables lists tables that lack a header for a column or a row.
const bareTables = `[...document.querySelectorAll("table")].filter((t) => !t.querySelector("thead th[scope=col]") ||
	[...t.querySelectorAll("tbody tr, tfoot tr")].some((r) => !r.querySelector("th[scope=row], th[scope=rowgroup]"))).map((t) => t.outerHTML.slice(0, 200)).join("; ")`

const brokenLinks = `[...document.querySelectorAll("a[href]")].filter((a) => !a.getAttribute("href").startsWith("#") || !document.getElementById(a.getAttribute("href").slice(1))).map((a) => a.outerHTML).join("; ")`

// hostile is a report whose names are an attack, and very long.
func hostile() *Report {
	const attack = `"><script>document.title="hacked"</script><img src=x onerror="document.title='hacked'">`
	long := strings.Repeat("0123456789abcdef", 40)
	r := &Report{
		Run: Run{
			Name: attack, Config: attack, Version: attack, Mapping: attack, Source: attack, Database: long, LSN: attack, Roles: RolesFrom(attack),
			Started: time.Unix(0, 0), Ended: time.Unix(1, 0), Interrupted: attack, Notices: []string{attack, long},
		},
		Roles: []Role{{attack, 3, false}, {long, 1, true}, {"javascript:alert(1)", 1, true}}, Hashes: []HashCount{{attack, 1, false}, {long, 2, true}},
		Unfed: []Unfed{{attack, 1, []string{attack, long}}, {long, 2, nil}}, Calls: []Call{{Endpoint: attack, Count: 1}, {Endpoint: long, Count: 2}},
		Fields:   []Filled{{consumers.Member, attack, 1}, {consumers.Member, long, 1}},
		Estimate: Estimate{Limits: []Limit{{Name: attack, Calls: 1, Rate: 0.5}, {Name: long, Calls: 1 << 50, Rate: 1}}},
		Findings: []Finding{
			{Class: Class(attack), Kind: consumers.Kind(attack), Count: 3, Where: attack, Details: []Detail{{attack, 2}, {long, 1}}, Samples: []Sample{{Organization: attack, Key: attack, Other: attack, Detail: attack, Table: attack}, {Organization: long, Key: long, Other: long}}},
			{Class: DuplicateEmail, Kind: consumers.Member, Count: 1, Title: attack, Means: attack, Fix: attack, Where: long},
		},
		Kinds: []Kind{{Kind: consumers.Member, Outcomes: map[Outcome]int64{Parked: 4, Created: 1}}},
	}
	r.Finish()
	group := ChangeGroup{2, []Sample{{Key: attack}, {Key: long}}}
	r.Change = &Change{
		Mapping: attack, LSN: attack, NoStates: attack, Verdict: Verdict(attack), Classes: []ClassChange{{Class(attack), attack, 1, 2}}, Fields: []FieldChange{{consumers.Member, long, 1, 2}},
		Kinds: []KindChange{{Kind: consumers.Member, Appeared: group, Vanished: group, Desired: group, Fields: []string{attack, long}, Moves: []Move{{Standing{Outcome(attack), Class(attack)}, Standing{Created, ""}, group}}}},
	}
	return r
}

// empty is a rehearsal of a mapping that returns nothing, compared with another one.
func empty() *Report {
	r := &Report{Run: Run{Name: "acme", Config: "acme.yaml", Roles: RolesUnknown, Started: time.Unix(0, 0), Ended: time.Unix(1, 0)}}
	r.Finish()
	r.Change = &Change{Kinds: []KindChange{{Kind: consumers.Organization}, {Kind: consumers.Member}}, SameMapping: true}
	return r
}

// millions is a large system without any trouble.
func millions() *Report {
	r := &Report{
		Run: Run{Name: "enterprise-identity-platform-europe", Config: "/etc/backstitch/enterprise.yaml", Version: "v1.4.0", Mapping: strings.Repeat("ab", 32), Source: "17.2", LSN: "FFFF/B374D848", Roles: RolesOfFile, Started: time.Unix(0, 0), Ended: time.Unix(9000, 0)},
		Kinds: []Kind{
			{Kind: consumers.Organization, Outcomes: map[Outcome]int64{Created: 1_000_000}},
			{Kind: consumers.Member, Outcomes: map[Outcome]int64{Created: 9_999_999, Updated: 1}},
		},
		Calls:    []Call{{Endpoint: "POST /v1/b2b/passwords/migrate", Count: 9_000_000, Write: true}, {Endpoint: "POST /v1/b2b/organizations/{organization_id}/members", Count: 1_000_000, Write: true}, {Endpoint: "POST /v1/b2b/organizations", Count: 1_000_000, Write: true}},
		Estimate: Estimate{Limits: []Limit{{Name: "stytch.rate_limit", Calls: 11_000_000, Rate: 65}, {Name: "passwords/migrate", Calls: 9_000_000, Rate: 100}}},
	}
	r.Finish()
	return r
}
