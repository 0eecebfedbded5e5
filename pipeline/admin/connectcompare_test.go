package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// recordedState is our cluster in the state that a request was recorded in.
func recordedState(state string) *shape {
	s := &shape{
		cluster: ledger.Cluster{
			Instances: []ledger.Instance{{ID: "a:1", Version: "v1"}},
			Targets:   map[string]ledger.ConnectorTarget{},
			Tasks: []ledger.Task{
				{Connector: "x-source", State: "RUNNING", Instance: "a:1"},
				{Connector: "x-apply", State: "RUNNING", Instance: "a:1"},
				{Connector: "x-apply", ID: 1, State: failed, Instance: "a:1", Trace: "held: why. fix"},
			},
		},
		offsets: []Offset{{Partition: map[string]any{"kafka_topic": "rest-lines", "kafka_partition": 0}, Offset: map[string]any{"kafka_offset": 5}}},
		known: func(topic string, partition int32, at int64) bool {
			return topic == "rest-lines" && partition == 0 && at <= 5
		},
	}
	switch {
	case strings.HasPrefix(state, "stopped"):
		s.cluster.Targets["x-apply"] = ledger.ConnectorTarget{State: ledger.TargetStopped}
		s.cluster.Tasks = s.cluster.Tasks[:1]
	case state == "paused":
		s.cluster.Targets["x-apply"] = ledger.ConnectorTarget{State: ledger.TargetPaused}
		s.cluster.Tasks[1].State = "PAUSED"
	}
	return s
}

// compareAnswers asks us what Kafka Connect was asked, and lists what is unlike.
func compareAnswers(t *testing.T, r recorded) []string {
	t.Helper()
	handler := Handler(restOptions(recordedState(r.State), nil))
	request := httptest.NewRequest(r.Method, "http://127.0.0.1"+strings.Replace(r.Path, "/LineSource/", "/backstitch.source/", 1), bytes.NewReader(r.Sent))
	if r.State == "set" {
		set := httptest.NewRequest("PUT", "http://127.0.0.1"+r.Path, strings.NewReader(`{"level":"WARN"}`))
		handler.ServeHTTP(httptest.NewRecorder(), set)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, request)
	if w.Code != r.Code {
		return []string{fmt.Sprintf("answers %d %s, Kafka Connect %d %v", w.Code, w.Body, r.Code, r.Body)}
	}
	if r.Method == "HEAD" || r.Body == nil {
		if r.Method != "HEAD" && w.Body.Len() > 0 {
			return []string{"answers a body: " + w.Body.String()}
		}
		return nil
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/json" {
		return []string{"answers " + kind}
	}
	var ours any
	if err := json.Unmarshal(w.Body.Bytes(), &ours); err != nil {
		return []string{err.Error()}
	}
	return unlike(r.at(), r.Body, ours)
}

// sameValue are the keys whose values tell a state, and not what a connector does.
var sameValue = []string{"state", "error_code", "id", "task", "connector", "level"}

// nullable are the keys that are null in Kafka Connect's answers at times.
var nullable = map[string]bool{"default_value": true, "group": true, "last_modified": true}

// unlike lists where two JSON values differ in keys and types. Configurations have
// keys of their own, and so have a source's positions.
func unlike(at string, theirs, ours any) (found []string) {
	if theirs == nil || ours == nil && nullable[at[strings.LastIndex(at, ".")+1:]] {
		return nil
	}
	if a, b := fmt.Sprintf("%T", theirs), fmt.Sprintf("%T", ours); a != b {
		return []string{fmt.Sprintf("%s is %s %v, in Kafka Connect %s %v", at, b, ours, a, theirs)}
	}
	switch theirs := theirs.(type) {
	case map[string]any:
		ours := ours.(map[string]any)
		if at == "config" || strings.HasSuffix(at, ".config") || theirs["slot"] != nil || theirs["lsn"] != nil {
			return nil
		}
		for key, value := range theirs {
			switch own, ok := ours[key]; {
			case strings.Contains(key, "org."): // a logger's name
			case !ok && key == "version" && ours["worker_id"] == "": // nobody's
			case !ok:
				found = append(found, at+" lacks "+key)
			case slices.Contains(sameValue, key) && fmt.Sprintf("%T", value) != "map[string]interface {}" && value != own:
				found = append(found, fmt.Sprintf("%s.%s is %v, in Kafka Connect %v", at, key, own, value))
			default:
				found = append(found, unlike(at+"."+key, value, own)...)
			}
		}
		for key := range ours {
			if _, ok := theirs[key]; !ok && key != "x-transform" && key != rootLogger {
				found = append(found, at+" has "+key+", which Kafka Connect does not answer")
			}
		}
	case []any:
		ours := ours.([]any)
		if len(ours) == 0 && len(theirs) > 0 {
			return []string{at + " is empty"}
		}
		byID(theirs)
		byID(ours)
		for i := range min(len(theirs), len(ours)) {
			found = append(found, unlike(fmt.Sprintf("%s[%d]", at, i), theirs[i], ours[i])...)
		}
	}
	return found
}

// byID sorts tasks: Kafka Connect answers them in any order.
func byID(list []any) {
	slices.SortStableFunc(list, func(a, b any) int {
		x, _ := a.(map[string]any)
		y, _ := b.(map[string]any)
		i, _ := x["id"].(float64)
		j, _ := y["id"].(float64)
		return cmp.Compare(i, j)
	})
}
