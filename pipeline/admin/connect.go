package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// Masked stands for a secret in a configuration that is shown.
const Masked = "********"

// ConnectVersion is the release of Kafka Connect whose answers these are like. Clients
// such as kcctl take the version of / apart and ask less of an older one.
const ConnectVersion = "4.4.0"

// Control is what the REST interface needs of the cluster. It is the same from
// every instance.
type Control interface {
	// Names of the connectors, in the order of the data's way.
	Names() []string
	// Config is a connector's configuration with its secrets masked.
	Config(name string) map[string]string
	// Topics that a connector writes or reads.
	Topics(name string) []string
	// TaskIDs is the number of a connector's tasks.
	TaskIDs(name string) int
	// Cluster is what the instances report, and what is wanted of the connectors.
	Cluster(ctx context.Context) (ledger.Cluster, error)
	// SetTarget says what is wanted of a connector from now on.
	SetTarget(ctx context.Context, name string, target ledger.Target) error
	// Restart starts a connector anew where it runs, or only where it has failed.
	Restart(ctx context.Context, name string, failedOnly bool) error
	// Offsets are how far a connector is, in Kafka Connect's shape.
	Offsets(ctx context.Context, name string) ([]Offset, error)
	// Alterable is ErrNotAltered, with what to do instead, where a connector's offsets
	// are never changed like that.
	Alterable(name string) error
	// AlterOffsets sets a stopped connector's next offsets by topic and partition, to a
	// number or the Beginning; ResetOffsets sets it back to the beginning. The errors are
	// ErrNotStopped, ErrNotAltered, ErrBadOffsets, or a server's.
	AlterOffsets(ctx context.Context, name string, offsets map[string]map[int32]int64) error
	ResetOffsets(ctx context.Context, name string) error
	// ClusterID is the Kafka cluster's.
	ClusterID(ctx context.Context) (string, error)
}

// Offset is a position of a connector, as Kafka Connect writes it.
type Offset struct {
	Partition map[string]any `json:"partition"`
	Offset    map[string]any `json:"offset"`
}

// connect answers in the shape of Kafka Connect's REST interface, so that what was
// written for it works here.
type connect struct {
	Control
	version string
}

// routes are the paths of Kafka Connect.
func (c connect) routes(ro *router) {
	named := func(pattern string, handle func(w http.ResponseWriter, r *http.Request, name string)) {
		ro.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			name := r.PathValue("name")
			if !slices.Contains(c.Names(), name) {
				fail(w, http.StatusNotFound, "Connector "+name+" not found")
				return
			}
			handle(w, r, name)
		})
	}
	ro.HandleFunc("GET /connectors", c.list)
	ro.HandleFunc("POST /connectors", refuseConfig)
	ro.HandleFunc("GET /connector-plugins", c.plugins)
	ro.HandleFunc("GET /connector-plugins/{plugin}/config", c.pluginConfig)
	ro.HandleFunc("PUT /connector-plugins/{plugin}/config/validate", refuseConfig)
	named("GET /connectors/{name}", c.info)
	named("GET /connectors/{name}/config", func(w http.ResponseWriter, _ *http.Request, name string) { write(w, http.StatusOK, c.Config(name)) })
	named("PUT /connectors/{name}/config", refuseConfigOf)
	named("PATCH /connectors/{name}/config", refuseConfigOf)
	named("DELETE /connectors/{name}", refuseConfigOf)
	named("GET /connectors/{name}/status", c.status)
	named("GET /connectors/{name}/tasks", c.tasks)
	named("GET /connectors/{name}/tasks/{task}/status", c.task)
	named("GET /connectors/{name}/topics", c.topics)
	named("PUT /connectors/{name}/topics/reset", func(w http.ResponseWriter, _ *http.Request, _ string) {
		fail(w, http.StatusForbidden, "Topic tracking reset is disabled: the topics are those that the configuration gives, not those that were seen")
	})
	named("PUT /connectors/{name}/pause", c.target(ledger.TargetPaused, http.StatusAccepted))
	named("PUT /connectors/{name}/resume", c.target(ledger.TargetRunning, http.StatusAccepted))
	named("PUT /connectors/{name}/stop", c.target(ledger.TargetStopped, http.StatusNoContent))
	named("POST /connectors/{name}/restart", c.restart)
	named("POST /connectors/{name}/tasks/{task}/restart", c.restartTask)
	named("GET /connectors/{name}/offsets", c.offsets)
	named("PATCH /connectors/{name}/offsets", c.alter)
	named("DELETE /connectors/{name}/offsets", c.reset)
}

