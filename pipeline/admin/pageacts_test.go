package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/browser"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// click presses the button of a name, as assistive technology knows it.
func (w *pageWorld) click(name string) {
	w.Helper()
	button := fmt.Sprintf(`[...document.querySelectorAll("button")].find((b) => (b.getAttribute("aria-label") || b.textContent) === %q && b.checkVisibility())`, name)
	w.Until(button)
	browser.Do(w.Tab, chromedp.Evaluate[bool](`(() => { const b = `+button+`; b.focus(); b.click(); return true; })()`))
}

// changed waits until the page has asked for a change.
func (w *pageWorld) changed(want string) {
	w.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !strings.Contains(w.changes(), want) {
		if time.Now().After(deadline) {
			w.Fatalf("the page asked for %q, want %q", w.changes(), want)
		}
		w.Until("true")
	}
}

const ready = `document.querySelector(".hint")?.textContent && document.querySelectorAll("#figures figure").length === 8`

func TestPageButtonsCallTheInterface(t *testing.T) {
	t.Parallel()
	w := openPage(t, "", nil)
	w.Show(w.server.URL+"/", 1440, "light")
	w.Until(ready)

	w.click("Pause acme-source")
	w.changed("PUT /connectors/acme-source/pause")
	w.click("Restart acme-apply")
	w.changed("POST /connectors/acme-apply/restart?includeTasks=true")
	w.click("Stop acme-apply") // asks first, and Cancel is where the focus is
	w.Until(`document.getElementById("ask").open && document.activeElement.id === "ask-no"`)
	w.click("Cancel")
	w.click("Stop acme-apply")
	w.click("Stop")
	w.changed("PUT /connectors/acme-apply/stop")
	if n := strings.Count(w.changes(), "acme-apply/stop"); n != 1 {
		t.Errorf("a cancelled stop was sent: %s", w.changes())
	}

	w.click("Approve consent 1")
	w.click("Approve")
	w.changed("POST /consents/1/approve")
	w.Until(`document.getElementById("said").textContent.includes("Consent 1 is given")`)
	var by string
	if err := w.pool.QueryRow(t.Context(), "SELECT approved_by FROM backstitch.consents").Scan(&by); err != nil || by != byREST {
		t.Errorf("the consent is approved by %q (%v)", by, err)
	}
}

