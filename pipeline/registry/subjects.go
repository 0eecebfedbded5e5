package registry

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/backstitch/backstitch/consumers/ledger"
)

func (a *api) subjects(r *http.Request) (any, error) {
	prefix := r.URL.Query().Get("subjectPrefix")
	found, err := a.find(r, func(s registered) bool { return strings.HasPrefix(s.Subject, prefix) })
	return names(found), err
}

// names are the subjects of versions, each once.
func names(found []registered) []string {
	out := []string{}
	for _, s := range found {
		if !slices.Contains(out, s.Subject) {
			out = append(out, s.Subject)
		}
	}
	return out
}

func (a *api) schemas(r *http.Request) (any, error) {
	prefix := r.URL.Query().Get("subjectPrefix")
	return a.find(r, func(s registered) bool { return strings.HasPrefix(s.Subject, prefix) })
}

// of are a subject's versions.
func (a *api) of(r *http.Request) ([]registered, error) {
	found, err := a.find(r, func(s registered) bool { return s.Subject == r.PathValue("s") })
	if err == nil && len(found) == 0 {
		err = errNoSubject
	}
	return found, err
}

func (a *api) versions(r *http.Request) (any, error) {
	found, err := a.of(r)
	out := []int{}
	for _, s := range found {
		out = append(out, s.Version)
	}
	return out, err
}

func (a *api) version(r *http.Request) (any, error) { return a.one(r) }

func (a *api) textOfVersion(r *http.Request) (any, error) {
	s, err := a.one(r)
	return json.RawMessage(s.Schema), err
}

func (a *api) one(r *http.Request) (registered, error) {
	n, err := number(r.PathValue("v"))
	if err != nil {
		return registered{}, err
	}
	found, err := a.of(r)
	if err != nil {
		return registered{}, err
	}
	if n == 0 {
		return found[len(found)-1], nil
	}
	for _, s := range found {
		if s.Version == n {
			return s, nil
		}
	}
	return registered{}, errNoVersion
}

func (a *api) lookUp(r *http.Request) (any, error) {
	schema, err := given(r)
	if err != nil {
		return nil, err
	}
	found, err := a.of(r)
	if err != nil {
		return nil, err
	}
	for _, s := range found {
		if s.Schema == schema {
			return s, nil
		}
	}
	return nil, errNoSchema
}

func (a *api) register(r *http.Request) (any, error) {
	schema, err := given(r)
	if err != nil {
		return nil, err
	}
	id, err := ledger.RegisterSchema(r.Context(), a.pool, r.PathValue("s"), schema)
	return map[string]int{"id": id}, err
}

// withID are the versions of an id.
func (a *api) withID(r *http.Request) ([]registered, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return nil, errNoSchema
	}
	found, err := a.find(r, func(s registered) bool { return s.ID == id })
	if err == nil && len(found) == 0 {
		err = errNoSchema
	}
	return found, err
}

func (a *api) byID(r *http.Request) (any, error) {
	found, err := a.withID(r)
	if err != nil {
		return nil, err
	}
	return map[string]string{"schema": found[0].Schema}, nil
}

func (a *api) textByID(r *http.Request) (any, error) {
	found, err := a.withID(r)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(found[0].Schema), nil
}

func (a *api) subjectsOfID(r *http.Request) (any, error) {
	found, err := a.withID(r)
	return names(found), err
}

func (a *api) versionsOfID(r *http.Request) (any, error) {
	found, err := a.withID(r)
	if err != nil {
		return nil, err
	}
	type use struct {
		Subject string `json:"subject"`
		Version int    `json:"version"`
	}
	uses := []use{}
	for _, s := range found {
		uses = append(uses, use{s.Subject, s.Version})
	}
	return uses, nil
}

// none is the one compatibility level that is served.
const none = "NONE"

func level(*http.Request) (any, error) {
	return map[string]string{"compatibilityLevel": none}, nil
}

func setLevel(r *http.Request) (any, error) {
	var body struct {
		Compatibility string `json:"compatibility"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Compatibility != none {
		return nil, &refusal{http.StatusUnprocessableEntity, 42203, "Invalid compatibility level: the embedded registry has NONE, because no record outlives the process that wrote it"}
	}
	return map[string]string{"compatibility": none}, nil
}

func mode(*http.Request) (any, error) { return map[string]string{"mode": "READWRITE"}, nil }

// compatible answers as the level NONE does: yes, to any schema that is one.
func (a *api) compatible(r *http.Request) (any, error) {
	if _, err := given(r); err != nil {
		return nil, err
	}
	if v := r.PathValue("v"); v != "" {
		if _, err := a.one(r); err != nil {
			return nil, err
		}
	}
	return map[string]bool{"is_compatible": true}, nil
}
