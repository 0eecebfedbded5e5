package admin

import (
	"net/http"
	"strconv"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// entities answers what the ledger knows of single entities: names of fields, states
// and errors, never a value (invariant 8).
type entities struct{ ledger ledger.Querier }

// EntityHistory is the answer of GET /entities/{kind}/{organization}/{key}/history.
type EntityHistory struct {
	Entity ledger.EntityState `json:"entity"`
	// Means and Fix explain the entity's reason.
	Means string `json:"means,omitempty"`
	Fix   string `json:"fix,omitempty"`
	// Events, the newest first.
	Events []ledger.HistoryEvent `json:"events"`
}

func (e entities) routes(mux *router) {
	mux.HandleFunc("GET /entities", e.find)
	mux.HandleFunc("GET /entities/{kind}/{organization}/{key}/history", e.history)
}

// find answers ?key=, ?organization= or both.
func (e entities) find(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("key") == "" && q.Get("organization") == "" {
		fail(w, http.StatusBadRequest, "name an entity: ?key=KEY, ?organization=KEY, or both")
		return
	}
	limit, _ := strconv.Atoi(q.Get("limit")) // anything else: the default
	found, err := ledger.FindEntities(r.Context(), e.ledger, q.Get("key"), q.Get("organization"), min(limit, 1000))
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	if found == nil {
		found = []ledger.EntityState{}
	}
	write(w, http.StatusOK, map[string]any{"entities": found})
}

func (e entities) history(w http.ResponseWriter, r *http.Request) {
	key := consumers.Key{Kind: consumers.Kind(r.PathValue("kind")), Organization: r.PathValue("organization"), Entity: r.PathValue("key")}
	found, err := ledger.FindEntities(r.Context(), e.ledger, key.Entity, key.Organization, 2)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	for _, state := range found {
		if state.Key != key {
			continue
		}
		events, err := ledger.History(r.Context(), e.ledger, key, 0)
		if err != nil {
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		advice := consumers.Advise(state.Reason)
		write(w, http.StatusOK, EntityHistory{Entity: state, Means: advice.Means, Fix: advice.Fix, Events: events})
		return
	}
	fail(w, http.StatusNotFound, "the ledger knows no such entity")
}