func TestPageRetriesDropsAndPagesParkedEntities(t *testing.T) {
	t.Parallel()
	w := openPage(t, "", nil)
	w.Show(w.server.URL+"/", 1440, "dark")
	w.Until(ready)
	w.click("invalid role")
	w.Until(`document.querySelector(".pager")?.textContent.includes("1–50 of 1,000")`)
	w.click("Later")
	w.Until(`document.querySelector(".pager")?.textContent.includes("51–100 of 1,000")`)
	w.click("Earlier")
	w.Until(`document.querySelector(".pager")?.textContent.includes("1–50 of 1,000")`)
	w.click("Retry member user-9 of team-0")
	w.Until(`document.getElementById("said").textContent.includes("member user-9 of team-0 is tried again")`)
	w.click("Drop member user-15 of team-0")
	w.click("Drop")
	w.Until(`document.getElementById("said").textContent.includes("is dropped")`)
	w.click("Retry all with invalid role")
	w.Until(`document.getElementById("said").textContent.includes("999 entities are tried again")`)
	var due, dropped int
	err := w.pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE due_at IS NOT NULL), count(*) FILTER (WHERE status = 'dropped' AND key = 'user-15' AND dropped_by = $1)
		FROM backstitch.entities`, byREST).Scan(&due, &dropped)
	if err != nil || due != 999 || dropped != 1 {
		t.Errorf("%d are due and %d dropped (%v), want 999 and 1", due, dropped, err)
	}
}

func TestPageShowsAnEntitysHistoryWithoutValues(t *testing.T) { // invariant 8
	t.Parallel()
	w := openPage(t, "", nil)
	w.Show(w.server.URL+"/", 1024, "light")
	w.Until(ready)
	browser.Do(w.Tab, chromedp.Evaluate[bool](`(() => { document.querySelector("#entity-form input").focus(); return true; })()`))
	browser.Do(w.Tab, chromedp.KeyEvent("user-3"))
	browser.Do(w.Tab, chromedp.KeyEvent(kb.Enter))
	w.Until(`document.querySelectorAll(".history li").length === 4`)
	w.Shoot("history")
	said := w.Value(`document.getElementById("entity-body").textContent`)
	for _, want := range []string{"Came: change of public.team_members", "email_address", "Planned: update member", "HTTP 400, rbac_role_not_found", "Ended: parked, invalid role"} {
		if !strings.Contains(said, want) {
			t.Errorf("the history lacks %q: %s", want, said)
		}
	}
	if whole := w.Value(`document.documentElement.outerHTML`); strings.Contains(whole, "corp.example") {
		t.Error("the page shows a value of an entity")
	}
}

func TestPageAsksForTheToken(t *testing.T) {
	t.Parallel()
	w := openPage(t, "right", nil)
	w.Show(w.server.URL+"/", 1440, "light")
	w.Until(`document.getElementById("token").open`)
	for i, token := range []string{"wrong", "right"} {
		w.Until(fmt.Sprintf(`document.getElementById("token").open && document.getElementById("token-title").textContent === %q`,
			[]string{"This address asks for a token", "This token was refused"}[i]))
		browser.Do(w.Tab, chromedp.KeyEvent(token))
		browser.Do(w.Tab, chromedp.KeyEvent(kb.Enter))
	}
	w.Until(ready)
	if kept := w.Value(`localStorage.length + " " + document.cookie`); kept != "0 " {
		t.Errorf("the token outlives its tab: %s", kept)
	}
}

func TestPageKeepsTheLastDataWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	w := openPage(t, "", nil)
	w.Show(w.server.URL+"/", 1440, "light")
	w.Until(ready)
	silent := func(down bool) { w.mu.Lock(); w.down = down; w.mu.Unlock() }
	silent(true)
	w.Until(`document.querySelector("#notices article h2")?.textContent === "No answer from this instance" && document.getElementById("data").hasAttribute("data-stale")`)
	w.Until(`document.getElementById("connectors-body").textContent.includes("acme-source")`)
	w.Shoot("unreachable")
	silent(false)
	w.Until(`!document.getElementById("data").hasAttribute("data-stale")`)
}

func TestPageOfAPipelineThatHasNotBegun(t *testing.T) {
	t.Parallel()
	w := openPage(t, "", func(s *Status) {
		*s = Status{Name: "acme", Time: time.Now(), Connectors: []Connector{{Name: "acme-source", State: "UNASSIGNED"}, {Name: "acme-transform", State: "UNASSIGNED"}, {Name: "acme-apply", State: "UNASSIGNED"}}}
	})
	w.Show(w.server.URL+"/", 1440, "light")
	w.Until(`document.getElementById("backfill-body").textContent.includes("Nothing was read yet") && document.getElementById("parked-body").textContent.includes("Nothing is parked") && document.getElementById("flow").textContent.includes("not made yet") && document.querySelector("#figures figure.none .empty").checkVisibility()`)
	w.Shoot("not-begun")
	if faults := w.Faults(); len(faults) > 0 {
		t.Errorf("the browser complained: %q", faults)
	}
}

func TestPageIsReachedByKeyboardAndNamedForScreenReaders(t *testing.T) {
	t.Parallel()
	w := openPage(t, "", nil)
	w.Show(w.server.URL+"/", 1440, "light")
	w.Until(ready)
	want := w.Value(`[...document.querySelectorAll("button, a, input, summary, svg[tabindex]")].filter((el) => el.checkVisibility() && !el.disabled).length`)
	browser.Do(w.Tab, chromedp.Evaluate[bool](`(() => { window.reached = new Set(); document.addEventListener("focusin", (e) => window.reached.add(e.target)); return true; })()`))
	for range 80 {
		browser.Do(w.Tab, chromedp.KeyEvent(kb.Tab))
	}
	if got := w.Value(`[...window.reached].filter((el) => el.matches("button, a, input, summary, svg[tabindex]")).length`); got != want {
		t.Errorf("Tab reaches %s of %s controls", got, want)
	}
	browser.Do(w.Tab, chromedp.Evaluate[bool](`(() => { document.querySelector("#figures svg").focus(); return true; })()`))
	browser.Do(w.Tab, chromedp.KeyEvent(kb.ArrowLeft))
	w.Until(`/^Source at \d\d:\d\d:\d\d: [\d,]+ rows\/s$/.test(document.querySelector("#figures svg").getAttribute("aria-label"))`)

	tree, err := chromedp.Call(w.Context, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		t.Fatal(err)
	}
	controls := 0
	for _, n := range tree.Nodes {
		role, name := axText(n.Role), axText(n.Name)
		switch role {
		case "button", "link", "textbox", "image", "progressbar", "table", "dialog", "region":
			controls++
			if !n.Ignored && name == "" {
				t.Errorf("a %s has no name", role)
			}
		}
	}
	if controls < 40 {
		t.Errorf("the accessibility tree has %d controls: the check has lost its object", controls)
	}
}

func axText(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}