// refuseConfig answers what would change a configuration.
func refuseConfig(w http.ResponseWriter, _ *http.Request) {
	fail(w, http.StatusMethodNotAllowed, "the file that `backstitch run -c FILE` names is the configuration: change it, run `backstitch check` on it, and restart the instances one after another")
}

func refuseConfigOf(w http.ResponseWriter, r *http.Request, _ string) { refuseConfig(w, r) }

func (c connect) list(w http.ResponseWriter, r *http.Request) {
	expand := r.URL.Query()["expand"]
	if len(expand) == 0 {
		write(w, http.StatusOK, c.Names())
		return
	}
	cluster, ok := c.cluster(w, r)
	if !ok {
		return
	}
	all := map[string]map[string]any{}
	for _, name := range c.Names() {
		all[name] = map[string]any{}
		if slices.Contains(expand, "status") {
			all[name]["status"] = c.state(name, cluster)
		}
		if slices.Contains(expand, "info") {
			all[name]["info"] = c.describe(name, cluster)
		}
	}
	write(w, http.StatusOK, all)
}

func (c connect) info(w http.ResponseWriter, r *http.Request, name string) {
	if cluster, ok := c.cluster(w, r); ok {
		write(w, http.StatusOK, c.describe(name, cluster))
	}
}

func (c connect) status(w http.ResponseWriter, r *http.Request, name string) {
	if cluster, ok := c.cluster(w, r); ok {
		write(w, http.StatusOK, c.state(name, cluster))
	}
}

func (c connect) tasks(w http.ResponseWriter, r *http.Request, name string) {
	cluster, ok := c.cluster(w, r)
	if !ok {
		return
	}
	type task struct {
		ID     TaskID            `json:"id"`
		Config map[string]string `json:"config"`
	}
	list := []task{}
	for _, t := range c.state(name, cluster).Tasks {
		list = append(list, task{TaskID{name, t.ID}, c.Config(name)})
	}
	write(w, http.StatusOK, list)
}

func (c connect) task(w http.ResponseWriter, r *http.Request, name string) {
	cluster, ok := c.cluster(w, r)
	if !ok {
		return
	}
	for _, t := range c.state(name, cluster).Tasks {
		if strconv.Itoa(t.ID) == r.PathValue("task") {
			write(w, http.StatusOK, t)
			return
		}
	}
	fail(w, http.StatusNotFound, "No status found for task "+name+"-"+r.PathValue("task"))
}

func (c connect) topics(w http.ResponseWriter, _ *http.Request, name string) {
	write(w, http.StatusOK, map[string]map[string][]string{name: {"topics": c.Topics(name)}})
}

func (c connect) target(target ledger.Target, code int) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, name string) {
		if err := c.SetTarget(r.Context(), name, target); err != nil {
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		w.WriteHeader(code)
	}
}

func (c connect) offsets(w http.ResponseWriter, r *http.Request, name string) {
	offsets, err := c.Offsets(r.Context(), name)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	write(w, http.StatusOK, map[string][]Offset{"offsets": offsets})
}

func (c connect) cluster(w http.ResponseWriter, r *http.Request) (ledger.Cluster, bool) {
	cluster, err := c.Cluster(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
	}
	return cluster, err == nil
}

// root is what Kafka Connect answers at /; our own version is the commit.
func (c connect) root(w http.ResponseWriter, r *http.Request) {
	id, err := c.ClusterID(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	write(w, http.StatusOK, map[string]string{"version": ConnectVersion, "commit": c.version, "kafka_cluster_id": id})
}

// fail answers with Kafka Connect's error body.
func fail(w http.ResponseWriter, code int, message string) {
	write(w, code, map[string]any{"error_code": code, "message": message})
}

func write(w http.ResponseWriter, code int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "the answer cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(b)
}
