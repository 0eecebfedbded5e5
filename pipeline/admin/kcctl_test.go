package admin

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// What kcctl 1.0 reads of each answer: its KafkaConnectApi and the records that this
// parses into. A pointer is a field that its commands use without looking
// whether it is there.
type (
	kcctlTaskState struct {
		ID       *int    `json:"id"`
		State    *string `json:"state"`
		WorkerID *string `json:"worker_id"`
		Trace    *string `json:"trace"`
	}
	kcctlStatus struct {
		Name      *string          `json:"name"`
		Type      *string          `json:"type"`
		Connector *kcctlTaskState  `json:"connector"`
		Tasks     []kcctlTaskState `json:"tasks"`
	}
	kcctlTaskID struct {
		Connector *string `json:"connector"`
		Task      *int    `json:"task"`
	}
)

// kcctlCalls are the methods of kcctl's KafkaConnectApi, with a check of what its
// commands do with the answer; nil: nothing.
var kcctlCalls = []struct {
	name, method, path, body string
	code                     int
	check                    func(t *testing.T, body []byte)
}{
	{"getWorkerInfo", "GET", "/", "", 200, func(t *testing.T, body []byte) {
		info := parse[map[string]*string](t, body)
		for _, key := range []string{"version", "commit", "kafka_cluster_id"} {
			if info[key] == nil {
				t.Errorf("there is no %s", key)
			}
		}
		// kcctl takes the version apart, and refuses commands to an old one: offsets are
		// altered from 3.6 on, loggers of a cluster set from 3.7 on.
		parts := strings.Split(*info["version"], ".")
		major, err := strconv.Atoi(parts[0])
		minor, err2 := strconv.Atoi(parts[1])
		if err != nil || err2 != nil || major*100+minor < 307 {
			t.Errorf("version %s: want 3.7 or higher", *info["version"])
		}
	}},
	{"getConnectorPlugins", "GET", "/connector-plugins?connectorsOnly=false", "", 200, func(t *testing.T, body []byte) {
		for _, p := range parse[[]struct{ Class, Type, Version string }](t, body) {
			if p.Class == "" || p.Version == "" || !slices.Contains([]string{"source", "sink", "transformation", "converter", "header_converter", "predicate"}, p.Type) {
				t.Errorf("a plugin is %+v", p)
			}
		}
	}},
	{"getConnectorPluginConfig", "GET", "/connector-plugins/backstitch.apply/config", "", 200, func(t *testing.T, body []byte) {
		for _, key := range parse[[]struct{ Name, Type, Documentation string }](t, body) {
			if key.Name == "" || key.Type == "" || key.Documentation == "" {
				t.Errorf("a key is %+v", key)
			}
		}
	}},
	{"validateConfig", "PUT", "/connector-plugins/backstitch.apply/config/validate", `{"a":"b"}`, 405, refused},
	{"getConnectors", "GET", "/connectors/", "", 200, func(t *testing.T, body []byte) {
		if names := parse[[]string](t, body); len(names) != 3 {
			t.Errorf("connectors %s", names)
		}
	}},
	{"createConnector", "POST", "/connectors/", `{"name":"a","config":{}}`, 405, refused},
	{"getConnector", "GET", "/connectors/x-apply", "", 200, func(t *testing.T, body []byte) {
		c := parse[struct {
			Name, Type string
			Config     map[string]string
			Tasks      []kcctlTaskID
		}](t, body)
		if c.Name != "x-apply" || c.Type != "sink" || len(c.Config) == 0 || len(c.Tasks) != 2 || c.Tasks[1].Task == nil || c.Tasks[1].Connector == nil {
			t.Errorf("the connector is %+v", c)
		}
	}},
	{"getConnector of none", "GET", "/connectors/nope", "", 404, refused},
	{"restartConnector", "POST", "/connectors/x-apply/restart", "", 204, nil},
	{"restartConnectorAndTasks", "POST", "/connectors/x-apply/restart?includeTasks=true&onlyFailed=false", "", 202, restarted("0", "1")},
	{"restartConnectorAndTasks, failed", "POST", "/connectors/x-apply/restart?includeTasks=true&onlyFailed=true", "", 202, restarted("1")},
	{"pauseConnector", "PUT", "/connectors/x-apply/pause", "", 202, nil},
	{"resumeConnector", "PUT", "/connectors/x-apply/resume", "", 202, nil},
	{"stopConnector", "PUT", "/connectors/x-apply/stop", "", 204, nil},
	{"deleteConnector", "DELETE", "/connectors/x-apply", "", 405, refused},
	{"getConnectorExpandInfo", "GET", "/connectors?expand=info&expand=status", "", 200, func(t *testing.T, body []byte) {
		for name, c := range parse[map[string]struct {
			Info   *struct{ Config map[string]string }
			Status *kcctlStatus
		}](t, body) {
			if c.Info == nil || c.Info.Config == nil || c.Status == nil {
				t.Errorf("%s is %+v", name, c)
				continue
			}
			usable(t, *c.Status)
		}
	}},
	{"getConnectorStatus", "GET", "/connectors/x-apply/status", "", 200, func(t *testing.T, body []byte) { usable(t, parse[kcctlStatus](t, body)) }},
	{"getConnectorTopics", "GET", "/connectors/x-apply/topics", "", 200, func(t *testing.T, body []byte) {
		for _, c := range parse[map[string]struct{ Topics []string }](t, body) {
			if len(c.Topics) > 0 {
				return
			}
		}
		t.Errorf("no topics: %s", body)
	}},
	{"getConnectorConfig", "GET", "/connectors/x-apply/config", "", 200, func(t *testing.T, body []byte) { parse[map[string]string](t, body) }},
	{"updateConnector", "PUT", "/connectors/x-apply/config", `{"a":"b"}`, 405, refused},
	{"getConnectorTasks", "GET", "/connectors/x-apply/tasks", "", 200, func(t *testing.T, body []byte) {
		for _, task := range parse[[]struct {
			ID     kcctlTaskID
			Config map[string]string
		}](t, body) {
			if task.ID.Connector == nil || task.ID.Task == nil || task.Config == nil {
				t.Errorf("a task is %+v", task)
			}
		}
	}},
	{"getConnectorOffsets", "GET", "/connectors/x-apply/offsets", "", 200, func(t *testing.T, body []byte) {
		for _, o := range parse[struct {
			Offsets []struct{ Partition, Offset map[string]any }
		}](t, body).Offsets {
			if o.Partition["kafka_topic"] == nil || o.Partition["kafka_partition"] == nil || o.Offset["kafka_offset"] == nil {
				t.Errorf("an offset is %+v", o)
			}
		}
	}},
	{"deleteConnectorOffsets", "DELETE", "/connectors/x-transform/offsets", "", 200, said},
	{"patchConnectorOffsets", "PATCH", "/connectors/x-transform/offsets", `{"offsets":[{"partition":{"kafka_topic":"rest-lines","kafka_partition":0},"offset":{"kafka_offset":1}}]}`, 200, said},
	{"patchConnectorOffsets while it runs", "PATCH", "/connectors/x-apply/offsets", `{"offsets":[{"partition":{"kafka_topic":"rest-lines","kafka_partition":0},"offset":{"kafka_offset":1}}]}`, 400, refused},
	{"restartTask", "POST", "/connectors/x-apply/tasks/1/restart", "", 204, nil},
	{"getLoggers", "GET", "/admin/loggers/", "", 200, func(t *testing.T, body []byte) {
		for name, l := range parse[map[string]struct{ Level string }](t, body) {
			if l.Level == "" {
				t.Errorf("logger %s has no level", name)
			}
		}
	}},
	{"getLogger", "GET", "/admin/loggers/root", "", 200, nil},
	{"updateLogLevel", "PUT", "/admin/loggers/root", `{"level":"DEBUG"}`, 200, func(t *testing.T, body []byte) { parse[[]string](t, body) }},
	{"updateLogLevelWithScope", "PUT", "/admin/loggers/root?scope=worker", `{"level":"FATAL"}`, 200, func(t *testing.T, body []byte) { parse[[]string](t, body) }},
	{"updateLogLevelWithScope of the cluster", "PUT", "/admin/loggers/root?scope=cluster", `{"level":"INFO"}`, 400, refused},
}

