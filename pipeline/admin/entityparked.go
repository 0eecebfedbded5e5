package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// byREST is who approves and drops through this interface: the token names no person.
const byREST = "the admin interface"

// Chosen is the body of POST /parked/retry and /parked/drop: an entity, a reason, or
// an organization.
type Chosen struct {
	Kind         consumers.Kind   `json:"kind,omitempty"`
	Reason       consumers.Reason `json:"reason,omitempty"`
	Organization string           `json:"organization,omitempty"`
	Key          string           `json:"key,omitempty"`
}

func (c Chosen) filter() ledger.Filter {
	f := ledger.Filter{Kind: c.Kind, Reason: c.Reason, Organization: c.Organization}
	if c.Key != "" {
		f.Keys = []string{c.Key}
	}
	return f
}

func (e entities) parkedRoutes(mux *router) {
	mux.HandleFunc("GET /parked", e.parked)
	mux.HandleFunc("GET /parked/reasons", reasons)
	mux.HandleFunc("POST /parked/retry", e.change(func(r *http.Request, c Chosen) (map[string]any, error) {
		n, err := ledger.RetryParked(r.Context(), e.ledger, c.filter())
		return map[string]any{"retried": n}, err
	}))
	mux.HandleFunc("POST /parked/drop", e.change(func(r *http.Request, c Chosen) (map[string]any, error) {
		n, err := ledger.Drop(r.Context(), e.ledger, c.filter(), byREST)
		return map[string]any{"dropped": n}, err
	}))
	mux.HandleFunc("GET /consents", e.consents)
	mux.HandleFunc("POST /consents/{id}/approve", e.approve)
}

// parked lists by ?kind=, reason=, organization= and key=, in pages of ?limit= from ?offset= on.
func (e entities) parked(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := Chosen{consumers.Kind(q.Get("kind")), consumers.Reason(q.Get("reason")), q.Get("organization"), q.Get("key")}.filter()
	limit, _ := strconv.Atoi(q.Get("limit")) // anything else: the default
	f.Limit, f.Blocked = min(limit, 1000), true
	f.Offset, _ = strconv.Atoi(q.Get("offset")) // anything else: the first page
	found, err := ledger.Parked(r.Context(), e.ledger, f)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	if found == nil {
		found = []ledger.ParkedEntity{}
	}
	write(w, http.StatusOK, map[string]any{"parked": found})
}

// reasons explains every reason.
func reasons(w http.ResponseWriter, _ *http.Request) {
	type advice struct {
		Means string `json:"means"`
		Fix   string `json:"fix"`
	}
	all := map[consumers.Reason]advice{}
	for _, r := range consumers.Reasons() {
		a := consumers.Advise(r)
		all[r] = advice{a.Means, a.Fix}
	}
	write(w, http.StatusOK, all)
}

// change runs what a body chooses. An empty choice is refused: everything is chosen
// by name only.
func (e entities) change(do func(*http.Request, Chosen) (map[string]any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var c Chosen
		body := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
		body.DisallowUnknownFields()
		if body.Decode(&c) != nil || c == (Chosen{}) || c == (Chosen{Kind: c.Kind}) {
			fail(w, http.StatusBadRequest, "say what: a JSON object with reason, organization or key, and kind if you like")
			return
		}
		done, err := do(r, c)
		if err != nil {
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		write(w, http.StatusOK, done)
	}
}

func (e entities) consents(w http.ResponseWriter, r *http.Request) {
	list, err := ledger.List(r.Context(), e.ledger, r.URL.Query().Get("all") == "true")
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	if list == nil {
		list = []ledger.Consent{}
	}
	write(w, http.StatusOK, map[string]any{"consents": list})
}

func (e entities) approve(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		fail(w, http.StatusNotFound, "a consent's id is a number")
		return
	}
	if _, err = ledger.Get(r.Context(), e.ledger, id); errors.Is(err, ledger.ErrNoConsent) {
		fail(w, http.StatusNotFound, err.Error())
		return
	}
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	given, err := ledger.Approve(r.Context(), e.ledger, id, byREST)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	write(w, http.StatusOK, given)
}
