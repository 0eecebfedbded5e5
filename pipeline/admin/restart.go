package admin

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// Kafka Connect's states of a task, as far as they are told apart here.
const (
	failed     = "FAILED"
	restarting = "RESTARTING"
	unassigned = "UNASSIGNED"
)

// restart is POST …/restart?includeTasks=&onlyFailed=. A connector and its tasks are
// one stage in each instance, so includeTasks chooses the answer only: without both
// parameters 204, else 202 and the state with what starts anew as RESTARTING.
func (c connect) restart(w http.ResponseWriter, r *http.Request, name string) {
	query := r.URL.Query()
	onlyFailed := strings.EqualFold(query.Get("onlyFailed"), "true")
	cluster, ok := c.cluster(w, r)
	if !ok {
		return
	}
	if err := c.Restart(r.Context(), name, onlyFailed); err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	if !onlyFailed && !strings.EqualFold(query.Get("includeTasks"), "true") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	state := c.state(name, cluster)
	state.restart(onlyFailed)
	write(w, http.StatusAccepted, state)
}

// restart marks what starts anew: nothing of a connector that is to be paused or stopped.
func (s *ConnectorState) restart(onlyFailed bool) {
	if s.Connector.State != string(ledger.TargetRunning) {
		return
	}
	if !onlyFailed {
		s.Connector.State = restarting
	}
	for i := range s.Tasks {
		if !onlyFailed || s.Tasks[i].State == failed {
			s.Tasks[i].State = restarting
		}
	}
}

// restartTask starts a failed task anew wherever its connector has failed, and leaves
// the instances alone that work. A task that has not failed shares its stage with all
// tasks of its instance: these start anew together.
func (c connect) restartTask(w http.ResponseWriter, r *http.Request, name string) {
	cluster, ok := c.cluster(w, r)
	if !ok {
		return
	}
	tasks := c.state(name, cluster).Tasks
	i := slices.IndexFunc(tasks, func(t TaskState) bool { return strconv.Itoa(t.ID) == r.PathValue("task") })
	if i < 0 {
		fail(w, http.StatusNotFound, "Unknown task: "+name+"-"+r.PathValue("task"))
		return
	}
	if err := c.Restart(r.Context(), name, tasks[i].State == failed); err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