// Every call that kcctl makes is answered in the shape that it parses.
func TestAnswersSuitKcctl(t *testing.T) {
	t.Parallel()
	for _, c := range kcctlCalls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := recordedState("")
			s.cluster.Targets["x-transform"] = ledger.ConnectorTarget{State: ledger.TargetStopped}
			o := restOptions(s, nil)
			o.Token = "a-token-of-some-length"
			r := httptest.NewRequest(c.method, "http://127.0.0.1"+c.path, strings.NewReader(c.body))
			r.SetBasicAuth("kcctl", o.Token) // the only credentials that it knows
			w := httptest.NewRecorder()
			Handler(o).ServeHTTP(w, r)
			if w.Code != c.code {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, c.code)
			}
			if c.check != nil {
				c.check(t, w.Body.Bytes())
			}
		})
	}
}

func parse[T any](t *testing.T, body []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return v
}

func refused(t *testing.T, body []byte) {
	if e := parse[struct {
		ErrorCode int `json:"error_code"`
		Message   string
	}](t, body); e.ErrorCode < 400 || e.Message == "" {
		t.Errorf("the refusal is %s", body)
	}
}

func said(t *testing.T, body []byte) {
	if parse[struct{ Message string }](t, body).Message == "" {
		t.Errorf("there is no message: %s", body)
	}
}

// restarted checks which tasks kcctl counts as restarted.
func restarted(want ...string) func(*testing.T, []byte) {
	return func(t *testing.T, body []byte) {
		s := parse[kcctlStatus](t, body)
		usable(t, s)
		var ids []string
		for _, task := range s.Tasks {
			if *task.State == restarting {
				ids = append(ids, strconv.Itoa(*task.ID))
			}
		}
		if !slices.Equal(ids, want) {
			t.Errorf("the tasks %s start anew, want %s", ids, want)
		}
	}
}

func usable(t *testing.T, s kcctlStatus) {
	t.Helper()
	if s.Name == nil || s.Type == nil || s.Connector == nil || s.Connector.State == nil || s.Connector.WorkerID == nil || s.Tasks == nil {
		t.Errorf("a status lacks what kcctl shows: %+v", s)
	}
	for _, task := range s.Tasks {
		if task.ID == nil || task.State == nil || task.WorkerID == nil || *task.State == failed && task.Trace == nil {
			t.Errorf("a task lacks what kcctl shows: %+v", task)
		}
	}
}
