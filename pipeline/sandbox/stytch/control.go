package stytch

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// controlPrefix is where another process inspects the simulator and injects faults.
const controlPrefix = "/_simulator/"

// newControl serves, to loopback addresses and with the project's credentials:
//
//	GET    /_simulator/state                counts of what is held (State)
//	GET    /_simulator/counts               Counts
//	GET    /_simulator/journal              Entries, without bodies; query: endpoint, organization_id, member_id, status, error_type, after
//	GET    /_simulator/dump                 one OrganizationState a line, password hashes included
//	GET    /_simulator/faults               what is in force, with id and hits
//	POST   /_simulator/faults               a Fault; answers its id
//	DELETE /_simulator/faults/{id}          ends one
//	POST   /_simulator/faults/{id}/release  its late effects happen now; answers how many
//
// and what addBehind says.
func newControl(s *Simulator) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_simulator/state", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, s.State()) })
	mux.HandleFunc("GET /_simulator/counts", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, s.Counts()) })
	mux.HandleFunc("GET /_simulator/journal", s.controlJournal)
	mux.HandleFunc("GET /_simulator/dump", s.controlDump)
	mux.HandleFunc("GET /_simulator/faults", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, s.faults.list()) })
	mux.HandleFunc("POST /_simulator/faults", s.controlInject)
	mux.HandleFunc("DELETE /_simulator/faults/{id}", s.controlFault(func(in *Injected) any {
		in.Remove()
		return in.info()
	}))
	mux.HandleFunc("POST /_simulator/faults/{id}/release", s.controlFault(func(in *Injected) any {
		return map[string]int{"released": in.Release()}
	}))
	addBehind(mux, s.Behind())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			controlError(w, http.StatusForbidden, "/_simulator/ answers loopback addresses only")
			return
		}
		if s.authenticate(r) != nil {
			controlError(w, http.StatusUnauthorized, "/_simulator/ takes the project's id and secret as Basic credentials")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func controlError(w http.ResponseWriter, status int, message string) {
	answerJSON(w, status, map[string]string{"error": message})
}

func (s *Simulator) controlJournal(w http.ResponseWriter, r *http.Request) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		controlError(w, http.StatusBadRequest, "status and after are numbers")
		return
	}
	answerJSON(w, http.StatusOK, s.Journal(f))
}

func parseFilter(q url.Values) (Filter, error) {
	f := Filter{
		Endpoint: Endpoint(q.Get("endpoint")), OrganizationID: q.Get("organization_id"),
		MemberID: q.Get("member_id"), ErrorType: q.Get("error_type"),
	}
	var err error
	if v := q.Get("status"); v != "" {
		if f.Status, err = strconv.Atoi(v); err != nil {
			return f, err
		}
	}
	if v := q.Get("after"); v != "" {
		f.After, err = strconv.ParseUint(v, 10, 64)
	}
	return f, err
}

func (s *Simulator) controlDump(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	encoder := json.NewEncoder(w)
	for o := range s.Dump() {
		if encoder.Encode(o) != nil {
			return // the reader is gone
		}
	}
}

func (s *Simulator) controlInject(w http.ResponseWriter, r *http.Request) {
	var f Fault
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		controlError(w, http.StatusBadRequest, "the body is not a fault: "+err.Error())
		return
	}
	in, err := s.inject(f)
	if err != nil {
		controlError(w, http.StatusBadRequest, err.Error())
		return
	}
	answerJSON(w, http.StatusOK, in.info())
}

func (s *Simulator) controlFault(act func(*Injected) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		in := s.faults.find(id)
		if err != nil || in == nil {
			controlError(w, http.StatusNotFound, "there is no such fault")
			return
		}
		answerJSON(w, http.StatusOK, act(in))
	}
}

type faultInfo struct {
	ID      int   `json:"id"`
	Hits    int   `json:"hits"`
	Waiting int   `json:"waiting"` // late effects
	Fault   Fault `json:"fault"`
}

func (in *Injected) info() faultInfo {
	in.set.mu.Lock()
	defer in.set.mu.Unlock()
	return faultInfo{ID: in.id, Hits: in.Hits(), Waiting: len(in.pending), Fault: in.fault}
}

func (f *faults) list() []faultInfo {
	f.mu.Lock()
	all := append([]*Injected{}, f.mu.all...)
	f.mu.Unlock()
	infos := []faultInfo{}
	for _, in := range all {
		infos = append(infos, in.info())
	}
	return infos
}

func (f *faults) find(id int) *Injected {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id < 1 || id > len(f.mu.all) {
		return nil
	}
	return f.mu.all[id-1]
}
